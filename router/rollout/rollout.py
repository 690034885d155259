"""Rollout of vassals: carries out what the machine decides, one look after the other."""

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from uwsgi_router.protocol.text import printable, show
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
from uwsgi_router.router.rollout.fifo_guard import FifoGuard
from uwsgi_router.router.rollout.log_tail import LINES, LogTail
from uwsgi_router.router.rollout.machine import RolloutMachine
from uwsgi_router.router.rollout.mapping import AmbiguousNode, NodeMap
from uwsgi_router.router.rollout.observer import Observer, emperor_log
from uwsgi_router.router.rollout.plan import RolloutPlan, candidates
from uwsgi_router.router.rollout.planned import PlannedVassal, up
from uwsgi_router.router.rollout.settings import RolloutSettings, filled_in
from uwsgi_router.router.rollout.stats_client import StatsError
from uwsgi_router.router.rollout.views import Moment, NodePlace, SeenNode
from uwsgi_router.router.rollout.withdrawal import (
    ControlWithdrawal,
    FifoWithdrawal,
    Withdrawal,
)

# Seconds in which a vassal that failed may still announce itself.
_LATE: Final = 3.0


class RolloutListener(Protocol):
    """RolloutListener to a rollout: shows people how far it is."""

    def told(self, step: ToldStep) -> None:
        """Show a new state of a vassal."""

    def warned(self, text: str) -> None:
        """Show what went wrong beside it."""

    def looked(self, steps: dict[str, Step]) -> None:
        """Show how far all are; called at each look."""


@dataclass(frozen=True, slots=True)
class RolloutOutcome:
    """Outcome of a rollout.

    Attributes:
        steps: state of each vassal at its end.
        vassal: that failed first; "".
        reason: why it failed, or why not all are reloaded; "": all are.
        lines: the last ones of the vassal that failed.
        kept_out: addresses of nodes that stay drained.
    """

    steps: dict[str, Step]
    vassal: str = ""
    reason: str = ""
    lines: Sequence[str] = ()
    kept_out: Sequence[str] = ()


class Rollout:
    """Rollout of vassals.

    Args:
        settings: see there.
        plan: what is to be done.
        observer: looks.
        node_map: as the plan was made with.
        listener: is told of everything.
    """

    def __init__(
        self,
        settings: RolloutSettings,
        plan: RolloutPlan,
        observer: Observer,
        node_map: NodeMap,
        listener: RolloutListener,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._observer = observer
        self._map = node_map
        self._listener = listener
        self._ids = {one.name: one.id for one in plan.vassals}
        self._vassals = {one.name: one for one in plan.vassals}
        self._machine = RolloutMachine(plan.vassals, plan.limits, self._located)
        self._guard = FifoGuard() if plan.fifos else None
        self._withdrawals = {one.name: self._withdrawal(one) for one in plan.vassals}
        self._held: set[str] = set()
        self._tails: dict[str, LogTail] = {}
        self._kept_out: list[str] = []
        self._happened: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._moment: Moment | None = None
        self._trouble = ""
        self._interrupts = 0

    def interrupt(self) -> None:
        """Finish what is being reloaded; at the second call end at once. For signal handlers."""
        self._interrupts += 1

    def run(self) -> RolloutOutcome:
        """Reload all; return what came of it."""
        machine = self._machine
        try:
            while not machine.finished:
                if self._interrupts > 1:
                    self._do(machine.abandon())
                    break
                if self._interrupts:
                    machine.stop()
                self._look()
                self._do(machine.step(self._moment, time.monotonic()))
                self._listener.looked(machine.steps)
                if not machine.finished:
                    self._wait()
        finally:
            for withdrawal in self._withdrawals.values():
                withdrawal.restore()
            if self._guard is not None:
                self._guard.close()
        return self._outcome()

    def _outcome(self) -> RolloutOutcome:
        steps = self._machine.steps
        if self._machine.failed is not None:
            name, why = self._machine.failed
            lines = self._last_lines(name) if name in self._tails else []
            if self._moment is None and self._trouble:
                why += f" ({self._trouble})"
            return RolloutOutcome(steps, name, why, lines, self._kept_out)
        left = [name for name, step in steps.items() if step != "reloaded"]
        reason = f"interrupted before {', '.join(left)}" if left else ""
        return RolloutOutcome(steps, reason=reason)

    def _last_lines(self, name: str) -> Sequence[str]:
        """Return what a vassal wrote since it was touched, or what our Emperor tells of it."""
        one = self._ids[name]
        seen = None if self._moment is None else self._moment.emperor.vassals.get(one)
        lines = (
            self._tails[name].lines()
            or emperor_log(self._settings.controls, one)
            or (() if seen is None else seen.lines)
        )
        return [printable(show(line)) for line in lines[-LINES:]]

    # --- looking ---

    def _look(self) -> None:
        try:
            self._moment = self._observer.moment()
        except StatsError as exc:
            if self._trouble != str(exc):
                self._listener.warned(str(exc))
            self._moment, self._trouble = None, str(exc)
        now = time.monotonic()
        for name, step in self._machine.steps.items():
            if step == "withdrawing" and self._moment is not None:
                self._withdrawals[name].look(self._moment, now)
        for name in self._held:
            self._withdrawals[name].hold()
        # What look() and threads have found out.
        while not self._happened.empty():
            self._hear(self._happened.get())

    def _wait(self) -> None:
        """Wait for the next look, or until something happens."""
        try:
            self._hear(self._happened.get(timeout=self._settings.interval))
        except queue.Empty:
            pass

    @staticmethod
    def _hear(event: Callable[[], None] | None) -> None:
        if event is not None:
            event()

    def _located(self, vassal: PlannedVassal, moment: Moment) -> frozenset[NodePlace]:
        some = candidates(self._ids, moment.emperor)
        try:
            places = self._map.places(some, moment.nodes().values())
        except AmbiguousNode:
            return frozenset()
        return places.get(vassal.name, frozenset())

    # --- doing ---

    def _do(self, actions: Sequence[RolloutAction]) -> None:
        for action in actions:
            match action:
                case WithdrawVassal(name):
                    self._withdrawals[name].begin(partial(self._withdrawn, name))
                case RestoreVassal(name):
                    self._held.discard(name)
                    self._withdrawals[name].restore()
                    # It may be withdrawn again.
                    self._withdrawals[name] = self._withdrawal(self._vassals[name])
                case TouchVassal(name, mtime):
                    self._touch(name, mtime)
                case CheckVassal(name, nodes):
                    threading.Thread(target=self._check, args=(name, nodes), daemon=True).start()
                case ReturnVassal(name):
                    self._return(name)
                case KeepOutVassal(name):
                    self._held.discard(name)
                    moment = self._moment
                    lives = moment is not None and up(moment.emperor, self._ids[name])
                    patience = _LATE if lives else 0.0
                    self._kept_out += self._withdrawals[name].keep_out(moment, patience)
                case ToldStep():
                    self._listener.told(action)

    def _withdrawal(self, vassal: PlannedVassal) -> Withdrawal:
        name = vassal.name
        if name in self._plan.controls:
            return ControlWithdrawal(self._plan.controls[name], self._settings.drain)
        if name in self._plan.fifos and self._guard is not None:
            nodes = {place: self._plan.gateways[place.router] for place in vassal.places}
            limit = self._settings.drain.requests
            return FifoWithdrawal(self._plan.fifos[name], nodes, limit, self._guard)
        return Withdrawal()

    def _withdrawn(self, name: str, trouble: str) -> None:
        self._happened.put(partial(self._machine.withdrawn, name, trouble))

    def _touch(self, name: str, mtime: float) -> None:
        vassal, withdrawal = self._vassals[name], self._withdrawals[name]
        self._held.add(name)
        self._tails[name] = self._tail(vassal)
        nanoseconds = int(mtime * 1_000_000_000)
        try:
            os.utime(vassal.path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)
        except OSError as exc:
            self._machine.broke(name, f"{vassal.path}: {exc.strerror or exc}")
            return
        except OverflowError:
            why = f"{vassal.path}: no file can be newer than the Emperor says it is ({mtime:.0f})"
            self._machine.broke(name, why)
            return
        withdrawal.touched()

    def _tail(self, vassal: PlannedVassal) -> LogTail:
        if self._settings.log:
            return LogTail.of_file(filled_in(self._settings.log, vassal.name, vassal.path))
        seen = None if self._moment is None else self._moment.emperor.vassals.get(vassal.id)
        return LogTail() if seen is None else LogTail.of_process(seen.pid)

    def _return(self, name: str) -> None:
        self._held.discard(name)
        withdrawal = self._withdrawals[name]
        if not self._vassals[name].brought_back:
            withdrawal.restore()
            return
        for trouble in withdrawal.give_back():
            self._listener.warned(f"{name}: {trouble}")

    def _check(self, name: str, nodes: Sequence[SeenNode]) -> None:
        """Ask a vassal; in a thread."""
        gate = self._settings.gate
        trouble, answered = "", True
        for node in nodes if gate is not None else ():
            assert gate is not None
            trouble, answered = gate.trouble(node)
            if trouble:
                break
        self._happened.put(partial(self._heard, name, trouble, answered))

    def _heard(self, name: str, trouble: str, answered: bool) -> None:
        self._machine.checked(name, trouble, time.monotonic(), answered=answered)
