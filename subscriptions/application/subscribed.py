"""Program of ``subscribe``: the one copy of an application that is announced to any routers, and not started again.

State machine and loop are those of ``serve``. What differs is here: the address is known beforehand, or found on the
route to a router; the output is the program's own; routers may be anywhere, so that most can't be asked what a node
still does; signals are the program's; its end is ours.
"""

import logging
import math
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from uwsgi_router.subscriptions.application.actions import (
    Action,
    AnnounceCopy,
    AppEnded,
    CheckCopy,
    StartCopy,
    StopCopy,
    WithdrawCopy,
)
from uwsgi_router.subscriptions.application.loop import ReapedStatus, SupervisorLoop
from uwsgi_router.subscriptions.application.machine import ApplicationMachine
from uwsgi_router.subscriptions.application.not_ready import NotReadyLog
from uwsgi_router.subscriptions.application.plan import CopyPolicy
from uwsgi_router.subscriptions.application.program import CopyLaunch, CopyProcess
from uwsgi_router.subscriptions.client.address import is_auto
from uwsgi_router.subscriptions.client.announcement import Announcement
from uwsgi_router.subscriptions.client.announcer import Announcer
from uwsgi_router.subscriptions.client.drain import Drain
from uwsgi_router.subscriptions.client.ends import in_words
from uwsgi_router.subscriptions.client.environment import environment, fill_in
from uwsgi_router.subscriptions.client.notify import notify_socket
from uwsgi_router.subscriptions.client.readiness import Check
from uwsgi_router.subscriptions.client.schedule import INTERVAL, Schedule

log = logging.getLogger("subscriptions.client")

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
#: Never passed on: what can't be caught, what tells of children, and what a fault of our own would raise.
_OWN: Final = frozenset(
    {
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGCHLD,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGABRT,
        signal.SIGTRAP,
        signal.SIGSYS,
    }
)
# How often a server's name is looked up that the program's own address depends on.
_RETRY_EVERY: Final = 1.0
# A datagram can get lost: the withdrawal is repeated after so many seconds.
_AGAIN: Final = 1.0
# Seconds before the first check, and the longest pause between two.
_CHECK_FIRST: Final = 0.1
_CHECK_MOST: Final = 2.0
# The number of the only copy.
_COPY: Final = 1


@dataclass(frozen=True, slots=True)
class SubscribePlan:
    """Parameters of an announced program, as the command line gives them.

    Attributes:
        announcements: at least one.
        program: its name and arguments, with placeholders.
        check: when it counts as ready.
        drain: what is waited for between unsubscribe and SIGTERM.
        interval: seconds between announces.
        notify: where routers may answer; None: somewhere, if they are on this machine.
    """

    announcements: tuple[Announcement, ...]
    program: tuple[str, ...]
    check: Check = field(default_factory=Check)
    drain: Drain = field(default_factory=Drain)
    interval: float = INTERVAL
    notify: str | None = None

    @property
    def policy(self) -> CopyPolicy:
        """Policy of the only copy: nobody limits how long it takes to start, and to end."""
        return CopyPolicy(
            replicas=1,
            restart=False,
            start_timeout=math.inf,
            mercy=math.inf,
            drain=self.drain.longest,
            drain_streams=0.0,
            check_first=_CHECK_FIRST,
            check_most=_CHECK_MOST,
            check_every=0.0,
        )


class SubscribedProgram:
    """Announced program, from its start to its end.

    Args:
        plan: what to do.
        environ: the program's environment before anything is added.
        clock: seconds that don't jump.

    Raises:
        SubscribeError: there is no socket for answers.
    """

    def __init__(
        self,
        plan: SubscribePlan,
        environ: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._environ = environ
        self._clock = clock
        self._name = os.path.basename(plan.program[0])
        notify = notify_socket(plan.announcements, plan.notify)
        self._announcer = Announcer(plan.announcements, notify=notify)
        self._schedule = Schedule(plan.interval)
        self._machine = ApplicationMachine(plan.policy)
        self._loop = SupervisorLoop(clock)
        self._timers: dict[Callable[[], None], float] = {}
        self._settled = False
        self._process: CopyProcess | None = None
        self._not_ready: NotReadyLog | None = None
        self._passed_on = False
        self._code: int | None = None

    def run(self) -> int:
        """Run the program until it ends, and return the exit code.

        Raises:
            SubscribeError: an address can't be reached, or nothing can be signed.
            CannotStart: the program doesn't run.
        """
        self._look_up()
        self._loop.run(self, signal.valid_signals() - _OWN)
        return self._code or 0

    # --- the loop's side ---

    def due(self, _now: float) -> float | None:
        """Return when something is to be done without an event."""
        times = list(self._timers.values())
        machine = self._machine.due() if self._settled else None
        if machine is not None:
            times.append(machine)
        if self._not_ready is not None:
            times.append(self._not_ready.due)
        return min(times, default=None)

    def tick(self, now: float) -> None:
        """Do what is due."""
        for function, at in tuple(self._timers.items()):
            if at <= now and self._timers.pop(function, None) is not None:
                function()
        if self._not_ready is not None:
            self._not_ready.tick(now)
        if self._settled:
            self._do(self._machine.tick(now))

    def signalled(self, number: int) -> None:
        """Take a signal: withdraw and stop the program, or pass it on."""
        if number not in _STOPPING or self._passed_on:
            self._send(number)
            return
        name = signal.Signals(number).name
        if self._machine.stopping:
            log.info("%s again: requests are waited for no longer", name)
            self._do(self._machine.stop(self._clock(), drain=False))
            return
        log.info("%s: stopping", name)
        if self._process is None:
            self._code = 128 + number
        else:
            self._do(self._machine.stop(self._clock(), drain=True))

    def reaping(self, pid: int, status: ReapedStatus) -> bool:
        """Take note that the program has ended; False if it was another process, whose parent has left it to us."""
        process = self._process
        if process is None or pid != process.pid:
            return False
        process.end()
        code = status()
        log.info("%s %s", self._name, in_words(code))
        if not self._machine.stopping and self._announcer.leave():
            log.warning("%s ended by itself: unsubscribed", self._name)
        shell_code = code if code >= 0 else 128 - code
        self._do(self._machine.died(_COPY, in_words(code), shell_code, self._clock()))
        return True

    def is_over(self) -> bool:
        """Return True once the program has ended, or is not to start."""
        return self._code is not None

    def close(self) -> None:
        """Withdraw nothing more; who still runs gets TERM."""
        if not self._passed_on:
            self._send(signal.SIGTERM)
        self._announcer.close()

    # --- before it starts ---

    def _look_up(self) -> None:
        """Look up servers; the address ``auto`` can't be known before, and the program is to be told it."""
        self._loop.questions.ask(self._announcer.resolve, self._looked_up)

    def _looked_up(self, all_found: Any) -> None:
        announcer = self._announcer
        is_open = all(is_auto(one.address) for one in announcer.announcements)
        if all_found is not True and not announcer.found and is_open:
            self._later(_RETRY_EVERY, self._look_up)
            return
        announcer.settle()
        self._settled = True

    def _found(self) -> list[Announcement]:
        """Return announcements with an address: a server with a name may not have been found yet."""
        return [one for one in self._announcer.announcements if not is_auto(one.address)]

    # --- the machine's side ---

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case StartCopy():
                    self._start()
                case CheckCopy():
                    self._loop.questions.ask(self._trouble, self._checked)
                case AnnounceCopy():
                    self._begin_to_announce()
                case WithdrawCopy():
                    self._withdraw()
                case StopCopy():
                    self._stop()
                case AppEnded(code):
                    self._code = code

    def _start(self) -> None:
        first = self._found()[0]
        launch = CopyLaunch(
            fill_in(self._plan.program, first.address),
            environment(self._environ, first.address, first.proto),
            inherits=True,
        )
        self._process = CopyProcess(launch)
        log.info("started %s, pid %d", self._name, self._process.pid)
        self._not_ready = NotReadyLog(f"{first.address} has not answered", self._clock())

    def _trouble(self) -> str | None:
        """Ask the program at each of its addresses; return what is wrong with the first that is not ready. Blocks."""
        for address, proto in dict.fromkeys((one.address, one.proto) for one in self._found()):
            trouble = self._plan.check.trouble(address, proto)
            if trouble is not None:
                return trouble
        return None

    def _checked(self, trouble: Any) -> None:
        now = self._clock()
        if isinstance(trouble, Exception):
            trouble = f"it can't be checked: {trouble}"
        if trouble is None:
            self._not_ready = None
        elif self._not_ready is not None:
            self._not_ready.found(trouble, now)
        self._do(self._machine.checked(_COPY, trouble, now))

    def _begin_to_announce(self) -> None:
        announcer = self._announcer
        well = announcer.announce()
        for one in announcer.announcements:
            what = one.key or f"the keys in {one.key_file}"
            text = "announcing %s => %s (%s, weight %d) to %s"
            log.info(text, what, one.address, one.proto, one.weight, one.server)
        if announcer.notify is not None:
            self._loop.watch(announcer.notify.fileno(), announcer.notify.read)
        self._later(self._schedule.after(well=well), self._renew)
        # Routers elsewhere don't confirm it.
        self._do(self._machine.announced(_COPY, self._clock()))

    def _renew(self) -> None:
        """Announce it again, to the addresses that the servers' names have now."""
        self._loop.questions.ask(self._announcer.resolve, self._announce)

    def _announce(self, _all_found: Any) -> None:
        if self._machine.serving:
            well = self._announcer.announce()
            self._later(self._schedule.after(well=well), self._renew)

    def _withdraw(self) -> None:
        """Unsubscribe, and let the program serve on until what was sent to it before is done."""
        self._timers.pop(self._renew, None)
        if self._announcer.notify is not None:
            self._loop.unwatch(self._announcer.notify.fileno())
        if not self._announcer.leave():
            self._drained()
            return
        drain = self._plan.drain
        log.info("unsubscribed; requests under way have %g s", drain.longest)
        self._later(_AGAIN, self._leave_again)
        self._later(drain.longest, self._drained)
        if drain.control is not None:
            wait = partial(drain.wait, self._announcer.told)
            self._loop.questions.ask(wait, lambda _: self._drained())

    def _leave_again(self) -> None:
        self._announcer.leave()

    def _drained(self) -> None:
        self._do(self._machine.drained(_COPY, self._clock()))

    def _stop(self) -> None:
        self._timers.clear()
        self._not_ready = None
        assert self._process is not None
        log.info("passing SIGTERM on to %s, pid %d", self._name, self._process.pid)
        self._send(signal.SIGTERM)
        self._passed_on = True

    def _send(self, number: int) -> None:
        """Send the program a signal, if it runs."""
        if self._process is not None:
            why = self._process.signal(number)
            if why is not None:
                # It has become another user, perhaps.
                log.warning("cannot send signal %d to %s: %s", number, self._name, why)

    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        self._timers[function] = self._clock() + seconds
