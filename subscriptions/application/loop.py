"""Loop of a supervisor over ``selectors``: descriptors, signals, ends of processes, answers to questions.

A synchronous program: no event loop, no fork while others hold locks. What blocks is asked in threads.
"""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Collection
from typing import Final, Protocol

from uwsgi_router.subscriptions.application.background import BackgroundQuestions

# Seconds of sleep at most.
_LONGEST: Final = 60.0
_PR_SET_CHILD_SUBREAPER: Final = 36

#: Reaps a process that has ended; returns its exit code as of ``waitstatus_to_exitcode``.
ReapedStatus = Callable[[], int]


class Supervised(Protocol):
    """Owner of a loop: is told what happens, and says what is due."""

    def due(self, now: float) -> float | None:
        """Return when :meth:`tick` is to be called at the latest; None: nothing is due."""

    def tick(self, now: float) -> None:
        """Do what is due; called after everything that happens."""

    def signalled(self, number: int) -> None:
        """Take a signal."""

    def reaping(self, pid: int, status: ReapedStatus) -> bool:
        """Take note of a process that has ended; False if it is unknown, which is reaped by the loop."""

    def is_over(self) -> bool:
        """Return True once the loop is to end."""

    def close(self) -> None:
        """End what is left, also after an exception."""


class SupervisorLoop:
    """Loop of a supervisor.

    Args:
        clock: seconds that don't jump.

    Attributes:
        clock: see above.
        questions: what blocks, in threads.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.questions = BackgroundQuestions()
        self._selector = selectors.DefaultSelector()
        self._awake, self._waker = socket.socketpair()
        self._awake.setblocking(False)
        self._waker.setblocking(False)
        self.watch(self.questions.fileno(), self.questions.take)

    def watch(self, descriptor: int, ready: Callable[[], None], *, write: bool = False) -> None:
        """Have a function called when a descriptor is readable, or with ``write`` writable instead."""
        event = selectors.EVENT_WRITE if write else selectors.EVENT_READ
        if descriptor in self._selector.get_map():
            self._selector.modify(descriptor, event, ready)
        else:
            self._selector.register(descriptor, event, ready)

    def unwatch(self, descriptor: int) -> None:
        """End that."""
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    def run(self, supervised: Supervised, signals: Collection[int]) -> None:
        """Run until it is over.

        Args:
            supervised: is told what happens, and closed at the end.
            signals: that it handles; one that was ignored when we started stays so (``nohup``).
        """
        numbers = {signal.SIGCHLD, *signals}
        previous = {number: signal.getsignal(number) for number in numbers}
        for number, handler in previous.items():
            # Ends of children are to be seen.
            if number == signal.SIGCHLD or handler is not signal.SIG_IGN:
                signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self.watch(self._awake.fileno(), lambda: self._signalled(supervised))
        try:
            while not supervised.is_over():
                now = self.clock()
                due = supervised.due(now)
                self.turn(None if due is None else min(max(0.0, due - now), _LONGEST))
                supervised.tick(self.clock())
        finally:
            supervised.close()
            signal.set_wakeup_fd(-1)
            self.close()
            for number, handler in previous.items():
                if handler is not None:
                    signal.signal(number, handler)

    def turn(self, seconds: float | None) -> None:
        """Wait for so long until something happens, and have it dealt with."""
        for key, _ in self._selector.select(seconds):
            key.data()

    def close(self) -> None:
        """Close what is its own."""
        self.questions.close()
        self._selector.close()
        self._awake.close()
        self._waker.close()

    def _signalled(self, supervised: Supervised) -> None:
        try:
            numbers = dict.fromkeys(self._awake.recv(4096))
        except BlockingIOError:
            return
        # Ends may have been merged into one signal, or come with another one.
        _reap(supervised)
        for number in numbers:
            if number != signal.SIGCHLD:
                supervised.signalled(number)


def _reap(supervised: Supervised) -> None:
    """Take note of every process that has ended: also of those that others have left behind."""
    while True:
        try:
            # Not reaped yet: until then its number, and its session's, is nobody else's.
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if info is None:
            return
        pid = info.si_pid

        def status(pid: int = pid) -> int:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        if not supervised.reaping(pid, status):
            status()


def become_subreaper() -> None:
    """Have what children leave behind handed to us, as if we were process 1."""
    try:
        import ctypes  # noqa: PLC0415

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        # A Python without libffi: others reap it.
        pass
