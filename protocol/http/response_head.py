"""Head of an HTTP/1 response, checked (RFC 9112; RFC 3875 for uwsgi nodes), and the length of the body behind it."""

from uwsgi_router.protocol.http.field_lines import FieldLines


class ResponseHead(FieldLines):  # noqa: PLW1641
    """Response head, interim (1xx) or final.

    Attributes:
        status: 100 to 999.
        reason: the reason phrase, b"" if none was sent.
        minor: of HTTP/1.minor: 0, or 1 for 1.1 and above; 0 for a head without a status line.
        lines: ``Name: value`` of each field as sent, in order, without Content-Length, hop-by-hop fields and those
            that Connection nominates, and, of uwsgi nodes, without Status. A 426 keeps its Upgrade: the client
            has to know it (RFC 9110 section 15.5.22).
        content_length: bytes of body announced; also where none follow (HEAD, 304: see :func:`body_length`).
        chunked: the body is chunked.
        close: the node will close the connection after this answer.
        keep_alive: seconds that the node keeps the idle connection, if it says so.
        upgrade: value of Upgrade as sent, b"" if there is none.
        unbuffered: each piece has to reach the client at once (an event stream, or ``X-Accel-Buffering: no``).
        gzip_wanted: the node asks that we compress the body (``uWSGI-Encoding: gzip``).
        content_encoding: how the body is encoded already; b"" if it is not.
        size: bytes of input that the head took; the body begins there.
        start: the status line to pass on, ``HTTP/1.1`` and what ``status`` and ``reason`` say, without its end.
    """

    __slots__ = (
        "chunked",
        "close",
        "content_encoding",
        "content_length",
        "gzip_wanted",
        "keep_alive",
        "minor",
        "reason",
        "size",
        "start",
        "status",
        "unbuffered",
        "upgrade",
    )

    def __init__(
        self,
        status: int,
        reason: bytes,
        minor: int,
        lines: list[bytes],
        content_length: int | None = None,
        chunked: bool = False,
        close: bool = False,
        keep_alive: float | None = None,
        upgrade: bytes = b"",
        unbuffered: bool = False,
        gzip_wanted: bool = False,
        content_encoding: bytes = b"",
        size: int = 0,
        start: bytes = b"",
    ) -> None:
        # What FieldLines.__init__ does, without the call.
        self._lines = lines
        self._block = None
        self.status = status
        self.reason = reason
        self.minor = minor
        self.content_length = content_length
        self.chunked = chunked
        self.close = close
        self.keep_alive = keep_alive
        self.upgrade = upgrade
        self.unbuffered = unbuffered
        self.gzip_wanted = gzip_wanted
        self.content_encoding = content_encoding
        self.size = size
        self.start = start

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ResponseHead):
            return NotImplemented
        return self._values() == other._values()

    def _values(self) -> tuple[object, ...]:
        return (
            self.status,
            self.reason,
            self.minor,
            self.lines,
            self.content_length,
            self.chunked,
            self.close,
            self.keep_alive,
            self.upgrade,
            self.unbuffered,
            self.gzip_wanted,
            self.content_encoding,
            self.size,
        )


def body_length(head: ResponseHead, method: bytes) -> int | None:
    """Return how many bytes of body follow a head (RFC 9112 section 6.3).

    Args:
        head: the answer's.
        method: of the request.

    Returns:
        The number; None if the body is chunked, or ends when the connection does.
    """
    if method == b"HEAD" or head.status < 200 or head.status in {204, 304}:
        return 0
    return head.content_length
