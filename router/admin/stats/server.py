"""The stats port: the document for whoever connects, and pages for whoever speaks HTTP.

uWSGI's own tools connect and read; nothing needs to be sent. Browsers and Prometheus send a
request first. So a client gets a short moment to begin one; if it stays silent (or half-closes, or
sends something else), the raw document follows. With ``stats-http`` the port waits for a request
and sends nothing without one, as uWSGI's does. Answers are made and sent a chunk at a time.
"""

import asyncio
import socket
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from types import ModuleType

from uwsgi_router.router.admin.stats import http
from uwsgi_router.router.admin.stats.document import describe
from uwsgi_router.router.admin.stats.encoding import encode
from uwsgi_router.router.admin.stats.source import StatsSource
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.net.service import BoundedService, ServiceClient, ServiceLimits, Turns


@dataclass(frozen=True, slots=True)
class StatsLimits(ServiceLimits):
    """Limits on the cost of one client, and of all together; times in seconds."""

    connections: int = 256
    total: float | None = 30.0
    peek: float = 0.15
    """Silence after which a client is taken for one that only reads."""
    request: float = 4.0
    """For a whole request head; with ``stats-http`` also for its first byte, as in uWSGI."""
    stalled: float = 4.0
    """Without a byte taken by the client."""


class DocumentServer(BoundedService):
    """Serves a document, and pages to whoever speaks HTTP.

    Args:
        listeners: the stats sockets, listening; closed with the server.
        loop: the event loop.
        wait_for_http: ``stats-http``.
        limits: see :class:`StatsLimits`.
    """

    makes_room = True

    def __init__(
        self,
        listeners: Sequence[BoundSocket],
        *,
        loop: asyncio.AbstractEventLoop,
        wait_for_http: bool = False,
        limits: StatsLimits | None = None,
    ) -> None:
        self._limits = limits or StatsLimits()
        super().__init__(listeners, loop, self._limits)
        self._wait_for_http = wait_for_http
        self._turns = Turns(loop)

    @abstractmethod
    def document(self) -> Iterable[bytes]:
        """Return the document in chunks, as it is when the first one is taken."""

    @abstractmethod
    def metrics(self) -> tuple[str, Iterable[bytes]]:
        """Return the content type and the text of the page ``/metrics``.

        Raises:
            RequestRefused: there is none.
        """

    def ready(self) -> bool:
        """Return True if whoever comes to the router now is served."""
        return True

    async def serve(self, client: ServiceClient) -> None:
        """Send the raw document, or the page that the client asks for."""
        received = bytearray()
        chunks: Iterable[bytes]
        try:
            if await self._speaks_http(client, received):
                chunks = self._page(http.parse(bytes(received), loopback=_is_loopback(client.sock)))
            elif not self._wait_for_http:
                chunks = self.document()
            elif received:
                raise http.RequestRefused(HTTPStatus.BAD_REQUEST, "This is no HTTP/1 request.")
            else:
                return
        except http.RequestRefused as exc:
            head = http.answer_head(exc.status, "text/plain; charset=utf-8")
            chunks = (head,) if received.startswith(b"HEAD ") else (head, f"{exc}\n".encode())
        pieces = iter(chunks)
        while True:
            # With many nodes one answer is made of a thousand pieces.
            await self._turns.take()
            piece = next(pieces, None)
            if piece is None:
                return
            await client.send(piece, stalled=self._limits.stalled)

    async def _speaks_http(self, client: ServiceClient, received: bytearray) -> bool:
        """Read up to the end of a request head; False if what comes, or does not come, is no request.

        Raises:
            RequestRefused: the head is not whole, not in time, or too long.
        """
        limits = self._limits
        try:
            async with asyncio.timeout(
                limits.request if self._wait_for_http else limits.peek
            ) as first:
                while not http.head_is_complete(received):
                    if len(received) > http.MAX_HEAD:
                        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                        raise http.RequestRefused(status, "The request head is too long.")
                    data = await client.recv(4096)
                    if not received:
                        first.reschedule(self._loop.time() + limits.request)
                    received += data
                    speaks = http.speaks_http(received)
                    if speaks is False or not (data or speaks):
                        return False
                    if not data:
                        raise http.RequestRefused(
                            HTTPStatus.BAD_REQUEST, "The request ends in its head."
                        )
        except TimeoutError:
            if received:
                text = "The request took too long."
                raise http.RequestRefused(HTTPStatus.REQUEST_TIMEOUT, text) from None
        return bool(received)

    def _page(self, request: http.StatsRequest) -> Iterator[bytes]:
        body: Iterable[bytes]
        if request.path == "/readyz" and not self.ready():
            raise http.RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "stopping")
        if request.path in ("/healthz", "/readyz"):
            content_type, body = "text/plain; charset=utf-8", (b"ok\n",)
        elif request.path == "/metrics":
            content_type, body = self.metrics()
        else:
            content_type, body = "application/json", self.document()
        head = http.answer_head(HTTPStatus.OK, content_type)
        return chain((head,), () if request.head_only else body)


class StatsServer(DocumentServer):
    """Serves one router's numbers.

    Args:
        listeners: see :class:`DocumentServer`.
        source: the router.
        loop: the event loop; its time is what the table's times are in.
        wall_clock: returns the epoch; the document shows times as epochs.
        wait_for_http: ``stats-http``.
        minified: ``stats-minified``.
        limits: see :class:`StatsLimits`.
        ready: tells whether the router listens and does not stop.
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
        limits: StatsLimits | None = None,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(listeners, loop=loop, wait_for_http=wait_for_http, limits=limits)
        self._metrics = load_metrics()
        self._ready = ready
        self._source = source
        self._wall_clock = wall_clock
        self._minified = minified

    def ready(self) -> bool:
        """Return True if the router listens, and does not stop."""
        return self._ready()

    def document(self) -> Iterator[bytes]:
        """Yield the document as it is when the first chunk is taken."""
        now, wall = self._loop.time(), self._wall_clock()
        yield from encode(describe(self._source, now=now, wall=wall), minified=self._minified)

    def metrics(self) -> tuple[str, Iterable[bytes]]:
        """Return the page for Prometheus."""
        now, wall = self._loop.time(), self._wall_clock()
        return self._metrics.CONTENT_TYPE, self._metrics.render(self._source, now=now, wall=wall)


def load_metrics() -> ModuleType:
    """Return the module of the page for Prometheus; to be called first while the program's files can be read.

    Its library is a tenth of what a worker imports, which those without statistics do not need.
    """
    from uwsgi_router.router.admin.stats import metrics  # noqa: PLC0415

    return metrics


def _is_loopback(sock: socket.socket) -> bool:
    if sock.family == socket.AF_UNIX:
        return False
    host = str(sock.getsockname()[0]).removeprefix("::ffff:")
    return host == "::1" or host.startswith("127.")
