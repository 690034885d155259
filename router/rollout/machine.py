"""State machine of a rollout: decides over moments and events which vassal is withdrawn, touched, asked, returned.

Two rules: a vassal that serves is withdrawn, and touched, only while each of its pools has at least the minimum of
other nodes that serve, by the statistics of that moment; and after the first failure nothing new is begun.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from uwsgi_router.router.rollout.actions import (
    CheckVassal,
    KeepOutVassal,
    RestoreVassal,
    ReturnVassal,
    RolloutAction,
    Step,
    ToldStep,
    TouchVassal,
    WithdrawVassal,
)
from uwsgi_router.router.rollout.capacity import served_by, shortage
from uwsgi_router.router.rollout.planned import Locate, PlannedVassal, RolloutLimits
from uwsgi_router.router.rollout.progress import VassalProgress
from uwsgi_router.router.rollout.views import EmperorView, Moment, NodePlace

#: Seconds between two questions to a vassal that does not answer well.
PAUSE: Final = 0.5
#: Bad answers in a row after which a vassal has failed.
BAD_ANSWERS: Final = 2


class RolloutMachine:
    """State machine of a rollout.

    Args:
        vassals: in the order in which they are to be reloaded.
        limits: see :class:`RolloutLimits`.
        locate: tells where the nodes of a vassal are now.

    Attributes:
        failed: name of the first vassal that failed, and why; None: none has.
        stopping: nothing new is begun.
    """

    def __init__(
        self, vassals: Iterable[PlannedVassal], limits: RolloutLimits, locate: Locate
    ) -> None:
        self._vassals = {one.name: VassalProgress(one, one.places) for one in vassals}
        self._limits = limits
        self._locate = locate
        self._blocked_since: float | None = None
        self.failed: tuple[str, str] | None = None
        self.stopping = False

    # --- what is so ---

    @property
    def steps(self) -> dict[str, Step]:
        """State of each vassal."""
        return {name: one.step for name, one in self._vassals.items()}

    @property
    def finished(self) -> bool:
        """True if nothing is to be waited for."""
        return not any(one.working or one.step == "waiting" for one in self._vassals.values())

    def count(self, step: Step) -> int:
        """Return how many vassals are in a state."""
        return sum(one.step == step for one in self._vassals.values())

    # --- what happens ---

    def withdrawn(self, name: str, trouble: str = "") -> None:
        """Note that a vassal's nodes have no requests, or why that could not be."""
        self._vassals[name].outcome = trouble

    def checked(self, name: str, trouble: str, now: float, *, answered: bool = False) -> None:
        """Note what a vassal answered.

        Args:
            name: of the vassal.
            trouble: "" if all was well.
            now: seconds.
            answered: it did, and not well.
        """
        one = self._vassals[name]
        one.asked = False
        one.trouble = trouble
        one.ask_again_at = now + PAUSE
        one.bad_answers = one.bad_answers + 1 if trouble and answered else 0
        if not trouble and one.step == "checking":
            one.step = "announcing"

    def broke(self, name: str, why: str) -> None:
        """Note that a vassal could not be touched."""
        self._vassals[name].broken = why

    def stop(self) -> None:
        """Begin nothing new; what is being reloaded is reloaded to its end."""
        self.stopping = True

    def abandon(self) -> list[RolloutAction]:
        """End now; return what gives back what was withdrawn."""
        self.stopping = True
        return [
            action
            for one in self._vassals.values()
            if one.working
            for action in self._failed(one, "its end was not waited for", restore=True)
        ] + list(self._give_back())

    def step(self, moment: Moment | None, now: float) -> list[RolloutAction]:
        """Decide.

        Args:
            moment: as it is now; None: that is not known.
            now: seconds.
        """
        actions: list[RolloutAction] = []
        for one in self._vassals.values():
            while one.working:
                before = one.step
                actions += self._advance(one, moment, now)
                if one.step == before:
                    break
                if one.working:
                    actions.append(ToldStep(one.plan.name, one.step))
        if self.stopping:
            actions += self._give_back()
        elif moment is not None:
            actions += self._begin(moment, now)
        return actions

    def _give_back(self) -> Iterator[RolloutAction]:
        """Yield what is to be done for those that are not touched any more."""
        for one in self._vassals.values():
            withdrawn = one.step == "withdrawing" and self.failed is not None
            if withdrawn or one.step == "waiting":
                one.step = "untouched"
                if withdrawn:
                    yield RestoreVassal(one.plan.name)
                yield ToldStep(one.plan.name, one.step)

    # --- beginning ---

    def _begin(self, moment: Moment, now: float) -> list[RolloutAction]:
        actions: list[RolloutAction] = []
        while True:
            waiting = [one for one in self._vassals.values() if one.step == "waiting"]
            working = sum(one.working for one in self._vassals.values())
            done = self.count("reloaded")
            # The first one alone, and then more and more at once.
            if not waiting or working >= (min(self._limits.most, done + 1) if done else 1):
                self._blocked_since = None
                return actions
            trouble = ""
            for one in waiting:
                why = self._shortage(one, moment)
                if not why:
                    actions += self._withdraw(one, moment, now)
                    break
                trouble = trouble or why
            else:
                return actions + self._blocked(waiting[0], trouble, now, working=working)

    def _shortage(self, one: VassalProgress, moment: Moment) -> str:
        others = [other for other in self._vassals.values() if other is not one]
        return shortage(one, others, moment, self._limits.minimum)

    def _blocked(
        self, one: VassalProgress, why: str, now: float, *, working: int
    ) -> list[RolloutAction]:
        """Wait for room; while nothing is worked on not for ever."""
        if working:
            self._blocked_since = None
            return []
        if self._blocked_since is None:
            self._blocked_since = now
        if now - self._blocked_since < self._limits.timeout:
            return []
        return [*self._failed(one, why, restore=True), *self._give_back()]

    def _withdraw(self, one: VassalProgress, moment: Moment, now: float) -> list[RolloutAction]:
        name = one.plan.name
        nodes = moment.nodes()
        one.left = served_by(one.places, nodes)
        # An unsubscribe on a withdrawal takes them out of the table.
        one.seen = {place: nodes[place] for place in one.places if place in nodes}
        if not one.plan.withdrawn:
            return [*self._touch(one, moment, now), ToldStep(name, one.step)]
        one.step = "withdrawing"
        one.outcome = None
        return [WithdrawVassal(name), ToldStep(name, one.step)]

    def _touch(self, one: VassalProgress, moment: Moment, now: float) -> list[RolloutAction]:
        seen = moment.emperor.vassals.get(one.plan.id)
        nodes = one.seen | moment.nodes()
        # The Emperor wants a later second than the one that it remembers.
        mtime = max(moment.wall, (seen.last_mod if seen is not None else 0) + 1.0)
        one.mtime, one.touched_at = int(mtime), int(moment.wall)
        one.before = {place: node for place, node in nodes.items() if place in one.places}
        one.throttling = moment.emperor.throttled.get(one.plan.id)
        one.before_end = seen.last_end_at if seen is not None else 0
        one.deadline = now + self._limits.timeout
        one.step = "reloading"
        return [TouchVassal(one.plan.name, mtime)]

    # --- going on ---

    def _advance(
        self, one: VassalProgress, moment: Moment | None, now: float
    ) -> list[RolloutAction]:
        if one.broken:
            return self._failed(one, one.broken, restore=True)
        if one.step == "withdrawing":
            return self._withdrawing(one, moment, now)
        before = one.step
        if moment is not None:
            trouble = one.death(moment.emperor)
            if trouble:
                return self._failed(one, trouble)
            actions = self._going_on(one, moment, now)
            if actions or one.step != before:
                return actions
        if now >= one.deadline:
            return self._failed(one, one.missing(moment), timeout=True)
        return []

    def _going_on(self, one: VassalProgress, moment: Moment, now: float) -> list[RolloutAction]:
        match one.step:
            case "reloading":
                return self._reloading(one, moment.emperor)
            case "checking":
                return self._checking(one, moment, now)
            case "announcing":
                return self._announcing(one, moment)
            case _:
                nodes = moment.nodes()
                serves = all(one.serves(nodes.get(place)) for place in one.places)
                return self._done(one) if serves else []

    def _withdrawing(
        self, one: VassalProgress, moment: Moment | None, now: float
    ) -> list[RolloutAction]:
        if one.outcome is None:
            return []
        if one.outcome:
            return self._failed(one, one.outcome, restore=True)
        if moment is None:
            return []
        if self._shortage(one, moment):
            # Another node has left meanwhile: this one is needed.
            one.step = "waiting"
            return [RestoreVassal(one.plan.name), ToldStep(one.plan.name, one.step)]
        return self._touch(one, moment, now)

    def _reloading(self, one: VassalProgress, emperor: EmperorView) -> list[RolloutAction]:
        seen = emperor.vassals.get(one.plan.id)
        if seen is None or seen.last_mod < one.mtime:
            return []
        if seen.asleep:
            returned = [ReturnVassal(one.plan.name)] if one.plan.withdrawn else []
            return [
                *returned,
                *self._done(one, "it sleeps, and starts anew when somebody connects"),
            ]
        if seen.accepting and not seen.cursed:
            one.step = "checking" if self._limits.checks and one.plan.routed else "announcing"
        return []

    def _checking(self, one: VassalProgress, moment: Moment, now: float) -> list[RolloutAction]:
        if one.bad_answers >= BAD_ANSWERS:
            return self._failed(one, one.trouble)
        if one.asked or now < one.ask_again_at:
            return []
        nodes = {**one.before, **moment.nodes()}
        places = one.places
        if one.trouble or one.plan.rolls_itself or not places:
            # It may listen elsewhere now.
            places = self._locate(one.plan, moment) or places
        if not places:
            return []
        # One key of each address is enough.
        chosen = {
            place.address: nodes[place]
            for place in sorted(places, key=lambda place: (place.address, place.key))
            if place in nodes
        }
        if not chosen:
            return []
        one.asked = True
        return [CheckVassal(one.plan.name, tuple(chosen.values()))]

    def _announcing(self, one: VassalProgress, moment: Moment) -> list[RolloutAction]:
        nodes = moment.nodes()
        if not one.places and not one.plan.routed:
            return self._done(one)
        if not one.places or not all(one.announced(nodes.get(place)) for place in one.places):
            # It may be announced at other addresses now.
            found = self._locate(one.plan, moment)
            well = all(one.announced(nodes.get(place)) for place in found)
            if not found or not well or not _pools(found) >= _pools(one.places):
                return []
            one.places = found
        one.step = "returning"
        return [ReturnVassal(one.plan.name)] if one.plan.withdrawn else []

    # --- ends ---

    @staticmethod
    def _done(one: VassalProgress, what: str = "") -> list[RolloutAction]:
        one.step = "reloaded"
        return [ToldStep(one.plan.name, one.step, what)]

    def _failed(
        self, one: VassalProgress, why: str, *, restore: bool = False, timeout: bool = False
    ) -> list[RolloutAction]:
        one.step = "failed"
        self.stopping = True
        name = one.plan.name
        if self.failed is None:
            self.failed = name, why
        return [
            RestoreVassal(name) if restore else KeepOutVassal(name),
            ToldStep(name, one.step, why, timeout),
        ]


def _pools(places: Iterable[NodePlace]) -> set[tuple[str, str]]:
    return {(place.router, place.key) for place in places}
