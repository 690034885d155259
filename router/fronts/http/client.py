"""HTTP client side of a request: its answer, and keepalive of its connection."""

from time import monotonic

from uwsgi_router.protocol.http.body import Encoder
from uwsgi_router.protocol.http.errors import BodyError, ResponseError, quoted
from uwsgi_router.protocol.http.fields import tokens
from uwsgi_router.protocol.http.request_id import with_request_id
from uwsgi_router.protocol.http.response_head import ResponseHead
from uwsgi_router.protocol.http.status import CONTINUE, SWITCHING_PROTOCOLS
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.fronts.http.answers import interim_head, switch_head
from uwsgi_router.router.fronts.http.request import HttpRequest
from uwsgi_router.router.fronts.http.settings import HttpSettings
from uwsgi_router.router.fronts.http.websocket.checked import CheckedTunnel
from uwsgi_router.router.proxy.body import Body
from uwsgi_router.router.proxy.client import Client
from uwsgi_router.router.proxy.connection import Connection
from uwsgi_router.router.proxy.context import Limits
from uwsgi_router.router.proxy.feeder import Feeder


class HttpClient(Client):
    """Client side of one HTTP request.

    Attributes:
        request: that is answered.
        reusable: another request may follow on the connection.
        status: of the answer that went out; 0: none.
        first_byte: when its head did, on the monotonic clock.
    """

    __slots__ = (
        "_checked",
        "_settings",
        "first_byte",
        "request",
        "reusable",
        "status",
    )

    def __init__(
        self,
        connection: Connection,
        request: HttpRequest,
        body: Body,
        limits: Limits,
        settings: HttpSettings,
    ) -> None:
        # What Client.__init__ does, without the call: this is done for every request.
        self.connection = connection
        self.link = connection.link
        self.body = body
        self._limits = limits
        self.begun = self.close_sent = False
        self.tunnel = None
        self.request = request
        self._settings = settings
        self._checked: CheckedTunnel | None = None
        self.reusable = False
        self.status = 0
        self.first_byte = 0.0

    # --- answers ---

    def answer_head(self, head: ResponseHead, length: int | None) -> tuple[bytes, Encoder | None]:
        """Return the head of an answer, and decide whether the connection is kept."""
        request, body = self.request, self.body
        pump = body.pump
        self.status = head.status
        self.first_byte = monotonic()
        if body.sending:
            # What the client has not sent yet is not waited for any more.
            body.end_pace()
        if head.status == SWITCHING_PROTOCOLS:
            return self._with_id(switch_head(head)), None
        keep = (
            self._settings.keeps
            and request.head.keep_alive
            and (body.empty or body.complete)
            # What the client may have said to a WebSocket that is none is no request.
            and not request.asks_for_tunnel
            and not self.connection.connections.stopping
            # A half-close behind several requests is behind the last of them.
            and (not pump.ended or bool(pump.buffered))
        )
        data, encoder, self.reusable = self._settings.writer.answer_head(
            request.head, head, length, keep=keep
        )
        return self._with_id(data) if request.request_id else data, encoder

    def _with_id(self, head: bytes) -> bytes:
        """Return the head of an answer with the request's id, if clients are told it."""
        request_id = self.request.request_id
        return with_request_id(head, request_id) if request_id else head

    def send_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx on to clients that know of them; a 100 only to those that wait for it, and once."""
        if not self.request.head.minor:
            return
        if head.status == CONTINUE and not self.body.passes_continue():
            return
        self.write(interim_head(head))

    def buffering(self, head: ResponseHead) -> int:
        """Return what is configured, unless the node wants its answer to pass at once."""
        return 0 if head.unbuffered else self._settings.response_buffering

    def failure_answer(self, failure: Failure) -> bytes:
        """Return the page for a failure."""
        self.status = failure.status.value
        self.first_byte = monotonic()
        head_only = self.request.method == b"HEAD"
        page = failure_page(self._settings, failure, self.connection.id, head_only=head_only)
        if self.request.request_id:
            head, end, body = page.partition(b"\r\n\r\n")
            page = self._with_id(head + end) + body
        return page

    # --- tunnels ---

    @property
    def tunnel_timeout(self) -> float:
        """Seconds of silence that end a tunnel."""
        return self._settings.websocket_timeout

    def upgrade(self, head: ResponseHead) -> tuple[Feeder | None, Feeder | None]:
        """Return what checks the frames, if they are to be checked.

        Raises:
            ResponseError: the node switches to something else than was asked for.
        """
        asked, settings = self.request.head, self._settings
        if asked.websocket and b"websocket" not in tokens(head.upgrade):
            raise ResponseError(f"it switches to {quoted(head.upgrade)}, not to a WebSocket")
        if not (settings.websocket_check and asked.websocket):
            return None, None
        checked = self._checked = CheckedTunnel(
            asked, head, settings.websocket_frame, settings.websocket_message
        )
        return checked.to_node, checked.to_client

    def send_close(
        self, fault: BodyError | None, *, by_client: bool = False, restart: bool = False
    ) -> None:
        """Send the Close that says why, wherever a frame may begin; not what would lie inside another frame."""
        if self._checked is None or self.link.closed or self.close_sent:
            return
        self.close_sent = True
        connections = self.connection.connections
        why = "the router stops" if connections.stopping else "idle"
        to_client, to_node = self._checked.close_frames(
            fault,
            by_client=by_client,
            why="the application restarts" if restart else why,
            restart=restart or connections.reloading,
        )
        try:
            if to_client:
                self.link.write(to_client)
            if to_node and self.tunnel is not None:
                self.tunnel.write(to_node)
        except OSError:
            pass  # Whoever is not there needs no Close.


def failure_page(
    settings: HttpSettings, failure: Failure, request_id: str, *, head_only: bool
) -> bytes:
    """Return the whole answer to a request that failed, or was refused."""
    page = settings.pages.answer(
        failure.status.value, failure.reason, request_id, head_only=head_only
    )
    return with_fields(page, settings.strict)


def with_fields(answer: bytes, fields: bytes) -> bytes:
    """Return a whole answer with more fields; each with its line end."""
    start, end, rest = answer.partition(b"\r\n")
    return start + end + fields + rest
