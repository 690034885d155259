"""uwsgi requests of web servers, and how they are written for nodes."""

from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.forward import request_head
from uwsgi_router.protocol.http.from_variables import head_from_values
from uwsgi_router.protocol.http.request_head import RequestHead
from uwsgi_router.protocol.uwsgi import HEADER_SIZE, decode_values
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.reasons import refused
from uwsgi_router.router.core.request import Request


class UwsgiRequest(Request):
    """Request that came as a packet.

    Attributes:
        packet: header and variables as received.
        rest: bytes that arrived behind the packet.
    """

    __slots__ = ("_head", "_keep_modifiers", "_values", "packet", "rest")

    def __init__(
        self,
        *,
        key: bytes,
        key_is_host: bool,
        method: bytes,
        content_length: int,
        client: bytes,
        path: bytes,
        packet: bytes,
        rest: bytes,
        keep_modifiers: bool = False,
        values: dict[bytes, bytes] | None = None,
    ) -> None:
        # What Request.__init__ does, without the call: this is done for every request.
        self.key = key
        self.key_is_host = key_is_host
        self.method = method
        self.content_length = content_length
        self.client = client
        self.path = path
        self.chunked = self.raw = False
        self.packet = packet
        self.rest = rest
        self._keep_modifiers = keep_modifiers
        self._values = values
        self._head: RequestHead | None = None

    def packet_for(self, modifiers: tuple[int, int], collected: int | None = None) -> bytes:  # noqa: ARG002
        """Return the packet as received, but for its modifiers.

        Everything else is forwarded untouched: a client over uwsgi is trusted, and nothing is parsed
        twice.
        """
        packet = self.packet
        if self._keep_modifiers or (packet[0] == modifiers[0] and packet[3] == modifiers[1]):
            return packet
        return bytes((modifiers[0],)) + packet[1:3] + bytes((modifiers[1],)) + packet[4:]

    def may_switch(self, *, http: bool) -> bool:
        """Return True if the variables ask for a WebSocket, and the node was told so in HTTP."""
        return http and self.http_head.websocket

    @property
    def was_read_as_http(self) -> bool:
        """True once a node that speaks HTTP was to have it."""
        return self._head is not None

    def head_for_http(self, collected: int | None = None) -> bytes:
        """Return the request that the variables tell of.

        Raises:
            Failure: if HTTP can't say it, or could be read as something else.
        """
        head = self.http_head
        return request_head(
            head,
            None,
            content_length=head.content_length,
            chunked=False,
            expect=head.expect_continue and head.has_body and collected is None,
            tunnel=head.websocket,
        )

    @property
    def http_head(self) -> RequestHead:
        """Request head as HTTP, made of the variables when it is first asked for."""
        if self._head is None:
            if self._values is None:
                # The parser has refused two lengths; of other repeated names the last value counts.
                self._values, _repeated = decode_values(self.packet[HEADER_SIZE:])
            try:
                self._head = head_from_values(self._values)
            except HttpError as exc:
                raise Failure(refused(exc.reason, exc.status), f"as HTTP: {exc.text}") from exc
        return self._head

    @property
    def size(self) -> int:
        """Bytes of the packet."""
        return len(self.packet)
