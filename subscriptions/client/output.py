"""Output of log lines that never blocks and never fails: what it does not take is dropped and counted.

A pipe may have a reader that has stopped, a terminal may be held, a disk may be full. None of that may stop requests.
The first line that gets through again is preceded by one that says how many were dropped.

Standard error is shared with other processes, whose writes would begin to fail if it were made non-blocking: a pipe or
terminal is opened a second time through ``/proc/self/fd``. Where that does not work (a socket, another user's pipe), it
is asked before each write whether it takes PIPE_BUF bytes.
"""

import errno
import io
import os
import select
import stat
import sys
import time
from collections.abc import Callable
from typing import Any, Final

_NONBLOCKING: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
#: Seconds between two reports of a failure.
QUIET: Final = 60.0


class LineOutput(io.RawIOBase):
    """Output of lines to a descriptor; each write is one line or several.

    Args:
        fd: the descriptor; closed with the output if ``owned``.
        notice: makes the line that says how many lines were dropped, and why.
        failed: is told why, when lines begin to be dropped.
        owned: nobody else uses the descriptor, which is non-blocking.

    Attributes:
        dropped: number of writes that were dropped.
    """

    def __init__(
        self,
        fd: int,
        notice: Callable[[int, str], str],
        failed: Callable[[str], None] = lambda _why: None,
        *,
        owned: bool,
    ) -> None:
        super().__init__()
        self._fd = fd
        self._owned = owned
        self._notice = notice
        self._failed = failed
        self._poll: select.poll | None = None
        self._inside_line = False
        self._lost = 0
        self._why = ""
        self._told_at = -QUIET
        self.dropped = 0
        if not owned and not stat.S_ISREG(os.fstat(fd).st_mode):
            self._share()

    def _share(self) -> None:
        shared = self._fd
        try:
            self._fd = os.open(f"/proc/self/fd/{shared}", _NONBLOCKING)
            self._owned = True
        except OSError:
            self._poll = select.poll()
            self._poll.register(shared, select.POLLOUT)

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def write(self, data: Any) -> int:
        """Write a line, or drop it; return its length in either case."""
        size = len(data)
        try:
            if self._inside_line:
                # The rest of a line was lost: this one must not look like it.
                self._put(b"\n")
            if self._lost:
                self._put(self._notice(self._lost, self._why).encode() + b"\n")
                self._lost = 0
            self._put(bytes(data))
        except OSError as exc:
            full = isinstance(exc, BlockingIOError)
            self._drop("its reader is too slow" if full else exc.strerror or str(exc))
        return size

    def _put(self, data: bytes) -> None:
        """Write all of ``data``.

        Raises:
            OSError: not all of it was taken.
        """
        unsent = memoryview(data)
        while unsent:
            if self._poll is None:
                sent = os.write(self._fd, unsent)
            elif self._poll.poll(0):
                # A pipe that is writable takes so much (pipe(7)).
                sent = os.write(self._fd, unsent[: select.PIPE_BUF])
            else:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            self._inside_line = unsent[sent - 1] != 0x0A
            unsent = unsent[sent:]

    def _drop(self, why: str) -> None:
        self.dropped += 1
        self._lost += 1
        self._why = why
        now = time.monotonic()
        if self._lost == 1 and now >= self._told_at + QUIET:
            self._told_at = now
            self._failed(why)

    def close(self) -> None:
        """Close the descriptor, if it is our own."""
        if self._owned and not self.closed:
            os.close(self._fd)
        super().close()


def as_text(output: LineOutput) -> io.TextIOWrapper:
    """Return the output as a stream of text."""
    return io.TextIOWrapper(
        output,  # type: ignore[arg-type]
        encoding="utf-8",
        errors="backslashreplace",
        write_through=True,
    )


def standard_error(notice: Callable[[int, str], str]) -> LineOutput | None:
    """Make standard error a stream that never blocks, for everybody; None if it is none, or is replaced already."""
    original = sys.__stderr__
    if original is None or sys.stderr is not original:
        return None
    output = LineOutput(original.fileno(), notice, owned=False)
    sys.stderr = as_text(output)
    return output


def _open(path: str, flags: int) -> int:
    return os.open(path, flags, 0o640)


def open_for_lines(path: str, opener: Callable[[str, int], int] = _open) -> int:
    """Open a file to append lines to without ever blocking, also a pipe that nobody reads yet.

    Args:
        path: of the file.
        opener: takes path and flags, and returns a descriptor.

    Raises:
        OSError: it can't be opened.
    """
    try:
        return opener(path, _NONBLOCKING | os.O_CREAT)
    except OSError as exc:
        if exc.errno != errno.ENXIO:
            raise
    # A reader may come later; with one of its own the pipe can be opened before.
    return opener(path, (_NONBLOCKING & ~os.O_WRONLY) | os.O_RDWR)
