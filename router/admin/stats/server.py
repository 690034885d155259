"""The stats port: the document for whoever connects, and pages for whoever speaks HTTP.

uWSGI's own tools connect and read; nothing needs to be sent. Browsers and Prometheus send a
request first. So a client gets a short moment to begin one; if it stays silent (or half-closes, or
sends something else), the raw document follows. With ``stats-http`` the port waits for a request
and sends nothing without one, as uWSGI's does.

Nothing here can hold up the router: few connections at once, the rest waits in the kernel's
backlog; each has an end that does not depend on its client; answers are made and sent a chunk at a
time.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from uwsgi_router.router.admin.stats import http, metrics
from uwsgi_router.router.admin.stats.document import describe
from uwsgi_router.router.admin.stats.encoding import encode
from uwsgi_router.router.admin.stats.source import StatsSource
from uwsgi_router.router.net.acceptor import Acceptor, Peer
from uwsgi_router.router.net.listeners import BoundSocket

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the cost of one client, and of all together; times in seconds."""

    connections: int = 64
    """Served at once."""
    peek: float = 0.15
    """Silence after which a client is taken for one that only reads."""
    request: float = 4.0
    """For a whole request head; with ``stats-http`` also for its first byte, as in uWSGI."""
    stalled: float = 4.0
    """Without a byte taken by the client."""
    total: float = 30.0
    """For a whole connection, however busily it trickles."""
    linger: float = 1.0
    """For the client to close after the answer."""


class StatsServer:
    """Serves one router's numbers.

    Args:
        listeners: the stats sockets, listening; closed with the server.
        source: the router.
        loop: the event loop; its time is what the table's times are in.
        wall_clock: returns the epoch; the document shows times as epochs.
        wait_for_http: ``stats-http``.
        minified: ``stats-minified``.
        limits: see :class:`Limits`.
    """

    def __init__(
        self,
        listeners: Sequence[BoundSocket],
        source: StatsSource,
        *,
        loop: asyncio.AbstractEventLoop,
        wall_clock: Callable[[], float],
        wait_for_http: bool = False,
        minified: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self._source = source
        self._wall_clock = wall_clock
        self._minified = minified
        self._acceptor = Acceptor(loop, listeners, self._connected)
        self._connections: set[_Connection] = set()
        self._closed = False
        self.loop = loop
        self.wait_for_http = wait_for_http
        self.limits = limits or Limits()

    def start(self) -> None:
        """Begin to accept."""
        self._acceptor.start()

    def close(self) -> None:
        """Close the sockets, and cut the clients there are."""
        self._closed = True
        self._acceptor.stop(drain=False)
        for connection in list(self._connections):
            connection.close()

    def raw_document(self) -> Iterator[bytes]:
        """Yield the document as it is when the first chunk is taken."""
        now, wall = self.loop.time(), self._wall_clock()
        yield from encode(describe(self._source, now=now, wall=wall), minified=self._minified)

    def page(self, path: str) -> tuple[str, Iterator[bytes]]:
        """Return (content type, body) of one of the two pages."""
        if path == "/metrics":
            now, wall = self.loop.time(), self._wall_clock()
            return metrics.CONTENT_TYPE, metrics.render(self._source, now=now, wall=wall)
        return "application/json", self.raw_document()

    def forget(self, connection: "_Connection") -> None:
        """Forget a connection that has ended; called by it."""
        self._connections.discard(connection)
        if not self._closed:
            self._acceptor.resume()

    def _connected(self, sock: socket.SocketType, _peer: Peer) -> None:
        self._connections.add(_Connection(self, sock))
        if len(self._connections) >= self.limits.connections:
            self._acceptor.pause()


class _Connection:
    """One client, from accept to close: it may ask, it is answered, it is gone."""

    def __init__(self, server: StatsServer, sock: socket.SocketType) -> None:
        self._server = server
        self._loop = server.loop
        self._limits = server.limits
        self._sock = sock
        self._received = b""
        self._unsent = memoryview(b"")
        self._chunks: Iterator[bytes] = iter(())
        self._end = self._loop.time() + self._limits.total
        first = self._limits.request if server.wait_for_http else self._limits.peek
        self._timer = self._loop.call_later(first, self._not_http)
        self._loop.add_reader(sock, self._on_readable)

    # Asking

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        if not self._received:
            self._arm(self._limits.request, self._on_late_request)
        self._received += data
        speaks = http.speaks_http(self._received)
        if speaks is False or (not data and not speaks):
            self._not_http()
        elif not data:
            self._refuse(http.Refused(HTTPStatus.BAD_REQUEST, "The request ends in its head."))
        elif http.head_is_complete(self._received):
            self._answer_request()
        elif len(self._received) > http.MAX_HEAD:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self._refuse(http.Refused(status, "The request head is too long."))

    def _not_http(self) -> None:
        if not self._server.wait_for_http:
            self._send(self._server.raw_document())
        elif self._received:
            self._refuse(http.Refused(HTTPStatus.BAD_REQUEST, "This is no HTTP/1 request."))
        else:
            self.close()

    def _on_late_request(self) -> None:
        self._refuse(http.Refused(HTTPStatus.REQUEST_TIMEOUT, "The request took too long."))

    # Answering

    def _answer_request(self) -> None:
        try:
            request = http.parse(self._received, loopback=self._is_loopback())
        except http.Refused as exc:
            self._refuse(exc)
            return
        content_type, body = self._server.page(request.path)
        self._send(_page(http.answer_head(HTTPStatus.OK, content_type), body, request.head_only))

    def _refuse(self, refused: http.Refused) -> None:
        head = http.answer_head(refused.status, "text/plain; charset=utf-8")
        body = () if self._received.startswith(b"HEAD ") else (f"{refused}\n".encode(),)
        self._send(iter((head, *body)))

    def _is_loopback(self) -> bool:
        if self._sock.family == socket.AF_UNIX:
            return False
        host = str(self._sock.getsockname()[0]).removeprefix("::ffff:")
        return host == "::1" or host.startswith("127.")

    def _send(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._loop.remove_reader(self._sock)
        self._arm(self._limits.stalled, self.close)
        self._loop.add_writer(self._sock, self._on_writable)

    def _on_writable(self) -> None:
        try:
            sent_all = self._send_some()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:  # the client went away
            self.close()
        except BaseException:
            # Ours, and the loop's to log. But a connection that nobody ends would come back at once.
            self.close()
            raise
        else:
            if sent_all:
                self._linger()

    def _send_some(self) -> bool:
        """Send one chunk, or what was left of the last; return True if that was all."""
        if not self._unsent:
            chunk = next(self._chunks, None)
            if chunk is None:
                return True
            self._unsent = memoryview(chunk)
        sent = self._sock.send(self._unsent[:_CHUNK])
        self._unsent = self._unsent[sent:]
        self._arm(self._limits.stalled, self.close)
        return False

    def _linger(self) -> None:
        # Closing a socket with unread bytes in it (a request's body, say) sends a reset, and a
        # reset may destroy what the client has not read yet. So: say that this was all, and let the
        # client close.
        self._loop.remove_writer(self._sock)
        self._arm(self._limits.linger, self.close)
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._loop.add_reader(self._sock, self._discard)

    def _discard(self) -> None:
        try:
            if self._sock.recv(_CHUNK):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self.close()

    # The end

    def _arm(self, seconds: float, expired: Callable[[], None]) -> None:
        self._timer.cancel()
        left = max(0.0, self._end - self._loop.time())
        self._timer = self._loop.call_later(min(seconds, left), expired)

    def close(self) -> None:
        """Cut the connection."""
        self._timer.cancel()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        self._server.forget(self)


def _page(head: bytes, body: Iterator[bytes], head_only: bool) -> Iterator[bytes]:
    yield head
    if not head_only:
        yield from body
