"""A client that speaks HTTP/1: one request after the other on a connection (http router)."""

import asyncio
from http import HTTPStatus
from time import monotonic

from uwsgi_router.protocol.http.body import Encoder
from uwsgi_router.protocol.http.errors import BodyError, ResponseError, quoted
from uwsgi_router.protocol.http.fields import tokens
from uwsgi_router.protocol.http.response import ResponseHead
from uwsgi_router.router.core.failure import ClientGone, Failure, TimedOut
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.fronts.http.front import ACME, HttpRequest, interim_head, switch_head
from uwsgi_router.router.fronts.http.pages import redirect
from uwsgi_router.router.fronts.http.reader import HttpReader
from uwsgi_router.router.fronts.http.websocket import CheckedTunnel
from uwsgi_router.router.proxy.delivery import linger
from uwsgi_router.router.proxy.pump import Feeder

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpSession(HttpReader):
    """One connection of a client: the story of its requests, and what it is answered."""

    __slots__ = ("_checked",)

    def begin(self) -> None:
        """Forget the last request."""
        HttpReader.begin(self)
        self._checked: CheckedTunnel | None = None

    # --- the story ---

    async def talk(self) -> None:
        """Serve requests until one of us has had enough."""
        upload = self.inlet
        upload.start()
        if self.front.wants_proxy_header(self.peer[0]) and not await self.read_proxy_header():
            return
        self.origin = self.front.connection_origin(self.peer, self.door)
        while True:
            self.expect_request()
            failure, timed_out = None, False
            try:
                while (request := self.read_request()) is None and not upload.ended:
                    await self.pause()
            except Failure as exc:
                request, failure = None, exc
            except TimedOut:
                timed_out = True
            if request is None:
                await self.refuse(failure or self.unfinished(timed_out=timed_out))
                return
            received = upload.count - len(upload.early) - request.size
            reason = ""
            try:
                if self.door.redirect is None or request.path.startswith(ACME):
                    reason = await self.answer(request)
                else:
                    await self._redirect(request, self.door.redirect)
            except (ClientGone, OSError):
                reason = "client"
                raise
            except asyncio.CancelledError:
                reason = "stopped"
                raise
            finally:
                self.account(request, upload.count - len(upload.early) - received, reason)
            # Thousands of connections may be idle: none needs to remember its last request.
            del request
            if not self.reusable or self.client.closed:
                break
            self.served += 1
            self.begin()
        if upload.early and not self.client.closed:
            # A request that is not served: closing with unread bytes would reset the answer before it.
            await linger(self)

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

    # --- answering ---

    def begin_answer(self, head: ResponseHead, length: int | None) -> tuple[bytes, Encoder | None]:
        """Return the head of an answer, and decide whether the connection is kept."""
        request, upload = self.http, self.inlet
        assert request is not None
        self.status = head.status
        self.first_byte = monotonic()
        if head.status == 101:
            return switch_head(head), None
        keep = (
            self._keeps
            and request.head.keep_alive
            and self.uploaded
            # What the client may have said to a WebSocket that is none is no request.
            and not request.tunnel
            and not self.gateway.stopping
            # A half-close behind several requests is behind the last of them.
            and (not upload.ended or bool(upload.early))
        )
        data, encoder, self.reusable = self.front.answer_head(request, head, length, keep=keep)
        return data, encoder

    def send_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx on to clients that know of them; a 100 only to those that wait for it, and once."""
        request = self.http
        assert request is not None
        if not request.head.minor:
            return
        if head.status == HTTPStatus.CONTINUE:
            if self.continued or not request.head.expect_continue:
                return
            self.continued = True
            self._pace.begin(self.loop.time(), self.inlet.count)
        self.client.write(interim_head(head))

    def send_continue(self) -> None:
        """Say 100 if the client waits for it, and has not begun to send all the same."""
        request = self.http
        assert request is not None
        if request.head.expect_continue and not self.continued and not self.inlet.early:
            self.continued = True
            self.client.write(_CONTINUE)

    def buffered_of(self, head: ResponseHead) -> int:
        """Return how much of an answer is taken from the node although the client reads slowly."""
        return 0 if head.unbuffered else self.config.response_buffering

    def error_answer(self, failure: Failure) -> bytes:
        """Return the page for a failure."""
        request = self.http
        self.status = failure.status.value
        self.first_byte = monotonic()
        return self.front.pages.answer(
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
        return self.config.websocket_timeout

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
        if not (self.config.websocket_check and asked.websocket):
            return None, None
        self._checked = checked = CheckedTunnel(asked, head, self.config)
        return checked.to_node, checked.to_client

    def end_tunnel(self, fault: BodyError | None, *, by_client: bool = False) -> None:
        """Send the Close that says why, wherever a frame may begin; not what would lie inside another frame."""
        if self._checked is None or self.client.closed or self.said_goodbye:
            return
        self.said_goodbye = True
        why = "the router stops" if self.gateway.stopping else "idle"
        to_client, to_node = self._checked.goodbye(fault, by_client=by_client, why=why)
        try:
            if to_client:
                self.client.write(to_client)
            if to_node and self.upstream is not None:
                self.upstream.write(to_node)
        except OSError:
            pass  # Whoever is not there needs no Close.
