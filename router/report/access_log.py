"""Access log: one line for each request, written without blocking.

Lines are collected and written together, at the latest after a delay. Regular files are written at once
(the kernel takes them into its cache). A pipe, terminal or socket may have a reader that has stopped, so it is written
without blocking, and what it does not take is kept up to :data:`MAX_PENDING` bytes; further lines are dropped and
counted. Standard output is shared with other processes, whose calls would begin to fail if we made it non-blocking: a
pipe or terminal is opened a second time through ``/proc/self/fd``, a socket is told call by call. Where neither works
(the pipe belongs to another user), it is asked before each write whether it takes PIPE_BUF bytes.
"""

import asyncio
import errno
import logging
import os
import select
import socket
import stat
import sys
import time
from collections.abc import Callable
from typing import Final, Literal

from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.core.files import give, open_file
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.report.access_entry import AccessEntry, json_line, text_line, timestamp

#: Seconds that a line may wait for others.
DELAY: Final = 0.2
#: While a reader is slow: seconds until it is asked again, if it took something the last time.
RETRY: Final = 0.01
#: So many bytes are written at once, without waiting for more.
FULL: Final = 64 * 1024
#: Bytes kept for a reader that takes none.
MAX_PENDING: Final = 1024 * 1024
#: Seconds between two looks at whether the file was renamed.
LOOK: Final = 1.0

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_STDOUT: Final = 1


class AccessLog:
    """Access log to a file or standard output.

    To be made before privileges are dropped: the file may lie where only root can make it, and standard output may be
    a pipe of root's.

    Attributes:
        dropped: lines that could not be written, for the counters.
    """

    def __init__(
        self,
        path: str,
        format: Literal["text", "json"],  # noqa: A002
        *,
        wall_clock: Callable[[], float] = time.time,  # noqa: TID251
        delay: float = DELAY,
        stdout: int = _STDOUT,
    ) -> None:
        """Open the log.

        Args:
            path: file to append to, made if absent; "" is standard output.
            format: ``text``: fields separated by spaces; ``json``: an object a line.
            wall_clock: seconds since the epoch.
            delay: seconds until lines are written, at most.
            stdout: descriptor of standard output.

        Raises:
            StartError: if it can't be opened.
        """
        self._path = path
        self._line = text_line if format == "text" else json_line
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wall_clock = wall_clock
        self._delay = delay
        self._stdout = stdout
        self._limited = RateLimited(logging.getLogger("uwsgi-router.access-log"), per_second=1 / 60)
        try:
            self._output = _Output(path, stdout)
        except OSError as exc:
            name = f"the access log {path}" if path else "the access log to standard output"
            raise StartError(f"cannot write {name}: {exc.strerror}") from exc
        self._pending = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._blocked = False
        self._inside_line = False
        self._look_at = 0.0
        self.dropped = 0

    def __repr__(self) -> str:
        return f"<AccessLog {self._path or 'stdout'} pending={len(self._pending)} dropped={self.dropped}>"

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to write; until then lines are only kept."""
        self._loop = loop
        self._look_at = loop.time() + LOOK

    def write(self, entry: AccessEntry) -> None:
        """Log a request that has just ended; never waits, and never raises."""
        line = self._line(entry, timestamp(self._wall_clock() - entry.total))
        if len(self._pending) + len(line) > MAX_PENDING:
            self._lost(1, "its reader is too slow")
            return
        if self._inside_line and not self._pending:
            # The rest of a line was lost: this one must not look like it.
            self._pending += b"\n"
        self._pending += line
        if self._loop is None:
            return
        if len(self._pending) >= FULL and not self._blocked:
            self._flush()
        if self._pending and self._timer is None:
            self._timer = self._loop.call_later(self._delay, self._tick)

    def reopen(self) -> None:
        """Open the file by its name again (after logrotate); if it can't be, the old one is kept."""
        if self._output.identity is None:
            return
        try:
            output = _Output(self._path, self._stdout)
        except OSError as exc:
            self._limited.error(
                "reopen", "cannot open %s again, the old one is kept: %s", self._path, exc.strerror
            )
            return
        self._output.close()
        self._output, self._inside_line = output, False

    def give(self, uid: int, gid: int | None) -> None:
        """Give the file to the user that the process becomes, so that it can be opened again.

        Raises:
            OSError: if that fails.
        """
        self._output.give(uid, gid)

    def close(self) -> None:
        """Write what can be written without waiting, and let go of the file."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._send()
        if self._pending:
            self._drop("its reader is too slow")
        self._output.close()

    def _tick(self) -> None:
        assert self._loop is not None
        self._timer = None
        before = len(self._pending)
        self._flush()
        if self._pending:
            delay = RETRY if len(self._pending) < before else self._delay
            self._timer = self._loop.call_later(delay, self._tick)

    def _flush(self) -> None:
        assert self._loop is not None
        now = self._loop.time()
        if now >= self._look_at:
            self._look_at = now + LOOK
            if self._output.moved(self._path):
                self.reopen()
        self._send()

    def _send(self) -> None:
        """Write what is pending, as far as that goes without waiting."""
        pending = self._pending
        try:
            while pending:
                sent = self._output.write(pending)
                self._inside_line = pending[sent - 1] != 0x0A
                del pending[:sent]
        except BlockingIOError:
            pass
        except OSError as exc:
            self._drop(exc.strerror or str(exc))
        self._blocked = bool(pending)

    def _drop(self, why: str) -> None:
        # A line of which only the end is missing is not lost.
        lines = self._pending.count(b"\n") - self._pending.startswith(b"\n")
        self._pending.clear()
        self._lost(lines, why)

    def _lost(self, lines: int, why: str) -> None:
        self.dropped += lines
        name = self._path or "standard output"
        text = "access log: %s takes no more lines, %d are lost by now: %s"
        self._limited.error(why, text, name, self.dropped, why)


class _Output:
    """Output file, pipe, terminal or socket, written without blocking.

    Attributes:
        identity: device and inode of a regular file that has a name; None of anything else.
    """

    def __init__(self, path: str, stdout: int) -> None:
        """Open it.

        Raises:
            OSError: if that fails.
        """
        self._socket: socket.socket | None = None
        self._poll: select.poll | None = None
        self.identity: tuple[int, int] | None = None
        self._is_file = False
        if path:
            self._fd = open_file(path, _FLAGS | os.O_CREAT)
            status = os.fstat(self._fd)
            self._is_file = stat.S_ISREG(status.st_mode)
            if self._is_file:
                self.identity = (status.st_dev, status.st_ino)
            return
        if sys.__stdout__ is None:
            raise OSError(errno.EBADF, "it was closed before the program started")
        self._fd = os.dup(stdout)
        mode = os.fstat(self._fd).st_mode
        self._is_file = stat.S_ISREG(mode)
        if stat.S_ISSOCK(mode):
            self._socket = socket.socket(fileno=self._fd)
        elif not self._is_file:
            self._open_again()

    def _open_again(self) -> None:
        shared = self._fd
        try:
            self._fd = os.open(f"/proc/self/fd/{shared}", _FLAGS)
        except OSError:
            self._poll = select.poll()
            self._poll.register(shared, select.POLLOUT)
        else:
            os.close(shared)

    def write(self, data: bytearray) -> int:
        """Write ``data`` or the beginning of it; return how many bytes.

        Raises:
            BlockingIOError: if the reader has to take something first.
            OSError: if it can't be written.
        """
        if self._is_file:
            return os.write(self._fd, data)
        lines = _whole_lines(data)
        if self._socket is not None:
            return self._socket.send(lines, socket.MSG_DONTWAIT)
        if self._poll is not None and not self._poll.poll(0):
            raise BlockingIOError(errno.EAGAIN, "its reader is too slow")
        # A pipe that is writable takes so much (pipe(7)).
        return os.write(self._fd, lines)

    def moved(self, path: str) -> bool:
        """Return True if ``path``, under which this file was opened, names another one by now, or none."""
        if self.identity is None:
            return False
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return self.identity != (status.st_dev, status.st_ino)

    def give(self, uid: int, gid: int | None) -> None:
        """Give a file that has a name to another user."""
        if self.identity is not None:
            give(self._fd, uid, gid)

    def close(self) -> None:
        """Close it; whatever is written afterwards fails."""
        if self._socket is not None:
            self._socket.close()
        elif self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def _whole_lines(data: bytearray) -> bytearray:
    """Return the lines that ``data`` begins with, as many as a pipe takes at once.

    Other processes write to it, too: of more a part might be taken, and their lines come into the middle of ours.
    """
    if len(data) <= select.PIPE_BUF:
        return data
    return data[: data.rfind(b"\n", 0, select.PIPE_BUF) + 1 or select.PIPE_BUF]
