"""Owner of a feed: gives each worker a snapshot, then every change in order, and takes in what they report."""

import asyncio
import logging
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from uwsgi_router.router.table.feed.channel import FeedChannel
from uwsgi_router.router.table.feed.frames import FORMAT, Record, encode
from uwsgi_router.router.table.feed.parts import OwnedPart, Worker
from uwsgi_router.subscriptions.node_record import RecordError

log = logging.getLogger("uwsgi-router.feed")

#: Part of records about the feed itself.
FEED: Final = ""
# Records of a snapshot that are made at once: the loop has other things to do.
_SLICE: Final = 50
# Words that make up a snapshot end with this one.
END: Final = "end"


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """Limits of a feed; sizes in bytes, times in seconds.

    Attributes:
        behind: unsent bytes of a worker after which it gets no more changes, but a snapshot once it has read them.
        snapshot: unsent bytes up to which the next piece of a snapshot is made.
        interval: between two reports of what a worker counted.
        recover: for one worker to give its copy to a new owner.
    """

    behind: int = 4 * 1024 * 1024
    snapshot: int = 256 * 1024
    interval: float = 0.1
    recover: float = 5.0


class _Copy:
    """Copy of the parts in another process, and the way there."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.channel: FeedChannel | None = None
        self.snapshot: Iterator[Record] | None = None
        self.behind = False
        # It has a snapshot, or gets one.
        self.begun = False
        self.giving: asyncio.Future[bool] | None = None


class FeedOwner:
    """Owner of a feed.

    Args:
        loop: the event loop.
        limits: see :class:`FeedLimits`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: FeedLimits | None = None) -> None:
        self._loop = loop
        self._limits = limits or FeedLimits()
        self._parts: list[OwnedPart] = []
        self._by_name: dict[str, OwnedPart] = {}
        self._copies: dict[Worker, _Copy] = {}
        self._flushing: asyncio.Handle | None = None
        self._deserted = asyncio.Event()
        self._deserted.set()
        self._recovering = False
        # How those who join now are greeted: it knows nothing of what they counted; or all of what they told.
        self._again = False
        self._taken = False

    def __repr__(self) -> str:
        return f"<FeedOwner parts={list(self._by_name)} workers={len(self._copies)}>"

    @property
    def workers(self) -> list[Worker]:
        """The workers that are attached."""
        return list(self._copies)

    async def deserted(self) -> None:
        """Return when no worker is attached."""
        await self._deserted.wait()

    def add(self, part: OwnedPart, names: Sequence[str] = ()) -> None:
        """Give a part to the workers; to be called before the first one is attached.

        Args:
            part: it.
            names: by which the other side may call it, beside its own.
        """
        self._parts.append(part)
        self._by_name |= dict.fromkeys((part.name, *names), part)

    def changed(self) -> None:
        """Tell the workers soon what has changed."""
        if self._flushing is None:
            self._flushing = self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Tell the workers what has changed."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        records = [record for part in self._parts for record in part.changes()]
        hearing = [copy for copy in self._copies.values() if copy.begun and not copy.behind]
        if not records or not hearing:
            return
        frames = encode(records)
        for copy in hearing:
            channel = copy.channel
            if channel is None:
                continue
            if channel.backlog > self._limits.behind:
                log.warning("%s does not read: it gets the whole table once it does", copy.worker)
                copy.behind = True
                copy.snapshot = None
            else:
                channel.send_frames(frames)

    # --- Workers ---

    def attach(self, sock: socket.socket, worker: Worker) -> None:
        """Begin to feed a worker over a connected stream socket, which is closed with it."""
        self._open(sock, worker)
        if not self._recovering:
            self._begin(self._copies[worker])

    def _open(self, sock: socket.socket, worker: Worker) -> _Copy:
        self.detach(worker)
        copy = self._copies[worker] = _Copy(worker)
        self._deserted.clear()
        copy.channel = FeedChannel(
            sock,
            self._loop,
            lambda records: self._received(copy, records),
            lambda: self._ended(copy),
            lambda: self._sent(copy),
        )
        copy.channel.send([(FEED, "hello", FORMAT)])
        return copy

    def detach(self, worker: Worker) -> None:
        """Feed a worker no more; may be called again."""
        copy = self._copies.get(worker)
        if copy is not None:
            if copy.channel is not None:
                copy.channel.close()
            self._ended(copy)

    def close(self) -> None:
        """Feed nobody any more."""
        for worker in list(self._copies):
            self.detach(worker)
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None

    def _begin(self, copy: _Copy) -> None:
        """Begin a worker's snapshot; what changes meanwhile is told in between."""
        self.flush()
        for part in self._parts:
            part.joined(copy.worker)
        copy.begun = True
        assert copy.channel is not None
        copy.channel.send([(FEED, "begin", self._again, self._taken)])
        self._snapshot(copy)

    def _snapshot(self, copy: _Copy) -> None:
        copy.behind = False
        copy.snapshot = self._records(copy.worker)
        self._go_on(copy)

    def _records(self, worker: Worker | None) -> Iterator[Record]:
        for part in self._parts:
            yield from part.snapshot(worker)
        yield FEED, END

    def _go_on(self, copy: _Copy) -> None:
        """Send the next piece of a snapshot, if there is one, and the last ones were taken."""
        channel, snapshot = copy.channel, copy.snapshot
        if channel is None or channel.closed or snapshot is None:
            return
        if channel.backlog > self._limits.snapshot:
            return
        piece = list(islice(snapshot, _SLICE))
        if not piece:
            copy.snapshot = None
            return
        channel.send(piece)
        if not channel.backlog:
            self._loop.call_soon(self._go_on, copy)

    def _sent(self, copy: _Copy) -> None:
        if copy.behind:
            assert copy.channel is not None
            copy.channel.send([(FEED, "begin", False, False)])
            self._snapshot(copy)
        else:
            self._go_on(copy)

    def _ended(self, copy: _Copy) -> None:
        if self._copies.get(copy.worker) is not copy:
            return
        del self._copies[copy.worker]
        if not self._copies:
            self._deserted.set()
        if copy.giving is not None and not copy.giving.done():
            copy.giving.set_result(False)
        for part in self._parts:
            part.left(copy.worker)
        self.changed()

    def _received(self, copy: _Copy, records: list[list[Any]]) -> None:
        try:
            for part, word, *values in records:
                if part == FEED:
                    self._told(copy, word, values)
                elif part in self._by_name:
                    self._take_in(copy, self._by_name[part], word, values)
        except (RecordError, TypeError, ValueError) as exc:
            text = "%s is not fed any more, it sent what makes no sense: %s"
            log.error(text, copy.worker, exc)  # noqa: TRY400
            self.detach(copy.worker)

    def _take_in(self, copy: _Copy, part: OwnedPart, word: str, values: Sequence[Any]) -> None:
        if copy.giving is not None and not copy.giving.done():
            part.adopt(word, values)
        else:
            part.report(copy.worker, word, values)

    def _told(self, copy: _Copy, word: str, values: Sequence[Any]) -> None:
        if word == "hello":
            if list(values[:1]) != [FORMAT]:
                raise RecordError(f"format {values[:1]}, not {FORMAT}")
        elif word == END and copy.giving is not None and not copy.giving.done():
            for part in self._parts:
                part.adopted()
            copy.giving.set_result(True)

    # --- Before it: a predecessor ---

    async def recover(self, *, asked: bool = True) -> bool:
        """Take over from those who have copies, after the owner before this one has died, and begin to feed all.

        To be called before anything is told to anybody, with the workers attached while :meth:`expect` is in force.

        Args:
            asked: False: this is the first owner; there is nothing to take over.

        Returns:
            False if nobody had a copy.
        """
        found = False
        for copy in list(self._copies.values()) if asked else ():
            if self._copies.get(copy.worker) is not copy or copy.channel is None:
                continue
            copy.channel.send([(FEED, "give")])
            if await self._given(copy):
                found = True
                break
        self._recovering = False
        self._again = asked
        for copy in list(self._copies.values()):
            self._begin(copy)
        # Who joins later is new, and has counted nothing that others know.
        self._again = False
        return found

    def expect(self) -> None:
        """Attach workers from now on without telling them anything, until :meth:`recover`."""
        self._recovering = True

    async def take(self, sock: socket.socket, worker: Worker) -> bool:
        """Take over from the owner before this one, at a reload, over a socket on which it is fed afterwards.

        Args:
            sock: connected with the predecessor, which calls :meth:`hand_over`.
            worker: what it is from then on; if it only ends, that is all the same.

        Returns:
            False if it did not give everything in time: nothing of it is wrong, but some may be missing.
        """
        copy = self._open(sock, worker)
        whole = await self._given(copy)
        if self._copies.get(worker) is copy:
            self._taken = True
            self._begin(copy)
        return whole

    async def _given(self, copy: _Copy) -> bool:
        """Take in a snapshot that is about to come; False if it does not come whole and in time."""
        copy.giving = self._loop.create_future()
        try:
            async with asyncio.timeout(self._limits.recover):
                return await copy.giving
        except TimeoutError:
            self.detach(copy.worker)
            return False

    def snapshot(self) -> Iterator[Record]:
        """Yield everything, for a successor."""
        self.flush()
        return self._records(None)
