"""Link: one stream connection, its socket, unsent bytes (backpressure) and half-close.

Writes go out at once; what the kernel does not take is kept and sent when it can be, and the owner is told when the
socket breaks.
Sockets instead of asyncio transports: measured 5 to 10 % less CPU per request, and EAGAIN, half-close and RST are
seen as they happen, on both event loops alike. Nobody but the link touches the socket.
"""

import select
import socket
import struct
from abc import abstractmethod
from collections.abc import Callable
from typing import Final

from uwsgi_router.router.core.failure import without_traceback
from uwsgi_router.router.net.connect import outcome
from uwsgi_router.router.net.poller import SHARE, WRITABLE, Poller
from uwsgi_router.router.net.read_end import NOW, ReadEnd, Reader
from uwsgi_router.subscriptions.traffic import Traffic

# Above HIGH unsent bytes whoever feeds the link should stop; below LOW it may go on.
# What the kernel takes comes on top: with 256 KiB 400 clients that read nothing took 150 MB, and were no faster.
HIGH: Final = 64 * 1024
LOW: Final = 16 * 1024

_LINGER_RESET: Final = struct.pack("ii", 1, 0)

# Events of epoll.
_BYTES: Final = int(select.EPOLLIN)
_LAST: Final = int(select.EPOLLRDHUP)
_CLOSED: Final = int(select.EPOLLHUP)
_ERROR: Final = int(select.EPOLLERR)
_ENDS: Final = _LAST | _CLOSED | _ERROR


class LinkOwner(Reader):
    """Owner of a link: told of what happens to its writes."""

    __slots__ = ()

    @abstractmethod
    def touch(self) -> None:
        """Note that unsent bytes went out."""

    @abstractmethod
    def link_broken(self, link: "Link", error: OSError) -> None:
        """Note that unsent bytes can't be sent any more."""

    @abstractmethod
    def wake(self) -> None:
        """Note that the last unsent byte went out, or a connect has ended."""


class Link(ReadEnd):
    """Link: one end of a stream connection.

    Args:
        poller: tells of readiness.
        sock: never waited for; closed with the link.
        owner: told of writes that went out or failed; None: :meth:`owned_by` follows, before anything else.
        traffic: of the peer; every byte that is read or written is counted there at once.

    Attributes:
        backlog: bytes taken by :meth:`write` and not yet by the kernel.
        broken: the reset that a write has met: the kernel tells of it once, and then only of an end.
        connecting: :meth:`watch_connect` was called, and the connect has not ended.
        hung_up: the peer has closed a UNIX socket, not only its own direction: it will read nothing more.
        last: the peer has ended, in good order, and all that it sent is in the kernel: a read that returns less than
            was asked for is the last one (TCP: tcp_fin() in net/ipv4/tcp_input.c; UNIX: unix_stream_read_generic()).
        on_low: called once when the backlog has fallen below LOW again.
        written: bytes given to :meth:`write` so far.
    """

    __slots__ = (
        "_eof",
        "_owner",
        "_pending",
        "backlog",
        "broken",
        "connecting",
        "hung_up",
        "last",
        "on_low",
        "written",
    )
    # Only a compiled class needs to be told.
    __deletable__ = ("_owner",)

    def __init__(
        self, poller: Poller, sock: socket.SocketType, owner: LinkOwner | None, traffic: Traffic
    ) -> None:
        ReadEnd.__init__(self, poller, sock, traffic)
        if owner is not None:
            self._owner = owner
        self._pending: bytearray | None = None
        self._eof = self.last = self.hung_up = False
        self.connecting = False
        self.broken: OSError | None = None
        self.backlog = 0
        self.on_low: Callable[[], None] | None = None
        self.written = 0

    def __repr__(self) -> str:
        state = "closed" if self.closed else "reading" if self.reading else "paused"
        return f"<Link fd={self._fd} {state} backlog={self.backlog}>"

    def on_events(self, events: int) -> None:
        """Act on readiness; errors and hang-ups go to the active reader or writer, whose next call raises them."""
        if events & _ENDS:
            # An error is told by the read behind the last bytes.
            self.last = events & _ERROR == 0 and events & _LAST != 0
            # Where we have half-closed ourselves, the peer may only have done so, too.
            self.hung_up = events & _CLOSED != 0 and not self._eof
        if events != WRITABLE and self._reader is not None:
            self._reader.readable()
        if events != _BYTES:
            if self._pending is not None:
                self._flush()
            elif self.connecting:
                self.connecting = False
                self._watch(self._watched & ~WRITABLE)
                self._owner.wake()

    def owned_by(self, owner: LinkOwner) -> None:
        """From now on report to ``owner``."""
        self._owner = owner

    # --- connecting ---

    def watch_connect(self) -> None:
        """Wake the owner when the connect has ended; :meth:`connect_outcome` tells how."""
        self.connecting = True
        self._watch(self._watched | WRITABLE)

    def connect_outcome(self) -> None:
        """Return if the connection was made.

        Raises:
            OSError: with the kernel's reason if not.
        """
        outcome(self._sock)

    # --- writing ---

    def write(self, data: bytes) -> None:
        """Send ``data``, now or as soon as the kernel takes it.

        Raises:
            OSError: if the connection is broken.
        """
        sent = 0
        size = len(data)
        if self._pending is None:
            try:
                sent = self._sock.send(data, NOW)
            except (BlockingIOError, InterruptedError):
                pass
            except ConnectionResetError as reset:
                self.broken = without_traceback(reset)
                raise
            self.written += size
            self._traffic.rx += size
            if sent < size:
                self._pending = bytearray(memoryview(data)[sent:] if sent else data)
                self.backlog = len(self._pending)
                self._watch(self._watched | WRITABLE)
            return
        self.written += size
        self._traffic.rx += size
        self._pending += data
        self.backlog = len(self._pending)

    @property
    def plain(self) -> bool:
        """True if the kernel's bytes are the peer's, so that they can be spliced."""
        return True

    def write_view(self, view: memoryview) -> None:
        """Do as :meth:`write`, with bytes of a buffer that others will use: what the kernel does not take is copied.

        Raises:
            OSError: if the connection is broken.
        """
        sent = 0
        if self._pending is None:
            try:
                sent = self._sock.send(view, NOW)
            except (BlockingIOError, InterruptedError):
                pass
            except ConnectionResetError as reset:
                self.broken = without_traceback(reset)
                raise
            self.note_written(sent)
        if sent < len(view):
            self.write(bytes(view[sent:]))

    def note_written(self, size: int) -> None:
        """Count bytes that the kernel has taken."""
        self.written += size
        self._traffic.rx += size

    def watch_room(self) -> None:
        """Wake the owner once the kernel takes bytes again that are not in the backlog."""
        self.watch_connect()

    def write_first(self, data: bytes) -> bool:
        """Send ``data`` if the connection, which is being made, is there already; False: it is not.

        Raises:
            OSError: it was refused, or is broken.
        """
        try:
            sent = self._sock.send(data, NOW)
        except BlockingIOError:
            return False
        self.note_written(sent)
        if sent < len(data):
            self.write(data[sent:])
        return True

    def write_eof(self) -> None:
        """Half-close after the last unsent byte.

        Raises:
            OSError: if the connection is broken.
        """
        self._eof = True
        if self._pending is None:
            self._end_writing()

    def _end_writing(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def _send_pending(self, pending: bytearray) -> int:
        """Send what the kernel takes; return how many bytes it took."""
        try:
            return self._sock.send(pending, NOW)
        except (BlockingIOError, InterruptedError):
            return 0

    def _flush(self) -> None:
        assert self._pending is not None
        try:
            sent = self._send_pending(self._pending)
        except OSError as exc:
            if isinstance(exc, ConnectionResetError):
                self.broken = without_traceback(exc)
            self._drop_pending()
            self._owner.link_broken(self, exc)
            return
        if not sent:
            return
        del self._pending[:sent]
        self.backlog = len(self._pending)
        self._owner.touch()
        if sent >= SHARE:
            self.set_heavy()
        if not self.backlog:
            self._drop_pending()
            if self._eof:
                try:
                    self._end_writing()
                except OSError as broken:
                    self._owner.link_broken(self, broken)
                    return
            self._owner.wake()
        if self.backlog < LOW and self.on_low is not None:
            on_low, self.on_low = self.on_low, None
            on_low()

    def _drop_pending(self) -> None:
        self._watch(self._watched & ~WRITABLE)
        self._pending = None
        self.backlog = 0

    # --- the end ---

    def close(self) -> None:
        """Close the socket; what was not sent is lost."""
        if self.closed:
            return
        self.closed = True
        if self._watched:
            self._watched = 0
            self._poller.forget(self._fd)
        if self.heavy is not None:
            self.heavy.drop()
            self.heavy = None
        self._pending = None
        self.backlog = 0
        # These hold whoever holds this link: without them all are freed at once, not by the collector, which took a
        # tenth of the CPU.
        self._reader = self._paused = self.on_low = None
        del self._owner
        self._sock.close()

    def reset(self) -> None:
        """Close so that a TCP peer sees RST: what it got is not all there was."""
        if self.closed:
            return
        if self._sock.family != socket.AF_UNIX:
            try:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            except OSError:
                pass
        self.close()
