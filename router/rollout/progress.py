"""Progress of one vassal in a rollout: what has become of it since it was touched, and what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from uwsgi_router.router.rollout.actions import Step
from uwsgi_router.router.rollout.planned import PlannedVassal, up
from uwsgi_router.router.rollout.views import (
    EmperorView,
    Moment,
    NodePlace,
    SeenNode,
    SeenVassal,
    Throttling,
)

_WORKING: Final[frozenset[Step]] = frozenset(
    {"withdrawing", "reloading", "checking", "announcing", "returning"}
)


@dataclass(slots=True)
class VassalProgress:
    """Progress of a vassal.

    Attributes:
        plan: what it is.
        places: where its nodes are.
        step: its state.
        outcome: of its withdrawal: "" if that went well, else why not; None: it is waited for.
        left: pools (router, key) in which it served when it was begun with.
        seen: its nodes as they were when it was begun with.
        deadline: until when it has to be reloaded, on the machine's clock.
        mtime: that its file got, whole seconds.
        touched_at: when it got that, whole seconds since 1970.
        before: its nodes as they were then.
        throttling: its blacklist entry by then.
        before_end: when it had ended last by then, seconds.
        broken: why it can't go on; "".
        asked: an answer to a question is waited for.
        trouble: what was wrong with its last answer; "".
        bad_answers: in a row.
        ask_again_at: on the machine's clock.
    """

    plan: PlannedVassal
    places: frozenset[NodePlace]
    step: Step = "waiting"
    outcome: str | None = None
    left: frozenset[tuple[str, str]] = frozenset()
    seen: dict[NodePlace, SeenNode] = field(default_factory=dict)
    deadline: float = 0.0
    mtime: int = 0
    touched_at: int = 0
    before: Mapping[NodePlace, SeenNode] = field(default_factory=dict)
    throttling: Throttling | None = None
    before_end: int = 0
    broken: str = ""
    asked: bool = False
    trouble: str = ""
    bad_answers: int = 0
    ask_again_at: float = 0.0

    @property
    def working(self) -> bool:
        """True if it is on its way."""
        return self.step in _WORKING

    def death(self, emperor: EmperorView) -> str:
        """Return how it ended since it was touched; "": it did not."""
        seen = emperor.vassals.get(self.plan.id)
        throttling = emperor.throttled.get(self.plan.id)
        ended = self.ended(seen)
        why = f": {ended}" if ended else ""
        if ended or (
            throttling is not None
            and throttling != self.throttling
            and throttling.last >= self.touched_at
        ):
            return f"it ended after the reload{why}"
        if self.step != "reloading" and not up(emperor, self.plan.id):
            return f"it ended after it had accepted{why}"
        return ""

    def ended(self, seen: SeenVassal | None) -> str:
        """Return how it ended since it was touched, in the Emperor's words; "": it did not, or that is not told."""
        if seen is None or self.before_end >= seen.last_end_at:
            return ""
        return seen.last_end

    def announced(self, node: SeenNode | None) -> bool:
        """Return True if a node is well and has announced itself since it was touched."""
        if node is None or not node.alive or node.unhealthy:
            return False
        before = self.before.get(node.place)
        return node.last_check >= self.touched_at or (
            before is not None and node.last_check > before.last_check
        )

    def serves(self, node: SeenNode | None) -> bool:
        """Return True if a node gets requests, or would if it had been in service before."""
        return node is not None and (
            node.serving or (self.plan.stays_drained and node.alive and not node.unhealthy)
        )

    def missing(self, moment: Moment | None) -> str:
        """Return what is waited for."""
        if moment is None:
            return "the statistics do not tell what became of it"
        if self.step == "reloading":
            return self._not_reloaded(moment.emperor)
        if self.step == "checking":
            return self.trouble or "none of its nodes has announced itself"
        nodes = moment.nodes()
        ready, what = (
            (self.announced, "announced")
            if self.step == "announcing"
            else (self.serves, "in service")
        )
        for place in sorted(self.places, key=lambda place: (place.router, place.key)):
            node = nodes.get(place)
            if not ready(node):
                why = f" ({node.unhealthy})" if node is not None and node.unhealthy else ""
                return f"{place.address} is not {what} as {place.key} at {place.router}{why}"
        return "none of its nodes has announced itself"

    def _not_reloaded(self, emperor: EmperorView) -> str:
        seen = emperor.vassals.get(self.plan.id)
        if seen is None:
            return "the Emperor does not run it"
        if seen.last_mod < self.mtime:
            return "the Emperor has not seen the change of its file (links need emperor-nofollow)"
        return "it does not accept requests"
