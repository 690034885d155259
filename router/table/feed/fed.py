"""Fed side of a feed: applies what the owner says, and reports at intervals, urgent things at once."""

import asyncio
import logging
import socket
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from uwsgi_router.router.table.feed.channel import FeedChannel
from uwsgi_router.router.table.feed.frames import FORMAT, Record
from uwsgi_router.router.table.feed.owner import END, FEED, FeedLimits
from uwsgi_router.router.table.feed.parts import FedPart
from uwsgi_router.subscriptions.node_record import RecordError

log = logging.getLogger("uwsgi-router.feed")

# Records of a snapshot that are made at once.
_SLICE = 50
# Unsent bytes above which nothing more is reported: it adds up here meanwhile.
_ENOUGH = 64 * 1024


class Feed:
    """Feed of a process that holds copies; without an owner the copies stay as they are.

    Args:
        loop: the event loop.
        limits: see :class:`FeedLimits`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: FeedLimits | None = None) -> None:
        self._loop = loop
        self._limits = limits or FeedLimits()
        self._parts: list[FedPart] = []
        self._by_name: dict[str, FedPart] = {}
        self._channel: FeedChannel | None = None
        self._flushing: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._whole = asyncio.Event()
        self._giving: Iterator[Record] | None = None
        self._greeted = False

    def __repr__(self) -> str:
        return f"<Feed parts={list(self._by_name)} {self._channel!r}>"

    @property
    def has_owner(self) -> bool:
        """True while an owner feeds it."""
        return self._channel is not None

    def add(self, part: FedPart, names: Sequence[str] = ()) -> None:
        """Have a part fed; to be called before the first owner is attached.

        Args:
            part: it.
            names: by which the other side may call it, beside its own.
        """
        self._parts.append(part)
        self._by_name |= dict.fromkeys((part.name, *names), part)

    async def synced(self) -> None:
        """Return when the copies have been whole once."""
        await self._whole.wait()

    def attach(self, sock: socket.socket, *, giving: Iterator[Record] | None = None) -> None:
        """Be fed by another owner from now on, over a connected stream socket.

        Args:
            sock: closed with the feed.
            giving: what the owner is to be given first, because it takes over from this process.
        """
        self.detach()
        self._channel = FeedChannel(sock, self._loop, self._received, self._ended, self._sent)
        self._channel.send([(FEED, "hello", FORMAT)])
        self._greeted = False
        if giving is not None:
            self._give(giving)
        self._timer = self._loop.call_later(self._limits.interval, self._tick)

    def detach(self) -> None:
        """Be fed no more; may be called again."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        for handle in (self._timer, self._flushing):
            if handle is not None:
                handle.cancel()
        self._timer = self._flushing = None
        self._giving = None

    def urgent(self) -> None:
        """Tell the owner soon what it has to know at once."""
        if self._flushing is None and self._channel is not None:
            self._flushing = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = None
        channel = self._free_channel()
        if channel is not None:
            channel.send([record for part in self._parts for record in part.urgent()])

    def _free_channel(self) -> FeedChannel | None:
        """Return the channel if the owner can take a report; otherwise that goes out with the next one."""
        channel = self._channel
        if channel is None or not self._greeted or self._giving is not None:
            return None
        return channel if channel.backlog <= _ENOUGH else None

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._limits.interval, self._tick)
        self.report()

    def report(self) -> None:
        """Tell the owner what was counted."""
        channel = self._free_channel()
        if channel is None:
            return
        self._flush_now()
        channel.send([record for part in self._parts for record in part.counts()])

    def _flush_now(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
        self._flush()

    def _received(self, records: list[list[Any]]) -> None:
        try:
            for part, word, *values in records:
                if part == FEED:
                    self._told(word, values)
                elif part in self._by_name:
                    self._by_name[part].apply(word, values)
        except (RecordError, TypeError, ValueError) as exc:
            log.error("the owner of the table sent what makes no sense: %s", exc)  # noqa: TRY400
            self.detach()

    def _told(self, word: str, values: Sequence[Any]) -> None:
        if word == "hello":
            if list(values[:1]) != [FORMAT]:
                raise RecordError(f"format {values[:1]}, not {FORMAT}")
        elif word == "begin":
            again, taken = values
            for part in self._parts:
                if not self._greeted:
                    part.attached(again=again is True, taken=taken is True)
                part.begin()
            self._greeted = True
        elif word == END:
            for part in self._parts:
                part.end()
            self._whole.set()
        elif word == "give":
            self._give(self._records())

    def _records(self) -> Iterator[Record]:
        for part in self._parts:
            yield from part.snapshot()
        yield FEED, END

    def _give(self, records: Iterator[Record]) -> None:
        self._giving = records
        self._go_on()

    def _go_on(self) -> None:
        channel, giving = self._channel, self._giving
        if channel is None or giving is None or channel.backlog > self._limits.snapshot:
            return
        piece = list(islice(giving, _SLICE))
        if not piece:
            self._giving = None
            self.urgent()
            return
        channel.send(piece)
        if not channel.backlog:
            self._loop.call_soon(self._go_on)

    def _sent(self) -> None:
        self._go_on()

    def _ended(self) -> None:
        # The master says by what the owner has ended, and starts another one.
        self.detach()
