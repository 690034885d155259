"""Capacity of pools while a vassal is away: how many other nodes serve, by live statistics."""

from collections.abc import Iterable, Mapping

from uwsgi_router.router.rollout.planned import up
from uwsgi_router.router.rollout.progress import VassalProgress
from uwsgi_router.router.rollout.views import EmperorView, Moment, NodePlace, SeenNode


def shortage(
    one: VassalProgress, others: Iterable[VassalProgress], moment: Moment, minimum: int
) -> str:
    """Return why a vassal may not be away now; "": it may.

    Args:
        one: that is to leave; one that rolls itself does not.
        others: the other vassals; those on their way count as away.
        moment: as it is now.
        minimum: of other nodes of each of its pools, that serve.
    """
    if one.plan.rolls_itself:
        return ""
    others = tuple(others)
    nodes = moment.nodes()
    if not one.places:
        return _of_unrouted(one, others, moment.emperor, minimum)
    away = {place for other in others if other.working for place in other.places}
    pools = one.left if one.step == "withdrawing" else served_by(one.places, nodes)
    for router, key in sorted(pools):
        left = sum(
            node.serving and place not in away and place not in one.places
            for place, node in nodes.items()
            if (place.router, place.key) == (router, key)
        )
        if left < minimum:
            return _too_few(f"nodes of {key}", left, minimum)
    return ""


def served_by(
    places: Iterable[NodePlace], nodes: Mapping[NodePlace, SeenNode]
) -> frozenset[tuple[str, str]]:
    """Return the pools (router, key) in which one of these nodes serves."""
    return frozenset(
        (place.router, place.key) for place in places if place in nodes and nodes[place].serving
    )


def _of_unrouted(
    one: VassalProgress, others: Iterable[VassalProgress], emperor: EmperorView, minimum: int
) -> str:
    if one.plan.routed or not up(emperor, one.plan.id):
        # It is down, and takes nothing from anybody.
        return ""
    left = sum(
        up(emperor, other.plan.id) and not other.places and not other.working for other in others
    )
    return "" if left >= minimum else _too_few("vassals without nodes", left, minimum)


def _too_few(what: str, left: int, minimum: int) -> str:
    return (
        f"{left} other {what} would be in service, and there have to be {minimum}"
        " (--minimum-active-vassals)"
    )
