"""Read end of a link: whom it tells that there is something to read, and reading.

Reads happen where the bytes are wanted; a link only arms and disarms the poller's notice of them.
"""

import os
import socket
from abc import abstractmethod
from typing import Final

from uwsgi_router.router.net.polled import Polled
from uwsgi_router.router.net.poller import READABLE, SHARE, Poller
from uwsgi_router.subscriptions.traffic import Traffic

#: For each call on a socket: an accepted one is not told by ioctl that it must not block.
NOW: Final = int(socket.MSG_DONTWAIT)
_PEEK: Final = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)


class Reader:
    """Reader of a link, told when there is something to read."""

    __slots__ = ()

    @abstractmethod
    def readable(self) -> None:
        """Read: bytes, the end, or an error are there. A call for nothing is possible."""


class ReadEnd(Polled):
    """Read end of a stream connection; :class:`~uwsgi_router.router.net.link.Link` is the whole of it.

    Args:
        poller: tells of readiness.
        sock: never waited for.
        traffic: of the peer.
    """

    __slots__ = ("_paused", "_reader", "_sock", "_traffic")

    def __init__(self, poller: Poller, sock: socket.SocketType, traffic: Traffic) -> None:
        Polled.__init__(self, poller, sock.fileno())
        self._sock = sock
        self._traffic = traffic
        # Who is told when there is something to read, and who would be if the link were not paused.
        self._reader: Reader | None = None
        self._paused: Reader | None = None

    @property
    def reading(self) -> bool:
        """True while the reader is called."""
        return self._reader is not None

    def read_with(self, reader: Reader) -> None:
        """Call ``reader`` whenever the socket is readable, from now on."""
        if self.closed:
            return
        self._reader = reader
        self._paused = None
        if not self._watched & READABLE:
            self._watch(self._watched | READABLE)

    def pause(self) -> None:
        """Stop the reader's calls; bytes stay in the kernel, which slows the peer down (backpressure)."""
        if self._reader is not None:
            self._paused, self._reader = self._reader, None
            self._watch(self._watched & ~READABLE)

    def resume(self) -> None:
        """Let the reader be called again."""
        if self._paused is not None:
            self._reader, self._paused = self._paused, None
            self._watch(self._watched | READABLE)

    def recv(self, size: int) -> bytes | None:
        """Return the next bytes, at most ``size``; b"" at the peer's end, None if there are none yet.

        Raises:
            OSError: if the connection is broken.
        """
        try:
            data: bytes = self._sock.recv(size, NOW)
        except (BlockingIOError, InterruptedError):
            return None
        size = len(data)
        self._traffic.tx += size
        if size >= SHARE:
            if self.heavy is None:
                self.set_heavy()
            else:
                self.heavy.more = True
        return data

    def skip(self, size: int) -> int | None:
        """Throw the next bytes away, at most ``size``; return how many: 0 at the peer's end, None: there are none yet.

        Raises:
            OSError: if the connection is broken.
        """
        data = self.recv(size)
        return None if data is None else len(data)

    def recv_into(self, buffer: memoryview) -> int:
        """Read into ``buffer``; return the number of bytes, 0 at the peer's end, -1 if there are none yet.

        Raises:
            OSError: if the connection is broken.
        """
        try:
            size = self._sock.recv_into(buffer, 0, NOW)
        except (BlockingIOError, InterruptedError):
            return -1
        self.note_read(size)
        return size

    def note_read(self, size: int) -> None:
        """Count bytes that were read; many of them make the link a heavy one."""
        self._traffic.tx += size
        if size >= SHARE:
            if self.heavy is None:
                self.set_heavy()
            else:
                self.heavy.more = True

    def is_quiet(self) -> bool:
        """Return True if the peer has neither sent anything nor ended the connection; nothing is taken."""
        try:
            self._sock.recv(1, _PEEK)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        return False

    # --- the socket itself ---

    def never_block(self) -> None:
        """Tell the kernel, too, that nobody waits for this socket."""
        os.set_blocking(self._fd, False)

    def keep_alive(self, seconds: int) -> None:
        """Let the kernel probe a TCP peer that is silent for so long, and break the connection if it does not answer.

        Source: tcp(7). A peer that has vanished is noticed after twice the time.
        """
        sock = self._sock
        if sock.family == socket.AF_UNIX:
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, seconds // 4))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)

    def local_address(self) -> tuple[str, int] | None:
        """Return the (host, port) that the peer has connected to; None for a UNIX socket."""
        name = None if self._sock.family == socket.AF_UNIX else self._sock.getsockname()
        return None if name is None else (name[0], name[1])
