"""Error scanner: finds the first wrong byte of a request head.

The parser reads whole heads at once, and only asks whether one is right. This is for the other heads: those that are
not complete yet, and those that are refused. It goes through the bytes in order, so that an error is found as soon as
its byte is there, and is the same however the bytes come.
"""

import re
from typing import Final

from uwsgi_router.protocol.http.errors import HttpError, quoted
from uwsgi_router.protocol.http.fields import TOKEN_BYTE, VALUE_BYTE
from uwsgi_router.protocol.http.target import parse_request_line

_TARGET_BYTE: Final = rb"[\x21-\x7e\x80-\xff]"


def _beginning_of(*bytes_in_order: bytes) -> bytes:
    """Return a pattern for a non-empty beginning of a sequence of bytes."""
    first, *others = bytes_in_order
    return first + (b"(?:" + _beginning_of(*others) + b")?" if others else b"")


def _version(name: bytes) -> bytes:
    letters = (name[i : i + 1] for i in range(len(name)))
    return _beginning_of(*letters, b"/", b"[0-9]", rb"\.", b"[0-9]", rb"\r", rb"\n")


_PROXY: Final = "a PROXY header, which nobody expects here (enable-proxy-protocol)"


# What the rest of a line may be, from some place in it. Each of these matches as far as the bytes are right. "*+" does
# not give back what it took, so none of them takes more than one look at a byte; "(?<=" sees what precedes the place.
def _request_line(version: bytes) -> tuple[re.Pattern[bytes], ...]:
    """Return the patterns for where no space, one and two have gone before."""
    version = b"(?:" + version + b")?"
    target = _TARGET_BYTE + b"*+(?:(?<=" + _TARGET_BYTE + b") " + version + b")?"
    method = TOKEN_BYTE + b"*+(?:(?<=" + TOKEN_BYTE + b") " + target + b")?"
    return re.compile(method), re.compile(target), re.compile(version)


_HTTP_LINE: Final = _request_line(_version(b"HTTP"))
_RTSP_LINE: Final = _request_line(_version(b"HTTP") + b"|" + _version(b"RTSP"))
_VALUE_END: Final = VALUE_BYTE + rb"*+(?:\r\n?)?"
_VALUE: Final = re.compile(_VALUE_END)
_FIELD: Final = re.compile(
    rb"(?<=\n)\r\n?|" + TOKEN_BYTE + b"*+(?:(?<=" + TOKEN_BYTE + b"):" + _VALUE_END + b")?"
)


def scan(data: bytes, start: int, *, seen: int, max_head: int, max_fields: int, rtsp: bool) -> None:
    """Look for the first error of a head; return if there is none so far.

    Args:
        data: what has come so far.
        start: where the request line begins, behind empty lines.
        seen: an earlier call, with these first bytes only, has returned. What is left to do depends on how many bytes
            came since: a head that comes byte by byte must not cost its length squared.
        max_head: as for ``parse_request``.
        max_fields: likewise.
        rtsp: likewise.

    Raises:
        HttpError: as ``parse_request`` says.
    """
    if start < 4 and data[start:] == b"\r":
        return  # perhaps another empty line
    stop = min(len(data), max_head)
    # A CR is judged together with what follows it.
    at = max(start, seen - 1 if data.startswith(b"\r", seen - 1, seen) else seen)
    line = data.rfind(b"\n", start, at) + 1 or start
    count = data.count(b"\n", start, at) - 1
    if line == start:
        spaces = data.count(b" ", start, at)
        pattern = (_RTSP_LINE if rtsp else _HTTP_LINE)[spaces]
        at = data.rfind(b" ", start, at) + 1 if spaces == 2 else at
    else:
        pattern = _FIELD if data.find(b":", line, at) < 0 else _VALUE
    while at < stop:
        match = pattern.match(data, at, stop)
        at = match.end() if match else at
        complete = at > line and data[at - 1 : at] == b"\n"
        if not complete:
            if at < stop:
                raise _wrong(data, start, line, at)
            break
        if line == start:
            parse_request_line(data[line : at - 2], rtsp)
        elif at - line == 2:
            return
        count += 1
        if count > max_fields:
            raise HttpError(431, "too-many-fields", f"more than {max_fields} header fields")
        line, pattern = at, _FIELD
    if stop == max_head:
        if line == start:
            raise HttpError(
                414, "target-too-long", f"the request line alone has more than {max_head} bytes"
            )
        raise HttpError(431, "head-too-large", f"the head has more than {max_head} bytes")


def _foreign(first: int, start: int) -> str:
    """Return what begins with a byte that begins no request, "" if that is not known.

    Args:
        first: the byte.
        start: how many bytes of empty lines preceded it.
    """
    if first == 0x16:
        return "a TLS handshake: the client takes this port for one of https"
    if start == 4 and first == 0:
        return _PROXY
    # The modifier of a packet; tabs and line ends are somebody's mistake in HTTP.
    if first < 0x20 and first not in b"\t\n\r":
        return "a uwsgi packet: the port speaks HTTP (in nginx: proxy_pass, not uwsgi_pass)"
    return ""


def _wrong(data: bytes, start: int, line: int, at: int) -> HttpError:
    """Return the error of the byte at ``at``, which is in the line that begins at ``line``."""
    if at == start and (known := _foreign(data[at], start)):
        return HttpError(400, "bad-request-line", f"this is no HTTP but {known}")
    if line == start and data.startswith(b"PROXY ", start):
        return HttpError(400, "bad-request-line", f"this is no HTTP but {_PROXY}")
    reason, where = (
        ("bad-request-line", "the request line")
        if line == start
        else ("bad-field", "a header field")
    )
    what = f"byte 0x{data[at]:02x} is wrong in {where}, at the end of {quoted(data[max(line, at - 39) : at + 1])}"
    if data[at : at + 1] == b"\n":
        what += "; lines end with CR LF"
    elif line != start and at == line and data[at : at + 1] in {b" ", b"\t"}:
        what += "; folded fields are obsolete (RFC 9112 section 5.2)"
    return HttpError(400, reason, what)
