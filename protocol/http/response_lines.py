"""Caches of lines that nodes repeat: status lines, and values of Connection."""

import re
from typing import ClassVar, Final

from uwsgi_router.protocol.http.errors import ResponseError
from uwsgi_router.protocol.http.fields import VALUE_BYTE, BoundedCache, tokens

# Blanks as nginx and HAProxy take them (RFC 9112 section 4 lets us): clients get the line anew.
_STATUS_LINE = re.compile(rb"HTTP/([0-9])\.([0-9]) +([1-9][0-9]{2})(?:[ \t]+(%b*))?" % VALUE_BYTE)
#: Elements of Connection that name no field.
_NO_FIELDS: Final = frozenset({b"close", b"keep-alive", b"upgrade"})
#: Connection can't make these go away: without them the body is another, or is kept by whom it must not be.
_END_TO_END: Final = frozenset(
    {
        b"cache-control",
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"location",
        b"set-cookie",
        b"www-authenticate",
    }
)


class StatusLines(BoundedCache[tuple[int, bytes, int, bytes]]):
    """Cache of status lines -> (status, reason, minor, the line to pass on).

    Other versions than 1.x are read as 1.0: there are applications that write ``HTTP/2.0`` into a line of HTTP/1.
    """

    _ENTRIES: ClassVar[int] = 64

    def __missing__(self, line: bytes) -> tuple[int, bytes, int, bytes]:
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise ResponseError(f"the answer begins with {line[:40]!r}, which is no status line")
        major, digit, status, reason = match.groups()
        minor = min(int(digit), 1) if major == b"1" else 0
        number, reason = int(status), reason or b""
        return self.keep(line, (number, reason, minor, status_line(number, reason)))


class ConnectionValues(BoundedCache[tuple[bool | None, frozenset[bytes]]]):
    """Cache of Connection values -> (says close: True, keep-alive: False, neither: None; fields to drop)."""

    def __missing__(self, value: bytes) -> tuple[bool | None, frozenset[bytes]]:
        elements = tokens(value)
        close = True if b"close" in elements else False if b"keep-alive" in elements else None
        return self.keep(value, (close, frozenset(elements) - _NO_FIELDS - _END_TO_END))


def status_line(status: int, reason: bytes) -> bytes:
    """Return the status line for a client, without its end."""
    return b"HTTP/1.1 %d %b" % (status, reason)


status_lines: Final = StatusLines()
connections: Final = ConnectionValues()
