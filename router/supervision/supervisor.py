"""Supervisor of a program: a child process that is started, watched, restarted with back-off, and ended with mercy."""

import logging
import os
import signal
from collections.abc import Callable
from typing import Final

from uwsgi_router.router.supervision.loop import SelectorLoop, Timer
from uwsgi_router.router.supervision.machine import Action, ProgramMachine, RestartTiming, State
from uwsgi_router.router.supervision.process import ChildCommand, cause_of, reap, spawn

log = logging.getLogger("uwsgi-router.master")

_NEVER: Final = float("inf")


class SupervisedProgram:
    """Supervised program.

    Args:
        loop: waits.
        name: for the log.
        command: makes the command of the next process; called before each start.
        timing: see :class:`RestartTiming`.

    Attributes:
        name: see above.
        machine: its state.
        pid: of its process; 0: there is none.
        on_started: called when a process was started.
        on_ended: called when one has ended, with its exit status (negative: the signal).
    """

    def __init__(
        self,
        loop: SelectorLoop,
        name: str,
        command: Callable[[], ChildCommand],
        timing: RestartTiming | None = None,
    ) -> None:
        self._loop = loop
        self.name = name
        self._command = command
        self.machine = ProgramMachine(timing or RestartTiming(), loop.time())
        self.pid = 0
        self._pidfd = -1
        self._timer: Timer | None = None
        self.on_started: Callable[[], object] = lambda: None
        self.on_ended: Callable[[int], object] = lambda _code: None

    def __repr__(self) -> str:
        return f"<SupervisedProgram {self.name} {self.machine.state.value} pid={self.pid}>"

    def start(self) -> None:
        """Start it, and again whenever it ends."""
        self._look()

    def adopt(self, pid: int, *, ready: bool) -> None:
        """Go on with a process that is our child already."""
        self.machine.adopted(ready=ready, now=self._loop.time())
        self._watch(pid)
        self._arm()

    def ready(self) -> None:
        """Note that it does its work."""
        self.machine.ready()
        self._arm()

    def stop(self, number: signal.Signals | None = None, mercy: float = 0.0) -> None:
        """Start it no more, and expect its end.

        Args:
            number: sent to it; None: it was told in another way.
            mercy: seconds that it has for what it is doing; later it is killed.
        """
        if number is not None:
            self.signal(number)
        self.machine.stop(self._loop.time(), mercy)
        self._arm()

    def stop_by(self, deadline: float | None) -> None:
        """Expect its end as before an exec; see :meth:`ProgramMachine.stop_by`."""
        self.machine.stop_by(deadline)
        self._arm()

    def kill(self, *, again: bool = True) -> None:
        """End its process at once.

        Args:
            again: it is started again, unless it was told to end.
        """
        self.signal(signal.SIGKILL)
        self.machine.killed(again=again)
        self._arm()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its process, if there is one."""
        if self._pidfd >= 0:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                pass

    def _look(self) -> None:
        action = self.machine.act(self._loop.time())
        if action is Action.START:
            self._start()
        elif action is not None:
            what = "get ready" if action is Action.KILL_UNREADY else "end"
            log.error("%s (pid %d) does not %s: killed", self.name, self.pid, what)
            self.kill()
        self._arm()

    def _start(self) -> None:
        try:
            pid = spawn(self._command())
        except OSError as exc:
            self.machine.started(self._loop.time())
            delay = self.machine.ended(self._loop.time())
            text = "%s can't be started: %s; next attempt in %g s"
            log.error(text, self.name, exc.strerror, delay or 0)  # noqa: TRY400 - one line
            return
        self.machine.started(self._loop.time())
        self._watch(pid)
        self.on_started()

    def _watch(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._loop.add_reader(self._pidfd, self._ended)

    def _arm(self) -> None:
        """Look again when something is due."""
        due = self.machine.due
        if self._timer is not None:
            if self._timer.when == (due or _NEVER) and not self._timer.cancelled:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_later(due - self._loop.time(), self._look)

    def _ended(self) -> None:
        code = reap(self.pid)
        if code is None:
            return
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        pid, self.pid, self._pidfd = self.pid, 0, -1
        expected = self.machine.state in (State.STOPPING, State.KILLED)
        delay = self.machine.ended(self._loop.time())
        if not expected:
            when = "at once" if not delay else f"in {delay:g} s"
            text = "%s (pid %d) has ended (%s)" + ("" if delay is None else ", it starts again %s")
            log.error(text, self.name, pid, cause_of(code), *([] if delay is None else [when]))
        self._arm()
        self.on_ended(code)
