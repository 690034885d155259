"""Supervisor: a process that starts the programs beside the main one, and restarts what ends, with back-off.

It is forked once sockets are bound and privileges dropped, before there is an event loop, and has none itself, so that
it can fork whenever a program is to start again. Pipes tell of deaths that leave no time for a signal: whoever sees the
end of its own ends too.
"""

import asyncio
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from uwsgi_router.router.app.process.title import set_title

log = logging.getLogger("uwsgi-router.supervisor")

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_IGNORED: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE)


@dataclass(frozen=True, slots=True)
class RestartTiming:
    """Times of restarts and ends, in seconds."""

    first: float = 0.5
    """Before the first restart; doubled each time."""
    most: float = 30.0
    """Between two restarts at most."""
    steady: float = 60.0
    """After so long a run the first restart is the first again."""
    stop: float = 10.0
    """For a program to end by itself."""


@dataclass(frozen=True, slots=True)
class SupervisedProgram:
    """Program beside the main one.

    Attributes:
        name: for the log.
        title: for ``ps``.
        run: runs it in a process of its own; given a descriptor that ends when the program has to.
    """

    name: str
    title: str
    run: Callable[[int], None]


class _Child:
    """State of one program: its process, or the time at which it starts again."""

    def __init__(self, program: SupervisedProgram, timing: RestartTiming) -> None:
        self.program = program
        self.pid = 0
        self.pidfd = -1
        self.lifeline = -1
        self.began = 0.0
        self.due: float | None = 0.0
        self._timing = timing
        self._delay = timing.first

    def end(self) -> None:
        """Tell its process to end."""
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1

    def ended(self, now: float) -> float:
        """Note that its process has ended; return the seconds until it starts again."""
        os.close(self.pidfd)
        self.end()
        self.pid = 0
        if now - self.began >= self._timing.steady:
            self._delay = self._timing.first
        delay = self._delay
        self.due = now + delay
        self._delay = min(self._delay * 2, self._timing.most)
        return delay


class ProcessSupervisor:
    """Handle on the supervising process.

    Args:
        programs: that run beside the main one.
        leave: called in the new process: closes what only the main one needs.
        timing: see :class:`RestartTiming`.
    """

    def __init__(
        self,
        programs: Sequence[SupervisedProgram],
        leave: Callable[[], None],
        timing: RestartTiming | None = None,
    ) -> None:
        self._programs = programs
        self._leave = leave
        self._timing = timing or RestartTiming()
        self._lifeline = -1
        self.pid = 0

    def start(self) -> None:
        """Fork it; to be called while there is no event loop and no thread."""
        # Whoever started us may have it ignored, and then there is nobody to wait for.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        theirs, self._lifeline = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(theirs)
            return
        os.close(self._lifeline)
        _as_child(lambda: _Supervision(self._programs, theirs, self._timing).run(), self._leave)

    def watch(self, loop: asyncio.AbstractEventLoop, ended: Callable[[], None]) -> None:
        """Have ``ended`` called if it ends before :meth:`stop`."""
        pidfd = os.pidfd_open(self.pid)

        def over() -> None:
            loop.remove_reader(pidfd)
            os.close(pidfd)
            log.error("the supervisor has ended, and what it started: stopping")
            ended()

        loop.add_reader(pidfd, over)

    def stop(self) -> None:
        """End the programs, and wait for that."""
        if self.pid:
            os.close(self._lifeline)
            os.waitpid(self.pid, 0)
            self.pid = 0


def _as_child(run: Callable[[], None], prepare: Callable[[], None]) -> NoReturn:
    """Run what a new process is for, and end it: nothing of its parent's is tidied up."""
    status = 1
    try:
        prepare()
        run()
        status = 0
    except BaseException:
        log.critical("a bug in a process of its own", exc_info=True)
    finally:
        logging.shutdown()
        os._exit(status)


class _Supervision:
    """Loop of the supervising process.

    Args:
        programs: to keep running.
        lifeline: ends when everything has to.
        timing: see :class:`RestartTiming`.
    """

    def __init__(
        self, programs: Sequence[SupervisedProgram], lifeline: int, timing: RestartTiming
    ) -> None:
        self._timing = timing
        self._lifeline = lifeline
        self._children = [_Child(program, timing) for program in programs]
        self._selector = selectors.DefaultSelector()
        self._awake, self._waker = socket.socketpair()

    def run(self) -> None:
        """Keep the programs running until the lifeline ends, or a signal comes."""
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        for number in _STOPPING:
            # The wake-up descriptor tells.
            signal.signal(number, lambda *_: None)
        self._awake.setblocking(False)
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._awake, selectors.EVENT_READ)
        self._selector.register(self._lifeline, selectors.EVENT_READ)
        while not self._step(stopping=False):
            pass
        end = time.monotonic() + self._timing.stop
        for child in self._children:
            child.due = None
            child.end()
        self._selector.unregister(self._lifeline)
        self._selector.unregister(self._awake)
        while self._running and time.monotonic() < end:
            self._step(stopping=True, until=end)
        for child in self._running:
            log.error("%s does not end: killed", child.program.name)
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)

    @property
    def _running(self) -> list[_Child]:
        return [child for child in self._children if child.pid]

    def _step(self, *, stopping: bool, until: float | None = None) -> bool:
        """Start what is due, wait for something to happen; return True if everything has to end."""
        now = time.monotonic()
        for child in self._children:
            if child.due is not None and child.due <= now:
                self._start(child, now)
        times = [until, *(child.due for child in self._children)]
        due = min((one for one in times if one is not None), default=None)
        for key, _ in self._selector.select(None if due is None else max(0.0, due - now)):
            if not isinstance(key.data, _Child):
                return True
            self._ended(key.data, stopping=stopping)
        return False

    def _start(self, child: _Child, now: float) -> None:
        theirs, lifeline = os.pipe()
        others = [one.lifeline for one in self._running]
        pid = os.fork()
        if not pid:

            def prepare() -> None:
                signal.set_wakeup_fd(-1)
                for number in _STOPPING:
                    signal.signal(number, signal.SIG_DFL)
                self._awake.close()
                self._waker.close()
                self._selector.close()
                for descriptor in (lifeline, self._lifeline, *others):
                    os.close(descriptor)
                set_title(child.program.title, None)

            _as_child(lambda: child.program.run(theirs), prepare)
        os.close(theirs)
        child.pid, child.lifeline, child.began, child.due = pid, lifeline, now, None
        child.pidfd = os.pidfd_open(pid)
        self._selector.register(child.pidfd, selectors.EVENT_READ, child)

    def _ended(self, child: _Child, *, stopping: bool) -> None:
        self._selector.unregister(child.pidfd)
        _, status = os.waitpid(child.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        delay = child.ended(time.monotonic())
        if stopping:
            child.due = None
            return
        how = f"exit status {code}" if code >= 0 else f"signal {-code}"
        log.error("%s has ended (%s), and starts again in %g s", child.program.name, how, delay)
