"""Spool: request body kept in memory, or above a limit in an unlinked file, and its replay; memory of all spools."""

import tempfile
from collections.abc import Callable
from typing import IO

from uwsgi_router.router.core.failure import without_traceback
from uwsgi_router.router.net.fiber import Fiber
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.net.poller import Resumable
from uwsgi_router.router.report.counters import Counters

# Read from a spooled file and written to a node in one turn.
_CHUNK = 64 * 1024


class SpoolMemory:
    """Memory of all collected bodies of a site: what finds no room here goes to a file.

    Args:
        limit: bytes at most.
        counters: of the router; they show what is used.
    """

    __slots__ = ("_counters", "_limit")

    def __init__(self, limit: int, counters: Counters) -> None:
        self._limit = limit
        self._counters = counters

    def take(self, size: int) -> bool:
        """Take so many bytes; False if that is too much."""
        counters = self._counters
        if counters.spooled_bytes + size > self._limit:
            counters.spilled += 1
            return False
        counters.spooled_bytes += size
        return True

    def give_back(self, size: int) -> None:
        """Give back so many bytes."""
        self._counters.spooled_bytes -= size


class Spool:
    """Spool of a body that is being collected; a target of pumps.

    Args:
        memory: of all bodies of the site.
        memory_limit: bodies up to this many bytes stay in memory, if there is room.
        directory: where larger ones go; None: TMPDIR or /tmp.
        fiber: woken when storing fails.

    Attributes:
        length: bytes so far.
        error: why it can't be stored, or None.
        backlog: as of a link: nothing ever waits here.
        on_low: likewise.
    """

    __slots__ = (
        "_all",
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

    def __init__(
        self, memory: SpoolMemory, memory_limit: int, directory: str | None, fiber: Fiber
    ) -> None:
        self._all = memory
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
            if self._file is None:
                if self.length <= self._memory_limit and self._all.take(len(data)):
                    self._memory += data
                    return
                self._file = tempfile.TemporaryFile(  # noqa: SIM115
                    dir=self._directory, prefix="uwsgi-router-"
                )
                self._file.write(self._memory)
                self._free()
            self._file.write(data)
        except OSError as exc:
            self.error = without_traceback(exc)
            self._fiber.wake()

    @property
    def in_memory(self) -> int:
        """Bytes that are in memory."""
        return len(self._memory)

    def _free(self) -> None:
        """Free the memory."""
        self._all.give_back(len(self._memory))
        self._memory = bytearray()

    def read(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes from ``offset`` on."""
        if self._file is None:
            return bytes(memoryview(self._memory)[offset : offset + size])
        self._file.seek(offset)
        return self._file.read(size)

    def close(self) -> None:
        """Free memory and file."""
        self._free()
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
