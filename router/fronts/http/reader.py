"""What an HTTP client says on a connection: heads, bodies, and how long it may take over them."""

import socket
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING

from uwsgi_router.protocol.http.body import Chunked, ChunkedEncoder, Counted, Identity, Recoder
from uwsgi_router.protocol.http.origin import Origin
from uwsgi_router.protocol.proxy import ProxyError, parse_proxy_header
from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.config.model import HttpRouterConfig
from uwsgi_router.router.core.failure import Failure, TimedOut
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.fronts.http.front import Door, HttpFront, HttpRequest
from uwsgi_router.router.fronts.http.pace import Pace
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.proxy.collect import collect
from uwsgi_router.router.proxy.delivery import report
from uwsgi_router.router.proxy.exchange import Session
from uwsgi_router.router.proxy.pump import MAX_EARLY, Feeder, Requests

if TYPE_CHECKING:
    from uwsgi_router.router.app.gateway import Gateway

# Of a body that must be read whole for a node that wants its length, so much is kept in memory unless configured.
_SPOOL_MEMORY = 1024 * 1024
# Line ends alone begin no request: some clients put one behind a body (RFC 9112 section 2.2).
_EMPTY = b"\r\n"


class HttpReader(Session):
    """The reading half of a session with an HTTP client.

    Attributes:
        bodiless: that is all of the request that was read last: no byte of a body follows, nor anything else.
        reusable: another request may follow the one that is being answered.
        status: of the answer that went out; 0: none.
        first_byte: when its head did, on the monotonic clock.
        served: requests that were answered on this connection.
        continued: the client has been told to send its body.
        http: the request that was read last.
        inlet: what the client sends, all requests of the connection; there is none any more when it has ended.
    """

    __slots__ = (
        "_keeps",
        "_pace",
        "_seen",
        "_sent",
        "_slides_until",
        "_too_slow",
        "bodiless",
        "config",
        "continued",
        "door",
        "first_byte",
        "front",
        "http",
        "inlet",
        "origin",
        "reusable",
        "served",
        "status",
    )
    # Only a compiled class needs to be told.
    __deletable__ = ("inlet",)

    def __init__(
        self,
        gateway: "Gateway",
        front: HttpFront,
        config: HttpRouterConfig,
        door: Door,
        sock: socket.SocketType,
        peer: Peer,
        number: int,
    ) -> None:
        self.config = config
        self.front = front
        self.door = door
        self.origin: Origin | None = None
        self._pace = Pace(config.body_rate)
        self.served = 0
        # Of the answers' bytes, so many are counted; and connections are kept at all.
        self._sent = 0
        self._keeps = config.keepalive is not None and not config.raw_body
        self._slides_until = 0.0
        self._too_slow = False
        super().__init__(gateway, sock, peer, number, self._head_timeout)
        self.upload = self.inlet = Requests(
            self.client, self, config.buffer_size, early_limit=max(config.max_head, MAX_EARLY) + 1
        )

    def begin(self) -> None:
        """Forget the last request."""
        Session.begin(self)
        self.http: HttpRequest | None = None
        self.continued = False
        self.reusable = False
        self.status = 0
        self.first_byte = 0.0

    def ended(self, error: BaseException | None) -> None:
        """The session is over."""
        super().ended(error)
        del self.inlet  # it holds this session

    @property
    def id(self) -> str:
        """What the log and an answer of ours call this request: connection, and place on it."""
        return f"{super().id}.{self.served}" if self.served else super().id

    @property
    def _head_timeout(self) -> float:
        timeout = self.config.headers_timeout
        return self.config.timeout if timeout is None else timeout

    # --- reading ---

    async def read_proxy_header(self) -> bool:
        """Read the line in which a proxy says who the client is; False if there is none."""
        upload = self.inlet
        self.arm("proxy", self._head_timeout)
        while True:
            header = failure = None
            try:
                if upload.early:
                    header = parse_proxy_header(upload.early)
            except ProxyError as exc:
                failure = Failure(
                    HTTPStatus.BAD_REQUEST,
                    "bad-proxy-header",
                    f"{self.peer[0] or 'unix'} has to begin with a PROXY header: {exc}",
                    "http-enable-proxy-protocol",
                )
            if failure is not None:
                await self.refuse(failure)
                return False
            if header is not None:
                upload.early = upload.early[header.size :]
                if header.source is not None:
                    self.peer = header.source
                return True
            if upload.ended:
                return False
            try:
                await self.pause()
            except TimedOut:
                return False

    def expect_request(self) -> None:
        """Read on, and say how long the next request may take to come."""
        config, upload = self.config, self.inlet
        self._seen = 0
        if self.served:
            self.arm("idle", config.keepalive or config.timeout)
            if not upload.ended and len(upload.early) < upload.early_limit:
                upload.source.resume()
            if self.gateway.stopping:
                self.hurry(0.0)
        elif not self.gateway.stopping:
            # Otherwise it was told already how long it has.
            self.arm("request", self._head_timeout)

    def read_request(self) -> HttpRequest | None:
        """Return the request that has come; None: it has not come yet.

        Raises:
            Failure: what came is none, or is refused.
        """
        upload, seen = self.inlet, self._seen
        data = upload.early
        size = len(data)
        if size <= seen:
            return None
        if not seen:
            self.started = monotonic()
        assert self.origin is not None
        request = self.front.parse(data, self.origin, self.peer, self.door, seen)
        if request is None:
            if not seen and self.served:
                self.arm("request", self._head_timeout)
            self._seen = size
            return None
        self.phase = "request"
        upload.early = data[request.size :]
        upload.complete = False  # that was the body before
        self.http = request
        self.bodiless = not (
            request.content_length or request.chunked or request.raw or self.front.raw_body
        )
        if request.content_length:
            self.front.check(request)
        return request

    def unfinished(self, *, timed_out: bool) -> Failure | None:
        """Return why what has come will be no request; None: nothing has come."""
        if not self.inlet.early.strip(_EMPTY):
            return None
        if not timed_out:
            text = "the connection ended inside a head"
            return Failure(HTTPStatus.BAD_REQUEST, "incomplete", text)
        return Failure(
            HTTPStatus.REQUEST_TIMEOUT,
            "head-timeout",
            f"no whole head within {self._head_timeout:g} s",
            f"http-headers-timeout={self._head_timeout:g}",
        )

    async def refuse(self, failure: Failure | None) -> None:
        """Answer what is no request, or none that we take; None: nothing has come."""
        if failure is None:
            return
        self.gateway.counters.requests += 1
        self.request = self.http
        try:
            await report(self, failure)
        finally:
            self.account(self.http, 0, failure.reason)

    def account(self, request: HttpRequest | None, received: int, reason: str) -> None:
        """Count the bytes of an answer, and write the request's line of the access log.

        Args:
            request: None: what came was none.
            received: bytes that it had.
            reason: of its failure; "": it was answered.
        """
        sent, self._sent = self.client.written - self._sent, self.client.written
        if self.gateway.access_log is not None:
            self.gateway.log_access(self, request, received, sent, reason)

    def hurry(self, seconds: float) -> None:
        """The router stops: a connection without a request is closed, at once if it has had one."""
        if self.tunnelling:
            self.end_tunnel(None)
        elif self.request is None and not (self.served and self.inlet.early):
            limit = 0.0 if self.served else seconds
            self.deadline = min(self.deadline, self.loop.time() + limit)

    def begin_upload(self, request: Request) -> bool:
        """The body flows since the connection began; with post-buffering it is collected."""
        return bool(self.config.post_buffering and request.has_body and not self.front.raw_body)

    async def collect(self, request: Request) -> None:
        """Read the body whole."""
        assert isinstance(request, HttpRequest)
        self.send_continue()
        try:
            self.spool = await collect(
                self, self._decoded(request), self.config.post_buffering or _SPOOL_MEMORY
            )
        finally:
            self._pace.end()
        request.collected(self.spool.length)

    def _decoded(self, request: Request) -> Recoder:
        decoder = Chunked() if request.chunked else Counted(request.content_length)
        return Recoder(decoder, Identity(), self.config.body_limit)

    def has_upload(self, request: Request, back: Back) -> bool:
        """True if the node is to get more than the head: with ``http-raw-body`` perhaps more than the client says."""
        if self.bodiless:
            return False
        return super().has_upload(request, back) or (self.front.raw_body and back.half_closes)

    def upload_feeder(self, request: Request, back: Back) -> Feeder | None:
        """Return what ends the upload with the body; chunks are written anew.

        With ``http-raw-body`` nothing ends one without a length. Nodes that speak HTTP could find a second request
        there: they get none of that.
        """
        if request.raw or (self.front.raw_body and back.half_closes and not request.content_length):
            return None
        self._pace.begin(self.loop.time(), self.inlet.count)
        if request.chunked:
            return Recoder(Chunked(), ChunkedEncoder(), self.config.body_limit)
        return Recoder(Counted(request.content_length), Identity())

    @property
    def uploaded(self) -> bool:
        """True if the whole body has come."""
        request = self.request
        if request is None:
            return False
        if self.bodiless:
            return True
        if self.front.raw_body or request.raw:
            return self.inlet.ended
        return not request.has_body or self.spool is not None or self.inlet.complete

    @property
    def missing(self) -> str:
        """Why the body is not there."""
        if self._too_slow:
            return f"fewer than http-body-rate={self.config.body_rate} bytes a second came"
        return "the rest of it did not come"

    @property
    def sent_only_its_head(self) -> bool:
        """True if no byte behind the head was passed on."""
        request = self.request
        return request is None or not (request.raw or self.front.raw_body or request.has_body)

    # --- deadlines ---

    def arm(self, phase: str, seconds: float, *, sliding: bool = False) -> None:
        """Name the phase and set its deadline; the body's pace belongs to the phase before."""
        self._pace.end()
        Session.arm(self, phase, seconds, sliding=sliding)
        self._slides_until = self.deadline
        if phase == "body":
            self._pace.begin(self.loop.time(), self.inlet.count)

    def touch(self) -> None:
        """Bytes moved: a sliding deadline starts again; that of the body's pace does not."""
        Session.touch(self)
        if self._pace.until:
            self._slides_until = self.deadline
            self.deadline = min(self.deadline, self._pace.until)

    def expired(self) -> None:
        """The deadline has passed, or it is time to look at the body's pace."""
        now = self.loop.time()
        if self._pace.until and now < self._slides_until:
            upload = self.inlet
            if upload.complete or self.spool is not None or self.answered:
                self._pace.end()
            elif not upload.source.reading or self._waits_for_continue or self._node_is_behind:
                self._pace.begin(now, upload.count)
            elif self._pace.too_slow(now, upload.count):
                self._too_slow = True
                super().expired()
                return
            self.deadline = min(self._slides_until, self._pace.until or self._slides_until)
            return
        super().expired()

    @property
    def _waits_for_continue(self) -> bool:
        """True as long as the client has a reason not to send its body, and does not."""
        request = self.http
        return (
            request is not None
            and request.head.expect_continue
            and not self.continued
            and self.inlet.count == self._pace.count
        )

    @property
    def _node_is_behind(self) -> bool:
        """True if it does not even take what has come."""
        return self.upstream is not None and self.upstream.backlog > 0
