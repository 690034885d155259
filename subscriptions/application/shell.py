"""Shell of an application: carries out what its state machine decides, and tells it what happened."""

import logging
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from uwsgi_router.subscriptions.application import link
from uwsgi_router.subscriptions.application.actions import (
    Action,
    AnnounceCopy,
    AppEnded,
    CheckCopy,
    RolloutEnded,
    Say,
    ShowStacks,
    StartCopy,
    StopCopy,
    WithdrawCopy,
)
from uwsgi_router.subscriptions.application.lines import NamedLines, kept_lines
from uwsgi_router.subscriptions.application.listening import advice, listeners_of
from uwsgi_router.subscriptions.application.loop import ReapedStatus
from uwsgi_router.subscriptions.application.machine import ApplicationMachine
from uwsgi_router.subscriptions.application.memory import memory_of
from uwsgi_router.subscriptions.application.place import address_for, environment_of
from uwsgi_router.subscriptions.application.plan import AppPlan
from uwsgi_router.subscriptions.application.program import CopyLaunch, CopyProcess
from uwsgi_router.subscriptions.application.running_copy import RunningCopy, ShellParts, trouble_of
from uwsgi_router.subscriptions.client.ends import in_words
from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.starting import CannotStart

log = logging.getLogger("uwsgi-router.serve")

# Seconds after which a copy that can't be connected gets the line that says where it listens instead.
_TELL_AFTER: Final = 5.0
# At this one Python's faulthandler writes the stacks of all threads (PYTHONFAULTHANDLER), and the process ends.
# Servers have handlers of their own for SIGABRT.
_FAULT: Final = signal.SIGFPE
# Seconds that one question may wait for the router to have a node.
_CONFIRM: Final = 2.0


@dataclass(slots=True)
class _Failed:
    """Last lines of copies that have ended, for whoever asks why."""

    lines: dict[int, list[str]] = field(default_factory=dict)

    def keep(self, number: int, lines: list[str]) -> None:
        self.lines[number] = lines
        while len(self.lines) > 16:
            del self.lines[next(iter(self.lines))]


class ApplicationShell:
    """Shell of one application.

    Args:
        plan: of the application.
        parts: what it shares with others.
        machine: that decides; None: one of its own.

    Attributes:
        name: of the application.
        machine: see above.
        code: its exit code, once it has ended.
    """

    def __init__(
        self, plan: AppPlan, parts: ShellParts, machine: ApplicationMachine | None = None
    ) -> None:
        self.name = plan.name
        self.machine = machine or ApplicationMachine(plan.policy)
        self.code: int | None = None
        self._plans = {self.machine.generation: plan}
        self._parts = parts
        self._running: dict[int, RunningCopy] = {}
        self._failed = _Failed()

    @property
    def plan(self) -> AppPlan:
        """Plan by which copies are started now: that of the last rollout that brought one and has not failed."""
        generation = self.machine.generation
        return self._plans[max(brought for brought in self._plans if brought <= generation)]

    # --- the loop's side ---

    def due(self) -> float | None:
        """Return when :meth:`tick` is to be called at the latest."""
        times = [one.announce_at for one in self._running.values()]
        return min((t for t in (self.machine.due(), *times) if t is not None), default=None)

    def tick(self) -> None:
        """Do what is due."""
        now = self._parts.clock()
        for one in tuple(self._running.values()):
            if one.announcer is not None and one.announce_at is not None and one.announce_at <= now:
                one.announce(now)
        self._do(self.machine.tick(now))

    def reaping(self, pid: int, status: ReapedStatus) -> bool:
        """Take note that a process has ended; False if it is none of the copies.

        Args:
            pid: that has ended, and is not reaped yet.
            status: reaps it.
        """
        found = [number for number, one in self._running.items() if one.process.pid == pid]
        if not found:
            return False
        number = found[0]
        one = self._running.pop(number)
        one.process.end()
        code = status()
        for pipe in one.pipes:
            self._parts.unwatch(pipe.fileno())
            pipe.drain()
            pipe.close()
        self._withdrawn(one)
        one.remove_socket()
        self._failed.keep(number, list(one.kept))
        shell_code = code if code >= 0 else 128 - code
        self._do(self.machine.died(number, in_words(code), shell_code, self._parts.clock()))
        return True

    def router_is_new(self) -> None:
        """Announce all copies at once: the router has started again."""
        for one in self._running.values():
            if one.announcer is not None:
                one.announce_at = self._parts.clock()

    def rollout(self, *, surge: bool | None = None, plan: AppPlan | None = None) -> int:
        """Begin a rollout, or have one follow; return its generation.

        Args:
            surge: all new copies at once; None: as the plan has it.
            plan: of its copies, with the same name; None: as before.
        """
        policy = None if plan is None else plan.policy
        now = self._parts.clock()
        generation, actions = self.machine.rollout(now, surge=surge, policy=policy)
        if plan is not None:
            self._plans[generation] = plan
        self._do(actions)
        return generation

    def _rollout_ended(self, ended: RolloutEnded) -> None:
        """Forget the plans that are out of use."""
        if ended.goes_back:
            self._plans.pop(ended.generation, None)
        last = max(brought for brought in self._plans if brought <= ended.generation)
        self._plans = {brought: one for brought, one in self._plans.items() if brought >= last}
        self._parts.rollout_ended(self.name, ended, self.last_lines(ended.number))

    def stop(self, *, drain: bool) -> None:
        """Stop all copies; with ``drain`` their requests may end before."""
        self._do(self.machine.stop(self._parts.clock(), drain=drain))

    def kill(self) -> None:
        """End all copies at once."""
        self._do(self.machine.kill(self._parts.clock()))

    def signal(self, number: int) -> None:
        """Send all copies a signal."""
        for one in self._running.values():
            one.process.signal(number)

    # --- figures ---

    @property
    def traffic(self) -> tuple[int, int]:
        """Requests that the copies which run have had, and that they have now, as far as the router was asked."""
        figures = [one.figures for one in self._running.values() if one.figures is not None]
        return sum(one.requests for one in figures), sum(one.running for one in figures)

    @property
    def has_answered(self) -> bool:
        """True if the router has had an answer of a copy that runs, as far as it was asked."""
        return any(
            one.figures is not None and one.figures.requests for one in self._running.values()
        )

    def measure(self, figures: Mapping[str, link.NodeFigures]) -> None:
        """Take note of what the router says of the copies."""
        now = self._parts.clock()
        for number, one in tuple(self._running.items()):
            found = figures.get(one.address.text)
            if found is None:
                continue
            one.figures = found
            self._do(self.machine.measured(number, now, requests=found.requests))
            limit = one.plan.stuck_after
            all_wait = found.waiting and found.waiting == found.running
            if limit and all_wait and found.waiting_since >= limit:
                self._do(self.machine.stuck(number, found.waiting_since, now))

    def weigh(self) -> None:
        """Measure the memory of all copies, in the background."""
        for number, one in self._running.items():
            self._parts.questions.ask(
                partial(memory_of, one.process.pid), partial(self._weighed, number)
            )

    def _weighed(self, number: int, rss: Any) -> None:
        one = self._running.get(number)
        if one is not None and isinstance(rss, int):
            one.rss = rss
            self._do(self.machine.measured(number, self._parts.clock(), rss=rss))

    def status(self) -> Iterator[dict[str, Any]]:
        """Return a line for each copy, for ``uwsgi-router status``."""
        now = self._parts.clock()
        for number, copy in self.machine.copies.items():
            one = self._running.get(number)
            if one is None:
                continue
            yield one.line(copy, now)

    def last_lines(self, number: int | None) -> list[str]:
        """Return the last lines of a copy that has ended, or still runs."""
        if number is None:
            return []
        one = self._running.get(number)
        return list(one.kept) if one is not None else self._failed.lines.get(number, [])

    # --- the machine's side ---

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case StartCopy(number):
                    self._start(number)
                case CheckCopy(number, warm):
                    self._check(number, warm=warm)
                case AnnounceCopy(number):
                    self._begin_to_announce(number)
                case WithdrawCopy(number, requests, streams):
                    self._withdraw(number, requests, streams)
                case StopCopy(number, kill):
                    self._stop(number, kill=kill)
                case ShowStacks(number):
                    self._show_stacks(number)
                case Say(text, about, level):
                    name = self.name if about is None else f"{self.name}.{about}"
                    log.log(level, "%s %s", name, text)
                case RolloutEnded():
                    self._rollout_ended(action)
                case AppEnded(code):
                    self.code = code

    def _start(self, number: int) -> None:
        plan, parts, name = self.plan, self._parts, f"{self.name}.{number}"
        try:
            address = address_for(plan.command, parts.directory, name, self._ports())
            environ = environment_of(parts.environ, plan.env, address)
            process = CopyProcess(
                CopyLaunch(address.arguments, environ, plan.cwd, plan.user, plan.group)
            )
        except (CannotStart, SubscribeError) as exc:
            code = exc.code if isinstance(exc, CannotStart) else 1
            self._failed.keep(number, [str(exc)])
            how = f"can't be started: {exc}"
            self._post(lambda now: self.machine.died(number, how, code, now))
            return
        kept = kept_lines()
        pipes = [
            NamedLines(descriptor, name, write, kept)
            for descriptor, write in zip(process.output, (parts.stdout, parts.stderr), strict=True)
        ]
        now = parts.clock()
        self._running[number] = RunningCopy(plan, name, address, process, pipes, kept, now)
        for pipe in pipes:
            parts.watch(pipe.fileno(), partial(self._read, pipe))
        log.info("%s starts, pid %d, on %s", name, process.pid, address.text)

    def _post(self, event: Callable[[float], list[Action]]) -> None:
        """Tell the machine of an event once the loop turns: it may be in the middle of a decision."""
        self._parts.questions.post(lambda: self._do(event(self._parts.clock())))

    def _ports(self) -> set[int]:
        addresses = (one.address.text for one in self._running.values())
        return {int(text.rpartition(":")[2]) for text in addresses if not text.startswith("/")}

    def _read(self, pipe: NamedLines) -> None:
        if not pipe.read():
            # Closed by the program; what is left of it is closed when it is reaped.
            self._parts.unwatch(pipe.fileno())

    def _check(self, number: int, *, warm: bool) -> None:
        one = self._running.get(number)
        if one is None:
            return
        function = partial(trouble_of, one.plan, one.address.text, warm=warm)
        self._parts.questions.ask(function, partial(self._checked, number))

    def _checked(self, number: int, trouble: Any) -> None:
        now = self._parts.clock()
        one = self._running.get(number)
        if one is None:
            return
        if isinstance(trouble, Exception):
            trouble = f"it can't be checked: {trouble}"
        if trouble is not None and not one.told and now - one.began > _TELL_AFTER:
            one.told = True
            self._tell(one, trouble)
        self._do(self.machine.checked(number, trouble, now))

    def _tell(self, one: RunningCopy, trouble: str) -> None:
        """Say why a copy does not serve yet, and what to write if it listens elsewhere."""
        if trouble.startswith("cannot connect"):
            found = listeners_of(one.process.pid)
            trouble = advice(one.plan.command, one.address.text, found)
        log.warning("%s does not serve yet: %s", one.name, trouble)

    def _begin_to_announce(self, number: int) -> None:
        one = self._running.get(number)
        if one is None:
            return
        router = self._parts.router
        if router is not None:
            one.begin_to_announce(router.announce, self._parts.clock())
        if router is None or router.control is None:
            self._post(lambda now: self.machine.announced(number, now))
        else:
            self._confirm(number, router.control)

    def _confirm(self, number: int, control: str) -> None:
        """Wait until the router has the copy: until then no other one may leave."""
        one = self._running.get(number)
        if one is None or one.announcer is None:
            return
        self._parts.questions.ask(
            partial(link.await_node, control, one.address.text, _CONFIRM),
            partial(self._confirmed, number, control),
        )

    def _confirmed(self, number: int, control: str, known: Any) -> None:
        one = self._running.get(number)
        if one is None or one.announcer is None:
            return
        if known is True:
            self._do(self.machine.announced(number, self._parts.clock()))
        else:
            one.announce(self._parts.clock())
            self._confirm(number, control)

    def _withdraw(self, number: int, requests: float, streams: float) -> None:
        one = self._running.get(number)
        if one is None:
            return
        router = self._parts.router
        if router is None:
            self._post(lambda now: self.machine.drained(number, now))
            return
        control, address = router.control, one.address.text
        log.info("%s drains: requests have %g s, streams %g s", one.name, requests, streams)
        if control is None:
            # Its requests have all of their time: nobody says when they have ended.
            self._withdrawn(one)
            return
        self._parts.questions.ask(
            partial(link.drain_node, control, address, requests, streams),
            partial(self._drained, number),
        )

    def _drained(self, number: int, left: Any) -> None:
        one = self._running.get(number)
        if one is not None and left is not None:
            log.warning("%s: %s", one.name, left)
        if one is not None:
            self._withdrawn(one)
        self._do(self.machine.drained(number, self._parts.clock()))

    def _withdrawn(self, one: RunningCopy) -> None:
        one.withdraw(tell=self._parts.router_runs())

    def _stop(self, number: int, *, kill: bool) -> None:
        one = self._running.get(number)
        if one is None:
            return
        self._withdrawn(one)
        if kill:
            one.process.kill()
            return
        if one.is_stuck and not one.plan.stacks:
            one.process.signal_session(_FAULT)
        why = one.process.signal(signal.SIGTERM)
        if why is not None:
            log.warning("%s can't be sent TERM: %s", one.name, why)

    def _show_stacks(self, number: int) -> None:
        one = self._running.get(number)
        if one is None:
            return
        one.is_stuck = True
        if one.plan.stacks:
            one.process.signal_session(one.plan.stacks)
