"""Program on a pseudo-terminal of its own: its start, window size, signals, end."""

import errno
import fcntl
import os
import signal
import struct
import termios
from collections.abc import Mapping
from typing import Final

_SHELL: Final = "/bin/sh"
_NOT_FOR_CHILDREN: Final = ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
_WINDOW: Final = struct.Struct("HHHH")


class PtyProgram:
    """Program, leader of a session whose controlling terminal is the pseudo-terminal.

    Attributes:
        master: descriptor of our end of the terminal, non-blocking.
        pid: of the program; nobody else gets it before it is reaped.
        pidfd: descriptor that is readable once the program has ended.
        reaped: True once it has ended and its exit status was read.
    """

    def __init__(
        self, command: str | None, environment: Mapping[str, str], rows: int, cols: int
    ) -> None:
        """Start a program.

        Args:
            command: a path, or with a blank in it a line for the shell; None: the shell.
            environment: of the program.
            rows: height of the window.
            cols: its width.

        Raises:
            OSError: there is no free terminal, or no such program.
        """
        self._rows, self._cols = rows, cols
        self.reaped = False
        self.master, slave = os.openpty()
        try:
            os.set_blocking(self.master, False)
            self._apply_window()
            self.pid = _spawn(os.ttyname(slave), _arguments(command), environment)
            try:
                self.pidfd = os.pidfd_open(self.pid)
            except OSError:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise
        except BaseException:
            os.close(self.master)
            raise
        finally:
            os.close(slave)

    def resize(self, rows: int | None, cols: int | None) -> None:
        """Change the size of the window, of which the kernel tells the program; None: as it was."""
        self._rows = self._rows if rows is None else rows
        self._cols = self._cols if cols is None else cols
        self._apply_window()

    def _apply_window(self) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, _WINDOW.pack(self._rows, self._cols, 0, 0))

    def signal(self, number: int) -> None:
        """Send a signal to the program, and to what it runs in the foreground; one that there is not is ignored."""
        if self.reaped:
            return
        try:
            os.kill(self.pid, number)
            foreground = os.tcgetpgrp(self.master)
            if foreground not in (0, self.pid):
                os.killpg(foreground, number)
        except OSError as exc:
            if exc.errno not in (errno.ESRCH, errno.EINVAL, errno.EPERM, errno.ENOTTY, errno.EIO):
                raise

    def kill(self) -> None:
        """End the program and its process group."""
        if self.reaped:
            # The number may be somebody else's by now.
            return
        for send in (os.killpg, os.kill):
            try:
                send(self.pid, signal.SIGKILL)
            except OSError:
                pass

    def hang_up(self) -> None:
        """Close the terminal: the kernel sends SIGHUP."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def reap(self) -> int | None:
        """Forget the program, which has ended; return its exit status, negative for a signal, None if it is lost."""
        self.reaped = True
        os.close(self.pidfd)
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:
            # The program that we are part of has waited for it.
            return None
        return os.waitstatus_to_exitcode(status)


def environment_of_programs(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of programs: the router's, and a TERM."""
    kept = {name: value for name, value in environ.items() if name not in _NOT_FOR_CHILDREN}
    if kept.get("TERM") in (None, "", "dumb"):
        kept["TERM"] = "xterm"
    return kept


def _arguments(command: str | None) -> list[str]:
    # As uWSGI (plugins/forkptyrouter/forkptyrouter.c).
    if command is None:
        return [_SHELL]
    return [_SHELL, "-c", command] if " " in command else [command]


def _spawn(terminal: str, arguments: list[str], environment: Mapping[str, str]) -> int:
    """Start a program in a new session whose controlling terminal is ``terminal``: the first that it opens.

    It has the descriptors 0 to 2 and no more: ours are closed on exec, and here those that we were given at our start.
    """
    handled = set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}
    return os.posix_spawn(
        arguments[0],
        arguments,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, terminal, os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_DUP2, 0, 2),
            *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inheritable()),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=handled,
    )


def _inheritable() -> list[int]:
    """Return the descriptors above 2 that a program would have, too."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        try:
            if descriptor > 2 and os.get_inheritable(descriptor):
                found.append(descriptor)
        except OSError:
            # It was the one that reads the directory.
            continue
    return found
