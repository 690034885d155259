"""Head of an HTTP/1 request, checked (RFC 9110, RFC 9112)."""

from typing import Final

from uwsgi_router.protocol.http.errors import quoted
from uwsgi_router.protocol.http.field_lines import FieldLines
from uwsgi_router.protocol.http.fields import names

_NONE: Final[frozenset[bytes]] = frozenset()


class RequestHead(FieldLines):  # noqa: PLW1641
    """Request head, checked.

    Attributes:
        method: a token, case as sent; never CONNECT.
        target: for the node: origin form as sent, or ``*``; of an absolute form only path and query.
        path: decoded and without dot segments; begins with ``/``, or is ``*``.
        query: raw, what follows the first ``?``.
        host: a valid Host as sent, or an absolute form's authority; b"" only from HTTP/1.0 or RTSP without Host.
        lines: ``Name: value`` of each field that is passed on, names as sent, no white space around values,
            in order: not Host, Content-Length, Expect, Proxy, names with ``_``, hop-by-hop fields and what Connection
            nominates. All cookies are in one line.
        minor: of HTTP/1.minor: 0, or 1 for 1.1 and above; 0 for RTSP/1.0.
        protocol: ``HTTP/1.1`` or ``HTTP/1.0`` (or ``RTSP/1.0``).
        content_length: bytes of body announced; None if the client said nothing.
        chunked: the body is chunked.
        connection: the lower-case elements of Connection; has ``close`` if one is no token.
        expect_continue: the client waits for a 100 before it sends what follows the head, if anything does.
        upgrade: value of Upgrade as sent, b"" if there is none; means nothing unless ``connection`` has ``upgrade``.
        forwarded: ``lines`` has X-Forwarded-something, Forwarded or X-Real-IP.
        websocket: a complete opening handshake (RFC 6455 section 4.2.1; the version is for the node to judge).
        size: bytes of input that the head took, empty lines before it included; body or next request begin there.
    """

    __slots__ = (
        "chunked",
        "connection",
        "content_length",
        "expect_continue",
        "forwarded",
        "host",
        "method",
        "minor",
        "path",
        "protocol",
        "query",
        "size",
        "target",
        "upgrade",
        "websocket",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        path: bytes,
        query: bytes,
        host: bytes,
        lines: list[bytes],
        minor: int = 1,
        protocol: bytes = b"HTTP/1.1",
        content_length: int | None = None,
        chunked: bool = False,
        connection: frozenset[bytes] = _NONE,
        expect_continue: bool = False,
        upgrade: bytes = b"",
        forwarded: bool = False,
        websocket: bool = False,
        size: int = 0,
    ) -> None:
        # What FieldLines.__init__ does, without the call.
        self._lines = lines
        self._block = None
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.host = host
        self.minor = minor
        self.protocol = protocol
        self.content_length = content_length
        self.chunked = chunked
        self.connection = connection
        self.expect_continue = expect_continue
        self.upgrade = upgrade
        self.forwarded = forwarded
        self.websocket = websocket
        self.size = size

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RequestHead):
            return NotImplemented
        return self._values() == other._values()

    def _values(self) -> tuple[object, ...]:
        return (
            self.method,
            self.target,
            self.path,
            self.query,
            self.host,
            self.lines,
            self.minor,
            self.protocol,
            self.content_length,
            self.chunked,
            self.connection,
            self.expect_continue,
            self.upgrade,
            self.forwarded,
            self.websocket,
            self.size,
        )

    def __repr__(self) -> str:
        return f"<RequestHead {self.method!r} {quoted(self.target)} host={quoted(self.host)}>"

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """(lower-case name, value) of each line; made anew each time, for those who look at values."""
        parts = [line.partition(b": ") for line in self.lines]
        return [(names[name], value) for name, _, value in parts]

    @property
    def has_body(self) -> bool:
        """True if bytes of a body follow."""
        return self.chunked or bool(self.content_length)

    @property
    def keep_alive(self) -> bool:
        """True if the client lets the connection serve another request (RFC 9112 section 9.3)."""
        if b"close" in self.connection:
            return False
        return self.minor > 0 or b"keep-alive" in self.connection
