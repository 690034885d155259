"""Spool: request body kept in memory, or above a limit in an unlinked file, and its replay."""

import tempfile
from collections.abc import Callable
from typing import IO

from uwsgi_router.router.core.failure import without_traceback
from uwsgi_router.router.net.fiber import Fiber
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.net.poller import Resumable

# Read from a spooled file and written to a node in one turn.
_CHUNK = 64 * 1024


class Spool:
    """Spool of a body that is being collected; a target of pumps.

    Args:
        memory_limit: bodies up to this many bytes stay in memory.
        directory: where larger ones go; None: TMPDIR or /tmp.
        fiber: woken when storing fails.

    Attributes:
        length: bytes so far.
        error: why it can't be stored, or None.
        backlog: as of a link: nothing ever waits here.
        on_low: likewise.
    """

    __slots__ = (
        "_directory",
        "_fiber",
        "_file",
        "_memory",
        "_memory_limit",
        "backlog",
        "error",
        "length",
        "on_low",
    )

    def __init__(self, memory_limit: int, directory: str | None, fiber: Fiber) -> None:
        self._memory_limit = memory_limit
        self._directory = directory
        self._fiber = fiber
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self.length = 0
        self.error: OSError | None = None
        self.backlog = 0
        self.on_low: Callable[[], None] | None = None

    def write(self, data: bytes) -> None:
        """Keep the next bytes."""
        if self.error is not None:
            return
        self.length += len(data)
        try:
            if self._file is None and self.length > self._memory_limit:
                self._file = tempfile.TemporaryFile(  # noqa: SIM115
                    dir=self._directory, prefix="uwsgi-router-"
                )
                self._file.write(self._memory)
                self._memory = bytearray()
            if self._file is None:
                self._memory += data
            else:
                self._file.write(data)
        except OSError as exc:
            self.error = without_traceback(exc)
            self._fiber.wake()

    def read(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes from ``offset`` on."""
        if self._file is None:
            return bytes(memoryview(self._memory)[offset : offset + size])
        self._file.seek(offset)
        return self._file.read(size)

    def close(self) -> None:
        """Free memory and file."""
        self._memory = bytearray()
        if self._file is not None:
            self._file.close()


class Replay(Resumable):
    """Replay of a spooled body to a node, as fast as it takes it, a piece in each turn; each attempt makes its own.

    Attributes:
        done: everything was handed to the link.
        error: why the file can't be read any more, or None.
    """

    __slots__ = ("_fiber", "_link", "_offset", "_spool", "done", "error")

    def __init__(self, spool: Spool, link: Link, fiber: Fiber) -> None:
        self._spool = spool
        self._link = link
        self._fiber = fiber
        self._offset = 0
        self.done = False
        self.error: OSError | None = None

    def resume(self) -> None:
        """Write another piece; called again when the link wants more, or others have had their turn."""
        link, fiber = self._link, self._fiber
        if link.closed:
            return
        if self._offset >= self._spool.length:
            self.done = True
            fiber.wake()
            return
        try:
            data = self._spool.read(self._offset, _CHUNK)
        except OSError as exc:
            self.error = without_traceback(exc)
            fiber.wake()
            return
        self._offset += len(data)
        try:
            link.write(data)
        except OSError:
            # The node may have answered before it stopped reading: its answer is still read.
            fiber.wake()
            return
        fiber.touch()
        if link.backlog:
            link.on_low = self.resume
        else:
            fiber.poller.resume_in_turn(self)
