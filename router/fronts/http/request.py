"""HTTP requests of clients, and how they are written for nodes."""

from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.forward import request_head
from uwsgi_router.protocol.http.host import server_authority
from uwsgi_router.protocol.http.origin import Origin
from uwsgi_router.protocol.http.request_head import RequestHead
from uwsgi_router.protocol.http.request_id import with_request_id
from uwsgi_router.protocol.http.variables import request_block
from uwsgi_router.protocol.uwsgi import encode_header, encode_variables
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.reasons import refused
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.fronts.http.rules import HttpListener, HttpRules


class HttpRequest(Request):
    """Request that came as HTTP.

    Attributes:
        head: as parsed.
        origin: who its client is.
        asks_for_tunnel: it asks to go on with something else than HTTP, and some nodes may.
        request_id: that node and client are told; b"": none.
    """

    __slots__ = ("_listener", "_rules", "asks_for_tunnel", "head", "origin", "request_id")

    def __init__(
        self, rules: HttpRules, listener: HttpListener, head: RequestHead, origin: Origin
    ) -> None:
        # What Request.__init__ does, without the call: this is done for every request.
        self.key = head.host or rules.host
        self.key_is_host = True
        self.method = head.method
        self.content_length = head.content_length or 0
        self.client = origin.address
        self.path = head.path
        self.chunked = head.chunked
        self.raw = rules.knows_raw and rules.is_raw(head)
        self.asks_for_tunnel = bool(head.upgrade) and rules.asks_for_tunnel(head)
        self._rules = rules
        self._listener = listener
        self.head = head
        self.origin = origin
        self.request_id = b""

    def may_switch(self, *, http: bool) -> bool:
        """Return True if the client asks to switch to another protocol than HTTP, and such a node may."""
        return self.asks_for_tunnel and (http or self._rules.lets_uwsgi_switch(self.head))

    def packet_for(self, modifiers: tuple[int, int], collected: int | None = None) -> bytes:
        """Return header and variables; modifiers of the configuration come before the node's.

        Raises:
            Failure: the variables need more than a packet holds.
        """
        rules, head = self._rules, self.head
        extra = rules.extra
        if self.request_id:
            extra = encode_variables([(b"HTTP_X_REQUEST_ID", self.request_id)]) + extra
        try:
            packet = request_block(
                head,
                self.origin,
                self._listener.block,
                content_length=head.content_length if collected is None else collected,
                chunked=self.chunked and collected is None,
                tunnel=self.asks_for_tunnel and rules.lets_uwsgi_switch(head),
                server_name_as_host=rules.server_name_as_host,
                extra=extra,
            )
        except HttpError as exc:
            raise as_failure(exc) from exc
        modifier1 = rules.modifier1 or modifiers[0]
        modifier2 = rules.modifier2 or modifiers[1]
        return encode_header(modifier1, len(packet), modifier2) + packet

    def head_for_http(self, collected: int | None = None) -> bytes:
        """Return the head, re-written.

        Raises:
            Failure: it is RTSP's.
        """
        head = self.head
        if head.protocol == b"RTSP/1.0":
            raise Failure(reasons.RTSP, "RTSP can only be passed on to nodes that speak uwsgi")
        data = request_head(
            head,
            self.origin,
            content_length=head.content_length if collected is None else collected,
            chunked=self.chunked and collected is None,
            # Whoever waited has been told to go on; bytes that are no body of HTTP are asked for by the router.
            expect=head.expect_continue and head.has_body and collected is None and not self.raw,
            tunnel=self.asks_for_tunnel,
            default_host=b"" if head.host else self._authority(),
        )
        return with_request_id(data, self.request_id) if self.request_id else data

    def _authority(self) -> bytes:
        """Return what applications on uwsgi nodes make of SERVER_NAME and SERVER_PORT."""
        return server_authority(self._rules.host, self._listener.port, self.origin.scheme)

    @property
    def size(self) -> int:
        """Bytes of the head as received."""
        return self.head.size


def as_failure(error: HttpError) -> Failure:
    """Return why the parser refuses a request."""
    return Failure(refused(error.reason, error.status), error.text)
