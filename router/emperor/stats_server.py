"""Stats port of an Emperor: the document for whoever connects; no client can hold up the Emperor."""

import logging
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from uwsgi_router.router.emperor.accepting import accept_from
from uwsgi_router.router.emperor.sending import send_some
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.supervision.loop import SelectorLoop, Timer

log = logging.getLogger("uwsgi-router.emperor")

_METRICS: Final = re.compile(rb"[A-Z]+ /metrics[ ?]")
_MOST_HEAD: Final = 16_384


@dataclass(frozen=True, slots=True)
class StatsPortLimits:
    """Limits on the cost of clients; times in seconds."""

    clients: int = 64
    """Served at once; with more of them, the oldest is cut off."""
    total: float = 30.0
    """For one client, however busily it trickles."""


class EmperorStats:
    """Stats port of an Emperor.

    Args:
        loop: waits.
        listeners: listen; closed with it.
        document: returns the bytes of the document, as it is now.
        metrics: returns those of the metrics, for requests of /metrics with ``stats-http``.
        wait_for_http: ``stats-http``: a client has to send a request first.
        limits: see :class:`StatsPortLimits`.
    """

    def __init__(
        self,
        loop: SelectorLoop,
        listeners: Sequence[BoundSocket],
        document: Callable[[], bytes],
        metrics: Callable[[], bytes] = lambda: b"",
        *,
        wait_for_http: bool = False,
        limits: StatsPortLimits | None = None,
    ) -> None:
        self.loop = loop
        self._listeners = listeners
        self._document = document
        self._metrics = metrics
        self._http = wait_for_http
        self._limits = limits or StatsPortLimits()
        self._clients: list[_StatsClient] = []
        for bound in listeners:
            bound.sock.setblocking(False)
            accept_from(loop, bound.sock, self._take)

    def _take(self, sock: socket.socket) -> None:
        if len(self._clients) >= self._limits.clients:
            self._clients[0].close()
        self._clients.append(_StatsClient(self, sock, self._limits.total))

    def answer(self, request: bytes) -> bytes:
        """Return what a client gets for its request; that is empty without ``stats-http``."""
        if _METRICS.match(request):
            return _head(b"text/plain; version=0.0.4; charset=utf-8") + self._metrics()
        return (_head(b"application/json") if self._http else b"") + self._document()

    @property
    def waits_for_http(self) -> bool:
        """True if a client has to send a request first."""
        return self._http

    def gone(self, client: "_StatsClient") -> None:
        """Forget a client."""
        self._clients.remove(client)

    def close(self) -> None:
        """Cut all clients off, and close the sockets."""
        for client in list(self._clients):
            client.close()
        for bound in self._listeners:
            self.loop.remove_reader(bound.sock.fileno())
            bound.close()


def _head(kind: bytes) -> bytes:
    return (
        b"HTTP/1.0 200 OK\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\n"
        b"Content-Type: " + kind + b"\r\n\r\n"
    )


class _StatsClient:
    """Client of a stats port: a request is read if one is wanted, then the document is written."""

    def __init__(self, server: EmperorStats, sock: socket.socket, seconds: float) -> None:
        self._server = server
        self._sock = sock
        sock.setblocking(False)
        self._timer: Timer = server.loop.call_later(seconds, self.close)
        self._read = b""
        self._unsent = memoryview(b"")
        self._over = False
        if server.waits_for_http:
            server.loop.add_reader(sock.fileno(), self._hear)
        else:
            server.loop.call_later(0, self._begin)

    def _hear(self) -> None:
        """Read a request, of which only the end is of interest."""
        try:
            data = self._sock.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._read += data
        if not data or len(self._read) > _MOST_HEAD:
            self.close()
        elif b"\r\n\r\n" in self._read or b"\n\n" in self._read:
            self._server.loop.remove_reader(self._sock.fileno())
            self._begin()

    def _begin(self) -> None:
        if not self._over:
            self._unsent = memoryview(self._server.answer(self._read))
            self._server.loop.add_writer(self._sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._unsent = send_some(self._sock, self._unsent)
        except OSError:
            self.close()
            return
        if not self._unsent:
            self._finish()

    def _finish(self) -> None:
        """Let the client close first: closing with unread bytes would reset, which may destroy the answer."""
        self._server.loop.remove_reader(self._sock.fileno())
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._server.loop.add_reader(self._sock.fileno(), self._linger)

    def _linger(self) -> None:
        try:
            if self._sock.recv(4096):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._over:
            return
        self._over = True
        self._timer.cancel()
        self._server.loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._server.gone(self)
