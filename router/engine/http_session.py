"""A client that speaks HTTP/1: one request after the other on a connection (http router)."""

import asyncio
import socket
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING

from protocol.http.body import (
    BodyError,
    Chunked,
    ChunkedEncoder,
    Counted,
    Encoder,
    Identity,
    Recoder,
)
from protocol.http.errors import ResponseError, quoted
from protocol.http.fields import tokens
from protocol.http.origin import Origin
from protocol.http.response import ResponseHead
from protocol.proxy import ProxyError, parse_proxy_header
from protocol.websocket import check_handshake
from router.backs.back import Back
from router.config import HttpRouterConfig
from router.engine.collect import collect
from router.engine.deliver import linger, report
from router.engine.flow import MAX_EARLY, Feeder, Requests
from router.engine.pace import Pace
from router.engine.session import Session
from router.failure import ClientGone, Failure, TimedOut
from router.fronts.error_page import redirect
from router.fronts.http import (
    ACME,
    Door,
    HttpFront,
    HttpRequest,
    interim_head,
    switch_head,
)
from router.net.acceptor import Peer
from router.request import Request
from router.websocket.frames import FrameCheck, FrameViolation, close_frame

if TYPE_CHECKING:
    from router.engine.gateway import Gateway

# Of a body that must be read whole for a node that wants its length, so much is kept in memory unless configured.
_SPOOL_MEMORY = 1024 * 1024
# Close code of a server that goes away (RFC 6455 section 7.4.1).
_GOING_AWAY = 1001
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Line ends alone begin no request: some clients put one behind a body (RFC 9112 section 2.2).
_EMPTY = b"\r\n"


class HttpSession(Session):
    """One connection of a client.

    Attributes:
        reusable: another request may follow the one that is being answered.
        status: of the answer that went out; 0: none.
        first_byte: when its head did, on the monotonic clock.
    """

    __slots__ = (
        "_checks",
        "_config",
        "_continued",
        "_door",
        "_front",
        "_http",
        "_origin",
        "_pace",
        "_served",
        "_slides_until",
        "_too_slow",
        "first_byte",
        "reusable",
        "status",
    )

    def __init__(
        self,
        gateway: "Gateway",
        front: HttpFront,
        config: HttpRouterConfig,
        door: Door,
        sock: socket.socket,
        peer: Peer,
        number: int,
    ) -> None:
        self._config = config
        self._front = front
        self._door = door
        self._origin: Origin | None = None
        self._pace = Pace(config.body_rate)
        self._served = 0
        self._slides_until = 0.0
        self._too_slow = False
        super().__init__(gateway, sock, peer, number, self._head_timeout)
        self.upload = Requests(
            self.client, self, config.buffer_size, early_limit=max(config.max_head, MAX_EARLY) + 1
        )

    def begin(self) -> None:
        """Forget the last request."""
        super().begin()
        if self.upload is not None:
            # It was the last body that was complete.
            self.upload.complete = False
        self._http: HttpRequest | None = None
        self._continued = False
        self._checks: tuple[FrameCheck, FrameCheck] | None = None
        self.reusable = False
        self.status = 0
        self.first_byte = 0.0

    @property
    def inlet(self) -> Requests:
        """What the client sends, all requests of the connection."""
        assert isinstance(self.upload, Requests)
        return self.upload

    @property
    def id(self) -> str:
        """What the log and an answer of ours call this request: connection, and place on it."""
        return f"{super().id}.{self._served}" if self._served else super().id

    @property
    def _head_timeout(self) -> float:
        timeout = self._config.headers_timeout
        return self._config.timeout if timeout is None else timeout

    # --- the story ---

    async def talk(self) -> None:
        """Serve requests until one of us has had enough."""
        upload = self.inlet
        upload.start()
        if self._front.wants_proxy_header(self.peer[0]) and not await self._read_proxy_header():
            return
        self._origin = self._front.connection_origin(self.peer, self._door)
        while True:
            request = await self._receive()
            if request is None:
                return
            await self._respond(request)
            # Thousands of connections may be idle: none needs to remember its last request.
            del request
            if not self.reusable or self.client.closed:
                break
            self._served += 1
            self.begin()
        if upload.early and not self.client.closed:
            # A request that is not served: closing with unread bytes would reset the answer before it.
            await linger(self)

    async def _respond(self, request: HttpRequest) -> None:
        upload, sent = self.inlet, self.client.written
        received = upload.count - len(upload.early)
        counters = self.gateway.counters
        failure = ""
        try:
            if self._door.redirect is not None and not request.path.startswith(ACME):
                await self._redirect(request, self._door.redirect)
            else:
                failure = await self.answer(request)
        except (ClientGone, OSError):
            failure = "client"
            raise
        except asyncio.CancelledError:
            failure = "stopped"
            raise
        finally:
            counters.bytes_sent += self.client.written - sent
            if self.gateway.access_log is not None:
                received = upload.count - len(upload.early) - received + request.size
                self.gateway.log_access(
                    self, request, received, self.client.written - sent, failure
                )

    async def _redirect(self, request: HttpRequest, port: int) -> None:
        counters = self.gateway.counters
        counters.requests += 1
        self.request = request
        answer = redirect(request.method, request.key, port or None, request.head.target)
        self.status = int(answer[9:12])
        self.first_byte = monotonic()
        self.client.write(answer)
        counters.completed += 1
        if not self.uploaded:
            await linger(self)

    # --- reading ---

    async def _read_proxy_header(self) -> bool:
        """Read the line in which a proxy says who the client is; False if there is none."""
        upload = self.inlet
        self.arm("proxy", self._head_timeout)
        while True:
            try:
                header = parse_proxy_header(upload.early) if upload.early else None
            except ProxyError as exc:
                await self._refuse(
                    Failure(
                        HTTPStatus.BAD_REQUEST,
                        "bad-proxy-header",
                        f"{self.peer[0] or 'unix'} has to begin with a PROXY header: {exc}",
                        "http-enable-proxy-protocol",
                    )
                )
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

    def _expect_request(self) -> None:
        """Read on, and say how long the next request may take to come."""
        config, upload = self._config, self.inlet
        if self._served:
            self.arm("idle", config.keepalive or config.timeout)
            if not upload.ended and len(upload.early) < upload.early_limit:
                upload.source.resume()
            if self.gateway.stopping:
                self.hurry(0.0)
        elif not self.gateway.stopping:
            # Otherwise it was told already how long it has.
            self.arm("request", self._head_timeout)

    async def _receive(self) -> HttpRequest | None:
        """Return the next request; None if there is none, which has been dealt with."""
        upload, origin = self.inlet, self._origin
        assert origin is not None
        self._expect_request()
        seen = 0
        while True:
            data = upload.early
            if len(data) > seen:
                if not seen:
                    self.started = monotonic()
                    if self._served:
                        self.arm("request", self._head_timeout)
                before, seen = seen, len(data)
                try:
                    request = self._front.parse(data, origin, self.peer, self._door, before)
                    if request is not None:
                        upload.early = data[request.size :]
                        self._http = request
                        self._front.check(request)
                        return request
                except Failure as failure:
                    await self._refuse(failure)
                    return None
            if upload.ended:
                if data.strip(_EMPTY):
                    await self._refuse(_incomplete("the connection ended inside a head"))
                return None
            try:
                await self.pause()
            except TimedOut:
                if data.strip(_EMPTY):
                    await self._refuse(
                        Failure(
                            HTTPStatus.REQUEST_TIMEOUT,
                            "head-timeout",
                            f"no whole head within {self._head_timeout:g} s",
                            f"http-headers-timeout={self._head_timeout:g}",
                        )
                    )
                return None

    async def _refuse(self, failure: Failure) -> None:
        """Answer what is no request, or none that we take."""
        sent = self.client.written
        self.gateway.counters.requests += 1
        self.request = self._http
        try:
            await report(self, failure)
        finally:
            self.gateway.counters.bytes_sent += self.client.written - sent
            if self.gateway.access_log is not None:
                self.gateway.log_access(
                    self, self._http, 0, self.client.written - sent, failure.reason
                )

    def hurry(self, seconds: float) -> None:
        """The router stops: a connection without a request is closed, at once if it has had one."""
        if self.tunnelling:
            self.end_tunnel(None)
        elif self.request is None and not (self._served and self.inlet.early):
            limit = 0.0 if self._served else seconds
            self.deadline = min(self.deadline, self.loop.time() + limit)

    async def collect_early(self, request: Request) -> None:
        """Collect the body if all are to be."""
        if self._config.post_buffering and request.has_body and not self._front.raw_body:
            self.gateway.refuse_unknown(request)
            await self.collect(request)

    async def collect(self, request: Request) -> None:
        """Read the body whole."""
        assert isinstance(request, HttpRequest)
        self.gateway.refuse_unknown(request)
        self.send_continue()
        try:
            self.spool = await collect(
                self, self._decoded(request), self._config.post_buffering or _SPOOL_MEMORY
            )
        finally:
            self._pace.end()
        request.collected(self.spool.length)

    def _decoded(self, request: Request) -> Recoder:
        decoder = Chunked() if request.chunked else Counted(request.content_length)
        return Recoder(decoder, Identity(), self._config.body_limit)

    def upload_feeder(self, request: Request, back: Back) -> Feeder | None:
        """Return what ends the upload with the body; chunks are written anew.

        With ``http-raw-body`` nothing ends one without a length. Nodes that speak HTTP could find a second request
        there: they get none of that.
        """
        if request.raw or (
            self._front.raw_body and back.half_closes and not request.content_length
        ):
            return None
        self._pace.begin(self.loop.time(), self.inlet.count)
        if request.chunked:
            return Recoder(Chunked(), ChunkedEncoder(), self._config.body_limit)
        return Recoder(Counted(request.content_length), Identity())

    @property
    def uploaded(self) -> bool:
        """True if the whole body has come."""
        request = self.request
        if request is None:
            return False
        if self._front.raw_body or request.raw:
            return self.inlet.ended
        return not request.has_body or self.spool is not None or self.inlet.complete

    @property
    def missing(self) -> str:
        """Why the body is not there."""
        if self._too_slow:
            return f"fewer than http-body-rate={self._config.body_rate} bytes a second came"
        return "the rest of it did not come"

    @property
    def sent_only_its_head(self) -> bool:
        """True if no byte behind the head was passed on."""
        request = self.request
        return request is None or not (request.raw or self._front.raw_body or request.has_body)

    @property
    def received(self) -> int:
        """All bytes of the connection."""
        return self.upload.count if self.upload is not None else 0

    # --- deadlines ---

    def arm(self, phase: str, seconds: float, *, sliding: bool = False) -> None:
        """Name the phase and set its deadline; the body's pace belongs to the phase before."""
        self._pace.end()
        super().arm(phase, seconds, sliding=sliding)
        self._slides_until = self.deadline
        if phase == "body":
            self._pace.begin(self.loop.time(), self.inlet.count)

    def touch(self) -> None:
        """Bytes moved: a sliding deadline starts again; that of the body's pace does not."""
        super().touch()
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
        request = self._http
        return (
            request is not None
            and request.head.expect_continue
            and not self._continued
            and self.inlet.count == self._pace.count
        )

    @property
    def _node_is_behind(self) -> bool:
        """True if it does not even take what has come."""
        return self.upstream is not None and self.upstream.backlog > 0

    # --- answering ---

    def begin_answer(self, head: ResponseHead, length: int | None) -> tuple[bytes, Encoder | None]:
        """Return the head of an answer, and decide whether the connection is kept."""
        request = self._http
        assert request is not None
        self.status = head.status
        self.first_byte = monotonic()
        if head.status == HTTPStatus.SWITCHING_PROTOCOLS:
            return switch_head(head), None
        keep = (
            self._config.keepalive is not None
            and request.head.keep_alive
            and self.uploaded
            and not self._front.raw_body
            # What the client may have said to a WebSocket that is none is no request.
            and not request.tunnel
            and not self.gateway.stopping
            # A half-close behind several requests is behind the last of them.
            and (not self.inlet.ended or bool(self.inlet.early))
        )
        data, encoder, self.reusable = self._front.answer_head(request, head, length, keep=keep)
        return data, encoder

    def send_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx on to clients that know of them; a 100 only to those that wait for it, and once."""
        request = self._http
        assert request is not None
        if not request.head.minor:
            return
        if head.status == HTTPStatus.CONTINUE:
            if self._continued or not request.head.expect_continue:
                return
            self._continued = True
            self._pace.begin(self.loop.time(), self.inlet.count)
        self.client.write(interim_head(head))

    def send_continue(self) -> None:
        """Say 100 if the client waits for it, and has not begun to send all the same."""
        request = self._http
        assert request is not None
        if request.head.expect_continue and not self._continued and not self.inlet.early:
            self._continued = True
            self.client.write(_CONTINUE)

    def buffered_of(self, head: ResponseHead) -> int:
        """Return how much of an answer is taken from the node although the client reads slowly."""
        return 0 if head.unbuffered else self._config.response_buffering

    def error_answer(self, failure: Failure) -> bytes:
        """Return the page for a failure."""
        request = self._http
        self.status = failure.status.value
        self.first_byte = monotonic()
        return self._front.pages.answer(
            failure.status.value,
            failure.reason,
            self.id,
            head_only=request is not None and request.method == b"HEAD",
            retry_after=1 if failure.status is HTTPStatus.SERVICE_UNAVAILABLE else None,
        )

    # --- tunnels ---

    @property
    def tunnel_timeout(self) -> float:
        """Seconds of silence that end a tunnel."""
        return self._config.websocket_timeout

    def tunnel_feeders(
        self, request: Request, head: ResponseHead
    ) -> tuple[Feeder | None, Feeder | None]:
        """Return what checks the frames, if they are to be checked.

        Raises:
            ResponseError: the node switches to something that was not asked for.
        """
        assert isinstance(request, HttpRequest)
        asked = request.head
        if not request.tunnel:
            raise ResponseError("it switches protocols, and was not asked to")
        if asked.websocket and b"websocket" not in tokens(head.upgrade):
            raise ResponseError(f"it switches to {quoted(head.upgrade)}, not to a WebSocket")
        if not (self._config.websocket_check and asked.websocket):
            return None, None
        check_handshake(asked, head)
        config = self._config
        deflate = any(line[:25].lower() == b"sec-websocket-extensions:" for line in head.lines)
        checks = tuple(
            FrameCheck(
                from_client=from_client,
                max_frame=config.websocket_max_frame,
                max_message=config.websocket_max_message,
                deflate=deflate,
            )
            for from_client in (True, False)
        )
        self._checks = (checks[0], checks[1])
        return self._checks

    def end_tunnel(self, fault: BodyError | None, *, by_client: bool = False) -> None:
        """Send the Close that says why, wherever a frame may begin; not what would lie inside another frame."""
        if self._checks is None or self.client.closed or self.said_goodbye:
            return
        from_client, from_node = self._checks
        code, reason = _GOING_AWAY, "the router stops" if self.gateway.stopping else "idle"
        self.said_goodbye = True
        try:
            if isinstance(fault, FrameViolation):
                code, reason = fault.code, fault.reason
                target = self.upstream if by_client else self.client
                if fault.valid and target is not None:
                    target.write(fault.valid)
            if from_node.at_boundary:
                self.client.write(close_frame(code, reason, mask=False))
            if self.upstream is not None and from_client.at_boundary:
                self.upstream.write(close_frame(code, reason, mask=True))
        except OSError:
            pass  # Whoever is not there needs no Close.


def _incomplete(text: str) -> Failure:
    return Failure(HTTPStatus.BAD_REQUEST, "incomplete", text)
