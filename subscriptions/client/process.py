"""Child process of the announced program: start, signals, exit code."""

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from uwsgi_router.subscriptions.client.starting import end_with_us, starting

log = logging.getLogger("subscriptions.client")

#: Never forwarded: what can't be caught, what tells of children, and what a fault of our own would raise.
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


class Program:
    """Running program.

    It gets a session of its own: Ctrl-C in a terminal must reach us alone, or it would stop before it is withdrawn.
    If we are killed, it gets TERM from the kernel.

    Args:
        arguments: the program and what it is given.
        environ: its environment.

    Raises:
        CannotStart: if it doesn't run.
    """

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        self.name = os.path.basename(arguments[0])
        with starting(arguments[0]):
            self._popen = subprocess.Popen(  # noqa: S603
                arguments,
                env=environ,
                start_new_session=True,
                # What our parent left open (sockets, say) is meant for the program.
                close_fds=False,
                preexec_fn=end_with_us,  # noqa: PLW1509 - one system call, looked up beforehand
            )
        self.pid = self._popen.pid
        #: Done when it has ended: its exit code, 128 + N if signal N ended it.
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if not self.ended.done():
            try:
                # Not the Popen's method: that would reap.
                os.kill(self.pid, number)
            except OSError as exc:
                # It has become another user, perhaps.
                log.warning("cannot send signal %d to %s: %s", number, self.name, exc.strerror)

    def reap(self) -> None:
        """Take note of every process that has ended: as process 1 we get all that lost their parents."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.pid and not self.ended.done():
                code = os.waitstatus_to_exitcode(status)
                self._popen.returncode = code
                self.ended.set_result(code if code >= 0 else 128 - code)


class ProgramSignals:
    """Handler of all signals that can be caught, for as long as a ``with`` block lasts.

    What was ignored when we started stays ignored (``nohup``).

    Args:
        handler: called by the event loop with each signal's number.
        reap: called when a child has ended.
    """

    def __init__(self, handler: Callable[[int], None], reap: Callable[[], None]) -> None:
        self._handler = handler
        self._reap = reap
        self._installed: list[int] = []

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        for number in signal.valid_signals() - _OWN:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._handler, number)
                self._installed.append(number)

    def __exit__(self, *exc_info: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGCHLD, *self._installed):
            loop.remove_signal_handler(number)
