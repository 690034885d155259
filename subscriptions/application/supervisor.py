"""Supervision of applications and of the router before them: signals, ends of processes, the stop.

Each copy is in a session of its own, and only what is in one of them is ever signalled.
"""

import logging
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from uwsgi_router.subscriptions.application import link
from uwsgi_router.subscriptions.application.actions import RolloutEnded
from uwsgi_router.subscriptions.application.loop import (
    ReapedStatus,
    SupervisorLoop,
    become_subreaper,
)
from uwsgi_router.subscriptions.application.router_process import RouterProcess
from uwsgi_router.subscriptions.application.running_copy import RouterSockets
from uwsgi_router.subscriptions.application.shell import ApplicationShell
from uwsgi_router.subscriptions.client.control import CannotAsk

log = logging.getLogger("uwsgi-router.serve")

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_HANDLED: Final = (
    *_STOPPING,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
# Seconds between two looks at the copies' figures, and at their memory; at that sooner if somebody wants to know it.
_FIGURES: Final = 1.0
_MEMORY: Final = 10.0
_MEMORY_SOONER: Final = 1.0
# Seconds of the whole stop that copies have once the router has ended.
_LAST: Final = 5.0
#: Seconds for which the router may take to read its files again.
ROUTER_READS: Final = 30.0

#: Is told how a rollout ended: application, generation, reason or None, last lines of the copy that failed.
RolloutListener = Callable[[str, int, str | None, Sequence[str]], None]


class RolloutRefused(Exception):
    """Error for a rollout that can't begin; ``str()`` says why."""


class RolloutStarter(Protocol):
    """Beginning of rollouts, where more is to be done than to replace copies: files are read again."""

    def begin(self, app: str, *, surge: bool | None, hangup: bool) -> Mapping[str, int]:
        """Begin a rollout.

        Args:
            app: of this application; "": of all.
            surge: all new copies at once; None: as each application has it.
            hangup: the router is to read its configuration again, too.

        Returns:
            The generation that each application rolls to.

        Raises:
            RolloutRefused: it can't begin; everything stays as it is.
        """


class LoopPart(Protocol):
    """Part of the loop that has descriptors of its own (a control server, a watch of files)."""

    def start(self, supervision: "Supervision") -> None:
        """Begin; descriptors are given to :meth:`Supervision.watch`."""

    def close(self) -> None:
        """End."""


class Supervision:
    """Supervision of a router and of applications, until a signal ends it.

    Args:
        router: the process that is started before the copies; None: it runs elsewhere.
        sockets: of the router; None: there is none.
        stop_timeout: seconds for the whole stop.
        tell: told ``ready`` once a copy of each application serves, and ``stopping``.
        clock: seconds that don't jump.

    Attributes:
        applications: their shells, by name.
        router: see above.
        loop: that it runs in.
        questions: what blocks, in threads.
        watch: as :meth:`SupervisorLoop.watch`.
        unwatch: as :meth:`SupervisorLoop.unwatch`.
        stopping: it has begun to stop.
        stop_timeout: see above.
        starter: begins rollouts; None: copies are replaced, that is all.
    """

    def __init__(
        self,
        router: RouterProcess | None,
        sockets: RouterSockets | None,
        *,
        stop_timeout: float = 25.0,
        tell: Callable[[str], None] = lambda _state: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.applications: dict[str, ApplicationShell] = {}
        self.router = router
        self.loop = SupervisorLoop(clock)
        self.questions = self.loop.questions
        self.watch = self.loop.watch
        self.unwatch = self.loop.unwatch
        self.stopping = False
        self.stop_timeout = stop_timeout
        self.starter: RolloutStarter | None = None
        self._sockets = sockets
        self._leaving: list[ApplicationShell] = []
        self._counts: dict[str, int] = {}
        self._tell = tell
        self._told_ready = False
        self._clock = clock
        self._listeners: list[RolloutListener] = []
        self._parts: list[LoopPart] = []
        self._looks: list[Callable[[], None]] = []
        self._untold: list[Callable[[], None]] = []
        self._tell_by = 0.0
        self._signals = 0
        self._end: float | None = None
        self._figures_at = 0.0
        self._memory_at = self._memory_sooner = 0.0
        self._asking = False

    # --- parts ---

    def add(self, shell: ApplicationShell) -> None:
        """Take an application in."""
        self.applications[shell.name] = shell

    def remove(self, name: str) -> None:
        """Stop an application and forget it; its requests may end before."""
        shell = self.applications.pop(name)
        self._leaving.append(shell)
        shell.stop(drain=True)
        self._counts[name] = shell.machine.count

    def count_of(self, name: str) -> int:
        """Return how many copies an application has had that was removed: their numbers are not given again."""
        return self._counts.get(name, 0)

    def part(self, part: LoopPart) -> None:
        """Take a part in, which is closed at the end."""
        self._parts.append(part)
        part.start(self)

    def end_part(self, part: LoopPart) -> None:
        """Close a part now."""
        self._parts.remove(part)
        part.close()

    def look(self, function: Callable[[], None]) -> None:
        """Have a function called every second, until the stop begins."""
        self._looks.append(function)

    def weigh_sooner(self) -> None:
        """Have the copies' memory measured soon: somebody asks for it."""
        self._memory_at = min(self._memory_at, self._memory_sooner)

    def listen(self, listener: RolloutListener) -> None:
        """Have a function told how rollouts end."""
        self._listeners.append(listener)

    def rollout_ended(self, name: str, ended: RolloutEnded, lines: list[str]) -> None:
        """Tell listeners, and the log, how a rollout ended."""
        if ended.reason is not None:
            who = name if ended.number is None else f"{name}.{ended.number}"
            log.error("rollout of %s failed: %s %s", name, who, ended.reason)
        tell = partial(self._tell_listeners, name, ended, lines)
        if ended.reason is None and self.router is not None and not self.router.has_reloaded:
            # Before that, requests for new hosts do not find the application.
            self._untold.append(tell)
            self._tell_by = self._clock() + ROUTER_READS
        else:
            tell()

    def _tell_listeners(self, name: str, ended: RolloutEnded, lines: list[str]) -> None:
        for listener in self._listeners:
            listener(name, ended.generation, ended.reason, lines)

    def _tell_untold(self, now: float) -> None:
        """Tell of rollouts that have ended, once the router has read its files again."""
        if self._untold and (
            self.router is None or self.router.has_reloaded or now >= self._tell_by
        ):
            untold, self._untold = self._untold, []
            for tell in untold:
                tell()

    # --- its life ---

    def run(self) -> int:
        """Supervise until everything has ended; return the exit code."""
        become_subreaper()
        if self.router is not None:
            router = self.router
            self.watch(router.fileno(), lambda: router.read(self._clock()))
        self.loop.run(self, _HANDLED)
        return self._code()

    def stop(self, *, hurry: bool = False, within: float | None = None) -> None:
        """Begin to stop.

        Args:
            hurry: requests are not waited for.
            within: seconds for the whole stop at most; None: as it was given.
        """
        now = self._clock()
        if not self.stopping:
            self.stopping = True
            self._tell("stopping")
            seconds = self.stop_timeout if within is None else min(within, self.stop_timeout)
            self._end = now + seconds
            if self.router is None:
                for shell in self.applications.values():
                    shell.stop(drain=not hurry)
            else:
                # While it finishes requests the copies serve them.
                self.router.stop(signal.SIGINT if hurry else signal.SIGTERM)
        elif hurry:
            if self.router is not None:
                self.router.stop(signal.SIGINT)
            for shell in self._shells():
                shell.stop(drain=False)
        if hurry:
            self._end = min(self._end or now, now + _LAST)

    def begin_rollout(
        self, app: str = "", *, surge: bool | None = None, hangup: bool = False
    ) -> Mapping[str, int]:
        """Begin a rollout; as :meth:`RolloutStarter.begin`.

        Raises:
            RolloutRefused: it can't begin.
        """
        if self.stopping:
            raise RolloutRefused("it stops")
        if self.starter is not None:
            return self.starter.begin(app, surge=surge, hangup=hangup)
        if app and app not in self.applications:
            raise RolloutRefused(f"there is no application {app}")
        names = [app] if app else list(self.applications)
        return {name: self.applications[name].rollout(surge=surge) for name in names}

    def rollout(self, *, hangup: bool = False) -> None:
        """Begin a rollout of every application, or say why not."""
        try:
            self.begin_rollout(hangup=hangup)
        except RolloutRefused as exc:
            log.error("no rollout, everything goes on as before: %s", exc)  # noqa: TRY400 - one line

    # --- steps ---

    def _shells(self) -> list[ApplicationShell]:
        """Return the shells of all applications that run, also of those that leave."""
        return [*self.applications.values(), *self._leaving]

    def due(self, _now: float) -> float | None:
        """Return when something is to be done without an event."""
        times: list[float | None] = []
        if self.router is not None:
            times.append(self.router.due())
        if self.router is None or self.router.was_ready:
            times += [shell.due() for shell in self._shells()]
        if self._end is not None:
            times.append(self._end)
        else:
            times += [self._figures_at, self._memory_at]
        return min((t for t in times if t is not None), default=None)

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self.router is not None:
            self.router.tick(now)
            if self.router.code is not None and not self.stopping:
                # It could not even start: it has said why.
                self.stop(hurry=True)
        if self.router is None or self.router.was_ready:
            for shell in self._shells():
                shell.tick()
        self._leaving = [shell for shell in self._leaving if shell.code is None]
        self._tell_untold(now)
        if not self.stopping:
            self._look(now)
            self._say_ready()
            if all(shell.code is not None for shell in self.applications.values()):
                self.stop(hurry=True)
            return
        if self._router_has_ended():
            self._stop_copies()
        if self._end is not None and now >= self._end:
            self._force()

    def _say_ready(self) -> None:
        """Tell once that requests are answered."""
        shells = self.applications.values()
        if not self._told_ready and all(shell.machine.has_served for shell in shells):
            self._told_ready = True
            self._tell("ready")

    def _look(self, now: float) -> None:
        """Ask for the copies' figures and memory, where something depends on them."""
        if now >= self._figures_at:
            self._figures_at = now + _FIGURES
            for look in self._looks:
                look()
            control = None if self._sockets is None else self._sockets.control
            if not self._asking and self.applications and control is not None:
                self._asking = True
                self.questions.ask(partial(_figures, control), self._have_figures)
        if now >= self._memory_at:
            self._memory_at, self._memory_sooner = now + _MEMORY, now + _MEMORY_SOONER
            for shell in self.applications.values():
                shell.weigh()

    def _have_figures(self, figures: Any) -> None:
        self._asking = False
        if isinstance(figures, dict):
            for shell in self.applications.values():
                shell.measure(figures)

    # --- stopping ---

    def _router_has_ended(self) -> bool:
        return self.router is None or not self.router.pid

    def _stop_copies(self) -> None:
        if self.router is not None:
            for shell in self.applications.values():
                if not shell.machine.stopping:
                    shell.stop(drain=False)

    def _force(self) -> None:
        """End what has not ended in time."""
        self._end = None if self._router_has_ended() else self._clock() + 1.0
        if self.router is not None:
            self.router.signal(signal.SIGKILL)
        for shell in self._shells():
            if shell.code is None:
                log.warning("%s does not end in time: killed", shell.name)
                shell.kill()

    def is_over(self) -> bool:
        """Return True once everything has ended."""
        ended = all(shell.code is not None for shell in self._shells())
        return self.stopping and ended and self._router_has_ended()

    def _code(self) -> int:
        if self.router is not None and not self.router.was_ready:
            return self.router.code or 0
        codes = [shell.code for shell in self.applications.values() if shell.code]
        return codes[0] if codes else 0

    def close(self) -> None:
        """End what is left."""
        for part in self._parts:
            part.close()
        if self.router is not None:
            if self.router.pid:
                self.router.signal(signal.SIGKILL)
            self.router.close()
        for shell in self._shells():
            shell.kill()

    # --- signals and ends of processes ---

    def signalled(self, number: int) -> None:
        """Take a signal: stop, begin a rollout, or tell of the copies."""
        name = signal.Signals(number).name
        if number in _STOPPING:
            self._signals += 1
            if self.stopping or number == signal.SIGQUIT:
                log.info("%s: requests are waited for no longer", name)
                self.stop(hurry=True)
            else:
                text = "%s: stopping within %g s; a second signal hurries"
                log.info(text, name, self.stop_timeout)
                self.stop()
            if self._signals > 2:
                self._end = self._clock()
        elif number == signal.SIGHUP:
            log.info("SIGHUP: rollout")
            self.rollout(hangup=True)
        elif number == signal.SIGUSR1 and self.router is not None:
            self.router.signal(number)
        elif number == signal.SIGUSR2:
            for shell in self.applications.values():
                for line in shell.status():
                    log.info("%s", " ".join(f"{name}={value}" for name, value in line.items()))

    def reaping(self, pid: int, status: ReapedStatus) -> bool:
        """Take note that the router, or a copy, has ended; False if it was neither."""
        if self.router is not None and pid == self.router.pid:
            self.router.ended(status(), self._clock())
            return True
        return any(shell.reaping(pid, status) for shell in self._shells())


def _figures(control: str) -> Any:
    """Ask for the copies' figures; blocks."""
    try:
        return link.figures(control)
    except CannotAsk:
        return {}
