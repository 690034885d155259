"""HTTP/1 connections: keepalive, pipelining, head timeout, PROXY header, access log."""

from math import inf
from time import monotonic
from typing import Final

from uwsgi_router.protocol.http.origin import Origin, origin_of_peer
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import ClientGone, Failure, TimedOut, without_traceback
from uwsgi_router.router.core.tls import TlsFacts
from uwsgi_router.router.fronts.http.body import HttpBody
from uwsgi_router.router.fronts.http.client import HttpClient, failure_page, with_fields
from uwsgi_router.router.fronts.http.client_certificates import check_policy
from uwsgi_router.router.fronts.http.own import own_answer
from uwsgi_router.router.fronts.http.pace import Pace
from uwsgi_router.router.fronts.http.request import unfinished
from uwsgi_router.router.fronts.http.rules import HttpListener
from uwsgi_router.router.fronts.http.settings import HttpSettings
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.net.fiber import Phase
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.body import Body, NoBody
from uwsgi_router.router.proxy.client import linger, send_last
from uwsgi_router.router.proxy.connection import Connection
from uwsgi_router.router.proxy.context import Context
from uwsgi_router.router.proxy.directions import Requests
from uwsgi_router.router.proxy.exchange import Exchange
from uwsgi_router.router.proxy.proxy_header import read_proxy_header
from uwsgi_router.router.proxy.pump import MAX_BUFFERED
from uwsgi_router.router.report.access_entry import AccessEntry
from uwsgi_router.router.report.requests import Outcome

# Bytes that are more than nearly all requests have: to read hundreds of fields takes 0.5 ms.
_LARGE: Final = 4096
_IDLE: Final = Phase.IDLE
_REQUEST: Final = Phase.REQUEST


class HttpConnection(Connection):
    """Connection of one client that speaks HTTP/1.

    Attributes:
        pump: what the client sends: heads, which are kept until they can be read, and bodies.
        served: requests that were answered.
        client: the one whose request is being served; None: none is.
    """

    __slots__ = (
        "_context",
        "_listener",
        "_origin",
        "_pace",
        "_received",
        "_seen",
        "_sent",
        "_settings",
        "_started",
        "_tls",
        "client",
        "pump",
        "served",
    )
    # Only a compiled class needs to be told.
    __deletable__ = ("pump",)

    def __init__(
        self,
        context: Context,
        settings: HttpSettings,
        listener: HttpListener,
        link: Link,
        peer: Peer,
        number: int,
        tls: TlsFacts | None,
    ) -> None:
        site = context.site
        Connection.__init__(self, context.connections, link, peer, number, settings.head_timeout)
        self._context = context
        self._settings = settings
        self._listener = listener
        self._tls = tls
        self._origin: Origin | None = None
        self._pace = Pace(settings.body_rate, context.timing.body_window)
        # Bytes of what came that were found to be no whole head; bytes that are accounted for.
        self._seen = self._received = self._sent = 0
        self._started = monotonic()
        self.served = 0
        self.client: HttpClient | None = None
        limit = max(settings.parser.max_head, MAX_BUFFERED) + 1
        self.pump = Requests(self.link, self.fiber, site.limits.buffer_size, limit)

    @property
    def id(self) -> str:
        """Id of the request, for the log and answers of ours: connection, and place on it."""
        name = f"{self.connections.ids}-{self.number:x}"
        return f"{name}.{self.served}" if self.served else name

    @property
    def kept(self) -> bool:
        """True if a request was served."""
        return self.served > 0

    @property
    def idle_since(self) -> float:
        """Since when no request has come; infinity while one is served."""
        fiber, settings = self.fiber, self._settings
        if self.client is not None or self.connections.stopping:
            return inf
        if fiber.phase is _IDLE:
            return fiber.deadline - settings.idle_timeout
        if fiber.phase is _REQUEST or fiber.phase is Phase.PROXY:
            return fiber.deadline - settings.head_timeout
        return inf

    # --- the story of a connection ---

    async def serve(self) -> None:
        """Serve requests until one of us has had enough."""
        pump, fiber, listener, secure = self.pump, self.fiber, self._listener, self._tls is not None
        pump.start()
        # In front of a handshake it was read before.
        if (
            not secure
            and self._settings.wants_proxy_header(self.peer[0])
            and not await self._read_proxy_header()
        ):
            return
        self._origin = origin_of_peer(
            self.peer,
            https=secure,
            server_port=listener.port,
            certificate=self._settings.certificates.told(self._tls),
        )
        while True:
            self._expect_request()
            client = failure = None
            timed_out = False
            try:
                if pump.buffered:
                    # Who sends many requests at once has them served behind those of all others.
                    await fiber.give_way()
                    client = self._read_request()
                while client is None and not pump.ended:
                    await fiber.pause()
                    if len(pump.buffered) > _LARGE:
                        await fiber.give_way()
                    client = self._read_request()
            except Failure as exc:
                client, failure = None, without_traceback(exc)
            except TimedOut:
                timed_out = True
            if client is None:
                waited = self._settings.head_timeout if timed_out else None
                stopping = self.connections.stopping
                await self._refuse(failure or unfinished(pump.buffered, waited, stopping=stopping))
                return
            own = None if listener.plain else own_answer(listener, client.request)
            if own is None:
                request = client.request
                exchange = self.exchange = Exchange(self._context, client, request, self._started)
                try:
                    await exchange.serve()
                finally:
                    if self._context.site.reporter.access_log is not None:
                        self._account(client, exchange.outcome(), exchange.reason)
                del exchange
            elif isinstance(own, Failure):
                await self._refuse(own)
            else:
                await self._answer(client, with_fields(own, self._settings.strict))
            if not client.reusable or self.link.closed:
                break
            # Thousands of connections may be idle: none needs to remember its last request.
            del client
            self.client = self.exchange = None
            self.served += 1
        if pump.buffered and not self.link.closed:
            # A request that is not served: closing with unread bytes would reset the answer before it.
            await linger(self)

    def discard(self) -> None:
        """Free what has been read and will not be served."""
        # They have come all the same: the access log counts them.
        self.discarded += len(self.pump.buffered)
        self.pump.discard()

    def ended(self, error: BaseException | None) -> None:
        """Release everything."""
        super().ended(error)
        self.client = None
        del self.pump  # it holds the fiber, and the link that holds this connection

    def hurry(self, seconds: float) -> None:
        """Stop soon: close the connection if it has no request, at once if it has had one and no other has begun."""
        client = self.client
        if client is not None:
            if self.connections.reloading:
                if self.open_answer is not None:
                    self.open_answer.watch()
            elif client.tunnel is not None:
                client.send_close(None)
        else:
            idle = self.served and not self.pump.buffered
            self.fiber.hurry(self.connections.last_idle if idle else seconds)

    def end_stream(self) -> None:
        """Send the Close of a WebSocket, or end a stream of events between two of them, if this is one."""
        client = self.client
        if client is not None and client.tunnel is not None:
            client.send_close(None)
        elif self.open_answer is not None:
            self.open_answer.end()

    # --- reading ---

    async def _read_proxy_header(self) -> bool:
        """Read the line in which a proxy says who the client is; False if there is none."""
        failure = None
        try:
            header = await read_proxy_header(self, self.pump, self._settings.head_timeout)
        except Failure as exc:
            failure = without_traceback(exc)
        if failure is None:
            return header is not None
        if failure.cause is not reasons.BAD_PROXY_HEADER:
            self._context.site.reporter.connection_refused(self.peer[0], failure)
        await self._refuse(failure)
        return False

    def _expect_request(self) -> None:
        """Read on, and arm the timeout for the next request."""
        fiber, stopping = self.fiber, self.connections.stopping
        self._seen = 0
        if self.served:
            fiber.arm(_IDLE, self._settings.idle_timeout)
            self.pump.expect()
            if stopping:
                self.hurry(self._context.timing.last_request)
        elif not stopping:
            # Otherwise it was told already how long it has.
            fiber.arm(_REQUEST, self._settings.head_timeout)

    def _read_request(self) -> HttpClient | None:
        """Return the client of the request that has come; None: it has not come yet.

        Raises:
            Failure: what came is none, or is refused; in the latter case ``client`` is whose it is.
        """
        pump, seen = self.pump, self._seen
        data = pump.buffered
        size = len(data)
        if size <= seen:
            return None
        if not seen:
            self._started = monotonic()
        assert self._origin is not None
        parser = self._settings.parser
        request = parser.parse(data, self._origin, self.peer, self._listener, seen)
        if request is None:
            if not seen and self.served and not self.connections.stopping:
                self.fiber.arm(_REQUEST, self._settings.head_timeout)
            self._seen = size
            return None
        self.fiber.phase = _REQUEST
        pump.buffered = data[request.size :]
        limits, settings = self._context.site.limits, self._settings
        if settings.request_id:
            request.request_id = parser.id_of(request, self.peer) or self.id.encode()
        length = request.content_length
        if length or request.chunked or request.raw or settings.raw_body:
            body: Body = HttpBody(
                request, pump, limits, settings, self.connections.deadlines, self._pace
            )
        else:
            body = NoBody(request, pump, limits)
        client = self.client = HttpClient(self, request, body, limits, settings)
        if length:
            parser.check(request)
        if self._tls is not None:
            check_policy(self._tls, self._listener, request, self.fiber.poller.now)
        return client

    # --- what is no request, or none that we take ---

    async def _refuse(self, failure: Failure | None) -> None:
        """Answer what is no request, or none that we take; None: nothing has come."""
        if failure is None:
            return
        site, client = self._context.site, self.client
        reporter = site.reporter
        reporter.counters.requests += 1
        outcome = self._outcome(client)
        status, first_byte = 0, 0.0
        reporter.failed(outcome, failure)
        try:
            if client is not None:
                # A whole head, whose body is refused.
                await client.fail(failure)
            elif site.limits.answers and not self.link.closed:
                status, first_byte = failure.status.value, monotonic()
                page = failure_page(self._settings, failure, self.id, head_only=False)
                await send_last(self, page, complete=False)
        finally:
            self._account(client, outcome, failure.reason, status, first_byte)

    # --- answering ---

    async def _answer(self, client: HttpClient, answer: bytes) -> None:
        """Send a whole answer of our own."""
        counters = self._context.site.reporter.counters
        counters.requests += 1
        reason = ""
        try:
            client.write(answer)
        except ClientGone:
            reason = "client"
            counters.client_aborts += 1
        else:
            client.status = int(answer[9:12])
            client.first_byte = monotonic()
            counters.completed += 1
            if not client.body.complete:
                await client.linger()
        self._account(client, self._outcome(client), reason)

    # --- the access log ---

    def _outcome(self, client: HttpClient | None) -> Outcome:
        """Return the outcome of a request that no node got."""
        outcome = Outcome(self.id, self.fiber.phase.value, started=self._started, peer=self.peer[0])
        if client is not None:
            outcome.key, outcome.client = client.request.key, client.request.client
        return outcome

    def _account(
        self,
        client: HttpClient | None,
        outcome: Outcome,
        reason: str,
        status: int = 0,
        first_byte: float = 0.0,
    ) -> None:
        """Write the request's line of the access log, if there is one.

        Args:
            client: None: what came was no request.
            outcome: what became of it.
            reason: of its failure; "": it was answered.
            status: that it was answered with, if it was none; 0: it was not.
            first_byte: when, on the monotonic clock.
        """
        pump = self.pump
        read = pump.count + self.discarded
        if client is not None and client.reusable:
            # Otherwise no other request follows, and all that has come is this one's.
            read -= len(pump.buffered)
        received, self._received = read - self._received, read
        sent, self._sent = self.link.written - self._sent, self.link.written
        access_log = self._context.site.reporter.access_log
        if access_log is None:
            return
        method = target = protocol = b""
        if client is not None:
            head, status, first_byte = client.request.head, client.status, client.first_byte
            method, target, protocol = head.method, head.target, head.protocol
        access_log.write(
            AccessEntry(
                id=outcome.id,
                client=outcome.client or outcome.peer.encode(),
                method=method,
                target=target,
                protocol=protocol,
                key=outcome.key,
                status=status,
                bytes_in=received,
                bytes_out=sent,
                node=outcome.node,
                tries=outcome.tries,
                connect=outcome.connect,
                first_byte=first_byte - outcome.started if first_byte else None,
                total=monotonic() - outcome.started,
                reason=reason,
            )
        )
