"""Planned vassals of a rollout, in their order, and its limits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from uwsgi_router.router.rollout.views import EmperorView, Moment, NodePlace

Locate = Callable[["PlannedVassal", Moment], frozenset[NodePlace]]
"""Returns where the nodes of a vassal are now."""


@dataclass(frozen=True, slots=True)
class PlannedVassal:
    """Vassal that is to be reloaded.

    Attributes:
        name: as it is shown.
        id: in the Emperor's statistics.
        path: of its file.
        places: of its nodes; none: it has none, or is down.
        routed: it has to have nodes.
        withdrawn: its nodes are withdrawn before it is touched.
        rolls_itself: it starts new copies before old ones end, and announces them itself.
        stays_drained: somebody had taken its nodes out of service, and they stay so.
        brought_back: an earlier rollout had left them out of service.
    """

    name: str
    id: str
    path: str
    places: frozenset[NodePlace] = frozenset()
    routed: bool = True
    withdrawn: bool = False
    rolls_itself: bool = False
    stays_drained: bool = False
    brought_back: bool = False


@dataclass(frozen=True, slots=True)
class RolloutLimits:
    """Limits of a rollout.

    Attributes:
        minimum: other nodes of each pool of a vassal that serve while it does not.
        most: vassals that are worked on at once, once one has been reloaded.
        timeout: seconds from the touch of a vassal to its end.
        checks: each vassal is asked directly.
    """

    minimum: int = 1
    most: int = 1
    timeout: float = 60.0
    checks: bool = True


def up(emperor: EmperorView, name: str) -> bool:
    """Return True if a vassal accepts requests."""
    seen = emperor.vassals.get(name)
    return seen is not None and seen.accepting and not seen.cursed


def order(vassals: Sequence[PlannedVassal], moment: Moment) -> list[PlannedVassal]:
    """Return vassals in the order of a rollout: those that do not serve first, for they take nothing from anybody."""
    nodes = moment.nodes()

    def serves(one: PlannedVassal) -> bool:
        if one.places:
            return any(place in nodes and nodes[place].serving for place in one.places)
        return up(moment.emperor, one.id)

    return sorted(vassals, key=lambda one: (serves(one), one.name))
