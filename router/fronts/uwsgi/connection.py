"""uwsgi connections of web servers: one request each; bytes behind it pass as they come."""

from math import inf
from time import monotonic
from typing import Final

from uwsgi_router.protocol.http.body import Counted, Encoder, Identity, Recoder
from uwsgi_router.protocol.http.response_head import ResponseHead
from uwsgi_router.protocol.uwsgi import PacketError
from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core.failure import ClientGone, Failure, TimedOut, without_traceback
from uwsgi_router.router.fronts.uwsgi.answers import failure_answer, response_head
from uwsgi_router.router.fronts.uwsgi.parser import TLS, Ping, UwsgiParser, is_tls
from uwsgi_router.router.fronts.uwsgi.request import UwsgiRequest
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.net.deadlines import Deadlines
from uwsgi_router.router.net.fiber import Phase
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.body import Body, buffer_limit
from uwsgi_router.router.proxy.client import Client, send_last
from uwsgi_router.router.proxy.connection import Connection
from uwsgi_router.router.proxy.context import Context, Limits
from uwsgi_router.router.proxy.directions import Upload
from uwsgi_router.router.proxy.exchange import Exchange
from uwsgi_router.router.proxy.feeder import Feeder
from uwsgi_router.router.report.requests import Outcome

_REQUEST: Final = Phase.REQUEST
# Behind these nothing comes but the end, unless the answer is no answer of HTTP's, or a 101.
_LAST_WORDS: Final = frozenset({b"GET", b"HEAD"})


class UwsgiBody(Body):
    """Body of CONTENT_LENGTH bytes, and whatever the web server sends behind it.

    A web server that has nothing more to say ends its connection when it has the answer. To read that end would be
    three of a request's fourteen system calls: so it is read only if the answer takes until the next look at the
    deadlines, for then it may be that of a request that was abandoned.

    Args:
        request: to be answered.
        pump: reads the web server.
        limits: of the site.
        deadlines: of the connections.

    Attributes:
        deadline: when the web server is to be read at the latest: at the next look.
    """

    __slots__ = ("_deadlines", "_put_off", "deadline")

    def __init__(
        self, request: UwsgiRequest, pump: Upload, limits: Limits, deadlines: Deadlines
    ) -> None:
        Body.__init__(self, request, pump, limits)
        self._deadlines = deadlines
        self.deadline = 0.0
        self._put_off = request.method in _LAST_WORDS and not (
            request.content_length or request.rest
        )
        if self._put_off:
            deadlines.add(self)
        else:
            pump.start(request.rest)

    def read_client(self) -> None:
        """Read the web server from now on."""
        if self._put_off:
            self.end()
            self.pump.start()

    def expired(self) -> None:
        """Read the web server: the answer takes its time."""
        self.read_client()

    def end(self) -> None:
        """Leave the web server unread: its request has ended."""
        if self._put_off:
            self._put_off = False
            self._deadlines.discard(self)

    @property
    def cut_off(self) -> bool:
        """True also if the web server has closed its UNIX socket before an answer began: nobody will read one."""
        link = self.pump.source
        return not self.complete or (link.hung_up and not link.written)

    @property
    def collects(self) -> bool:
        """True with a body."""
        return self.request.content_length > 0

    @property
    def complete(self) -> bool:
        """True if all bytes of the body have come."""
        return self.pump.count >= self.request.content_length

    @property
    def endless(self) -> bool:
        """False: it has a length."""
        return False

    @property
    def missing(self) -> str:
        """Number of bytes that have not come."""
        return f"{self.request.content_length - self.pump.count} bytes are missing"

    def follows(self, back: Back) -> bool:  # noqa: ARG002
        """Return True with a body."""
        return self.request.content_length > 0

    def feeder(self, back: Back) -> Feeder | None:
        """Return None for uwsgi nodes, which get everything; for others a feeder of exactly the body."""
        return self.collector() if back.keeps_connections else None

    def collector(self) -> Feeder:
        """Return a feeder that counts the bytes."""
        return Recoder(Counted(self.request.content_length), Identity())

    @property
    def memory(self) -> int:
        """Bytes kept in memory, as for post-buffering."""
        return self._limits.post_buffering


class UwsgiClient(Client):
    """Client side of a web server's request."""

    __slots__ = ()

    def answer_head(self, head: ResponseHead, length: int | None) -> tuple[bytes, Encoder | None]:
        """Return the head without framing: web servers do not decode chunks here, and read to the end."""
        return response_head(head, length), None

    def failure_answer(self, failure: Failure) -> bytes:
        """Return an answer that the web server passes on."""
        return failure_answer(failure, self.connection.id)


class UwsgiConnection(Connection):
    """Connection of one web server."""

    __slots__ = ("_context", "_data", "_parser", "_request")

    def __init__(
        self,
        context: Context,
        parser: UwsgiParser,
        link: Link,
        peer: Peer,
        number: int,
    ) -> None:
        site = context.site
        Connection.__init__(self, context.connections, link, peer, number, site.limits.timeout)
        self._context = context
        self._parser = parser
        self._data = b""
        self._request: UwsgiRequest | None = None

    @property
    def idle_since(self) -> float:
        """Since when no request has come; infinity once it has."""
        if self._request is not None or self.connections.stopping:
            return inf
        fiber = self.fiber
        if fiber.phase is not _REQUEST:
            return inf
        return fiber.deadline - self._context.site.limits.timeout

    async def serve(self) -> None:
        """Read the request and pass it on."""
        reporter, peer = self._context.site.reporter, self.peer[0]
        failure = None
        started = monotonic()
        try:
            # The deadline is absolute, so that nobody can trickle for ever.
            while (request := self._read()) is None:
                await self.fiber.pause()
        except TimedOut:
            timeout = self._context.site.limits.timeout
            reporter.refused(peer, f"no whole request within {timeout:g} s")
            return
        except Ping as ping:
            self._pong(ping.answer)
            return
        except PacketError as error:
            reporter.refused(peer, TLS if is_tls(self._data) else str(error))
            return
        except Failure as exc:
            failure = without_traceback(exc)
        if failure is not None:
            await self._refuse(failure, started)
            return
        assert request is not None
        self._request = request
        client = self._client_of(request)
        exchange = Exchange(self._context, client, request, started)
        try:
            await exchange.serve()
        finally:
            client.body.end()
        if request.was_read_as_http:
            # Other packets will be too: they need not be decoded twice.
            self._parser.decode_all()

    def hurry(self, seconds: float) -> None:
        """Stop soon: wait ``seconds`` at most for a whole request."""
        if self._request is None:
            self.fiber.hurry(seconds)

    def _read(self) -> UwsgiRequest | None:
        """Return the request, None as long as it has not come whole.

        Raises:
            ClientGone: the client left without a word.
            PacketError: what came is no request; or :class:`Ping`, which asks for something else.
            Failure: it is one that nobody can serve.
        """
        size = self._context.site.limits.buffer_size
        while True:
            try:
                more = self.link.recv(size)
            except OSError:
                raise ClientGone from None
            if more is None:
                if not self.link.reading:
                    self.link.read_with(self)
                return None
            if not more:
                if self._data:
                    raise PacketError(f"it ended after {len(self._data)} bytes, inside the packet")
                raise ClientGone
            data = self._data = self._data + more if self._data else more
            request = self._parser.parse(data, self.peer[0])
            if request is not None:
                self._data = b""
                return request

    def _client_of(self, request: UwsgiRequest) -> UwsgiClient:
        limits = self._context.site.limits
        pump = Upload(
            self.link, self.fiber, limits.buffer_size, buffer_limit(request.content_length)
        )
        body = UwsgiBody(request, pump, limits, self.connections.deadlines)
        return UwsgiClient(self, body, limits)

    def _pong(self, answer: bytes) -> None:
        try:
            self.link.write(answer)
        except OSError:
            raise ClientGone from None

    async def _refuse(self, failure: Failure, started: float) -> None:
        """Answer a request that is well-formed, but has no key: counted like any other that failed."""
        context = self._context
        context.site.reporter.counters.requests += 1
        outcome = Outcome(self.id, self.fiber.phase.value, started=started, peer=self.peer[0])
        context.site.reporter.failed(outcome, failure)
        if context.site.limits.answers:
            await send_last(self, failure_answer(failure, self.id), complete=False)
