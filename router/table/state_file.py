"""State file ``subscription-state``: the tables on disk, for the next run."""

import asyncio
import errno
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.table.restoring import restore
from uwsgi_router.router.table.table import Table
from uwsgi_router.router.table.timing import TableTiming
from uwsgi_router.subscriptions.client.threads import in_thread
from uwsgi_router.subscriptions.state import MAX_SIZE, Saved, StateError, lines_of, parse

log = logging.getLogger("uwsgi-router.state")

#: Between two writings at least so many times the time that the last one took.
REST: Final = 10
#: Seconds for which everything else has to wait at once, and seconds that it then has for itself.
SLICE: Final = 0.002
PAUSE: Final = 0.01


class StateFile:
    """State file: read at the start; written when the tables have changed, and at the end.

    Args:
        path: of the file.
        tables: by name.
        loop: the event loop.
        wall_clock: seconds since the epoch.
        timing: times that no option sets.
    """

    def __init__(
        self,
        path: str,
        tables: Mapping[str, Table],
        loop: asyncio.AbstractEventLoop,
        *,
        wall_clock: Callable[[], float],
        timing: TableTiming | None = None,
    ) -> None:
        self._path = os.path.abspath(path)
        self._tables = dict(tables)
        self._loop = loop
        self._wall_clock = wall_clock
        self._timing = timing or TableTiming()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._writing: asyncio.Future[None] | None = None
        self._limited = RateLimited(log, per_second=1 / 60)

    def __repr__(self) -> str:
        return f"<StateFile {self._path} tables={len(self._tables)}>"

    def restore(self) -> None:
        """Fill the tables with what was saved; to be called before the first announce is heard."""
        try:
            saved = read(self._path)
        except FileNotFoundError:
            return
        except (OSError, StateError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else str(exc)
            log.warning("%s is not used, the table starts empty: %s", self._path, reason)
            return
        wall = self._wall_clock()
        left_out: list[str] = []
        for one in saved.tables:
            table = self._tables.get(one.name)
            if table is None:
                left_out += [f"there is no table of {one.name} now"] * len(one.nodes)
            else:
                left_out += restore(table, one, self._loop.time(), wall, saved.saved)
        log.info(
            "%s: %d nodes restored, saved %.0f s ago",
            self._path,
            sum(len(one.nodes) for one in saved.tables) - len(left_out),
            max(0.0, wall - saved.saved),
        )
        if left_out:
            log.warning(
                "%s: %d nodes left out, the first one because: %s",
                self._path,
                len(left_out),
                left_out[0],
            )

    def start(self) -> None:
        """Write from now on."""
        directory = os.path.dirname(self._path)
        if not os.access(directory, os.W_OK | os.X_OK):
            log.warning("%s can't be written: no right to write into %s", self._path, directory)
        for table in self._tables.values():
            table.on_change(self._changed.set)
        self._task = self._loop.create_task(self._keep_writing())

    async def close(self) -> None:
        """Write once more, and no more; may be called again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            self._task = None
        if self._writing is not None and not self._writing.done():
            await asyncio.wait((self._writing,))
        self._try(lambda: write(self._path, [b"".join(self._lines())]))

    async def _keep_writing(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(self._timing.save_soon)
            self._changed.clear()
            began = self._loop.time()
            chunks = await self._in_slices()
            # Not the loop's executor: an operator's code, or names that hang, may keep that busy.
            self._writing = self._loop.create_task(
                in_thread(lambda done=chunks: self._try(lambda: write(self._path, done)))  # type: ignore[misc]
            )
            await asyncio.shield(self._writing)
            await asyncio.sleep(max(self._timing.save_again, REST * (self._loop.time() - began)))

    def _lines(self) -> Iterator[bytes]:
        tables = {name: (table.registry, table.used_times) for name, table in self._tables.items()}
        return lines_of(tables, now=self._loop.time(), wall=self._wall_clock())

    async def _in_slices(self) -> list[bytes]:
        """Make the file in slices of time, so that requests do not wait."""
        chunks: list[bytes] = []
        lines: list[bytes] = []
        # Not the loop's time: uvloop's stands still until the loop has its turn.
        end = time.monotonic() + SLICE
        for line in self._lines():
            lines.append(line)
            if time.monotonic() > end:
                chunks.append(b"".join(lines))
                lines.clear()
                await asyncio.sleep(PAUSE)
                end = time.monotonic() + SLICE
        chunks.append(b"".join(lines))
        return chunks

    def _try(self, writing: Callable[[], None]) -> None:
        try:
            writing()
        except OSError as exc:
            self._limited.error("write", "%s can't be written: %s", self._path, exc.strerror)


def read(path: str) -> Saved:
    """Read a state file that nobody else could have written.

    Raises:
        FileNotFoundError: there is none.
        OSError: it can't be read.
        StateError: it is not to be trusted, or not right.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise StateError("it is a symbolic link") from None
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise StateError("it is no file")
    with open(descriptor, "rb") as file:
        if status.st_uid not in {0, os.geteuid()}:
            raise StateError(f"it belongs to user {status.st_uid}")
        if status.st_mode & 0o022:
            raise StateError(f"others may write to it (mode {stat.S_IMODE(status.st_mode):o})")
        if status.st_size > MAX_SIZE:
            raise StateError(f"it is larger than {MAX_SIZE} bytes")
        return parse(file.read())


def write(path: str, chunks: Sequence[bytes]) -> None:
    """Put a file into the place of another, whole or not at all, for our own eyes only.

    Raises:
        OSError: it can't be written.
    """
    fresh = f"{path}.{os.getpid()}.new"
    try:
        os.unlink(fresh)
    except FileNotFoundError:
        pass
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(fresh, flags, 0o600)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[file.write(view) :]
            os.fsync(descriptor)
        os.replace(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise
