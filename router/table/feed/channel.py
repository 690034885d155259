"""Channel: records to and from another process of this program over a stream socket, without tasks."""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from uwsgi_router.router.table.feed.frames import FeedError, FeedReader, Record, encode

log = logging.getLogger("uwsgi-router.feed")

_CHUNK: Final = 256 * 1024


class FeedChannel:
    """Channel to another process.

    Args:
        sock: connected; closed with the channel.
        loop: the event loop.
        received: is given the records that came, in order.
        ended: called once, when the other end has closed, or sends what is no frame; not by :meth:`close`.
        sent: called when the last unsent byte has gone out.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        received: Callable[[list[list[Any]]], None],
        ended: Callable[[], None],
        sent: Callable[[], None] = lambda: None,
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = loop
        self._received = received
        self._ended = ended
        self._sent = sent
        self._reader = FeedReader()
        self._unsent: deque[bytes] = deque()
        self._closed = False
        self._writing = False
        self.backlog = 0
        """Unsent bytes."""
        loop.add_reader(sock.fileno(), self._readable)

    def __repr__(self) -> str:
        return f"<FeedChannel fd={self._sock.fileno()} backlog={self.backlog}>"

    @property
    def closed(self) -> bool:
        """True once it was closed, or has ended."""
        return self._closed

    def send(self, records: Iterable[Record]) -> None:
        """Send records."""
        self.send_frames(encode(records))

    def send_frames(self, frames: bytes) -> None:
        """Send frames; what does not go out at once goes out later."""
        if self._closed or not frames:
            return
        if not self._unsent:
            try:
                count = self._sock.send(frames)
            except (BlockingIOError, InterruptedError):
                count = 0
            except OSError:
                # The reader finds out why.
                return
            if count == len(frames):
                return
            frames = frames[count:]
        self._unsent.append(frames)
        self.backlog += len(frames)
        if not self._writing:
            self._writing = True
            self._loop.add_writer(self._sock.fileno(), self._writable)

    def close(self) -> None:
        """Close it; may be called again."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._sock.fileno())
        if self._writing:
            self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        self._unsent.clear()
        self.backlog = 0

    def _readable(self) -> None:
        if self._closed:
            return
        try:
            data = self._sock.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        try:
            records = self._reader.feed(data)
        except FeedError as exc:
            log.error("another process of this program sent what it should not: %s", exc)  # noqa: TRY400
            self._end()
            return
        # uvloop tells of a broken socket once, whatever is left to read: its end is found without being told of.
        self._loop.call_soon(self._readable)
        if records:
            self._received(records)

    def _writable(self) -> None:
        unsent = self._unsent
        while unsent:
            try:
                count = self._sock.send(unsent[0])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                unsent.clear()
                self.backlog = 0
                break
            self.backlog -= count
            if count < len(unsent[0]):
                unsent[0] = unsent[0][count:]
                return
            unsent.popleft()
        self._writing = False
        self._loop.remove_writer(self._sock.fileno())
        self._sent()

    def _end(self) -> None:
        self.close()
        self._ended()
