"""The head of an HTTP/1 request, read strictly (RFC 9110, RFC 9112; http-router sheet 4.2, "Ours").

What two programs could read differently is refused, or it is not passed on: that is how requests are smuggled.
"""

import re
from dataclasses import dataclass
from typing import Final

from protocol.http.errors import HttpError, quoted
from protocol.http.fields import (
    HOP_BY_HOP,
    VALUE_BYTES,
    BoundedCache,
    is_forwarding,
    names,
    parse_content_length,
    tokens,
)
from protocol.http.host import check_host
from protocol.http.scan import scan
from protocol.http.target import parse_request_line

_UNDERSCORE: Final = ord("_")
_NONE: Final[frozenset[bytes]] = frozenset()

#: Read by the parser, and not among ``RequestHead.fields``: what they say is in attributes.
_READ: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"}
)
#: Passed on, but a second one is not just one more field.
_SINGLE: Final = frozenset({b"cookie", b"content-type"})
_ONCE: Final = frozenset({b"host", b"content-length", b"content-type"})
#: ``Proxy`` would become HTTP_PROXY, which programs take for their configuration (CVE-2016-5385).
_DROPPED: Final = (HOP_BY_HOP | {b"proxy"}) - _READ
#: What Connection can't take from a request; forwarding fields neither, or a client behind a trusted proxy could hide.
_KEPT: Final = frozenset(
    {b"authorization", b"content-length", b"content-type", b"cookie", b"host", b"transfer-encoding"}
)
_WEBSOCKET_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")


@dataclass(slots=True, repr=False)
class RequestHead:
    """A request's head, checked.

    Attributes:
        method: a token, case as sent; never CONNECT.
        target: for the node: origin form as sent, or ``*``; of an absolute form only path and query.
        path: decoded and without dot segments; begins with ``/``, or is ``*``.
        query: raw, what follows the first ``?``.
        host: a valid Host as sent, or an absolute form's authority; b"" only from HTTP/1.0 or RTSP without Host.
        fields: (lower-case name, value without white space around it), in order, without Host, Content-Length, Expect,
            Proxy, names with ``_``, hop-by-hop fields and what Connection nominates. All cookies are in one field.
        lines: the same fields as ``Name: value``, names as sent: same order, same length.
        minor: of HTTP/1.minor: 0, or 1 for 1.1 and above; 0 for RTSP/1.0.
        protocol: ``HTTP/1.1`` or ``HTTP/1.0`` (or ``RTSP/1.0``).
        content_length: bytes of body announced; None if the client said nothing.
        chunked: the body is chunked.
        connection: the lower-case elements of Connection; has ``close`` if one is no token.
        expect_continue: the client waits for a 100 before it sends the body.
        upgrade: value of Upgrade as sent, b"" if there is none; means nothing unless ``connection`` has ``upgrade``.
        forwarded: ``fields`` has X-Forwarded-something, Forwarded or X-Real-IP.
        websocket: a complete opening handshake (RFC 6455 section 4.2.1; the version is for the node to judge).
        size: bytes of input that the head took, empty lines before it included; body or next request begin there.
    """

    method: bytes
    target: bytes
    path: bytes
    query: bytes
    host: bytes
    fields: list[tuple[bytes, bytes]]
    lines: list[bytes]
    minor: int = 1
    protocol: bytes = b"HTTP/1.1"
    content_length: int | None = None
    chunked: bool = False
    connection: frozenset[bytes] = _NONE
    expect_continue: bool = False
    upgrade: bytes = b""
    forwarded: bool = False
    websocket: bool = False
    size: int = 0

    def __repr__(self) -> str:
        return f"<RequestHead {self.method!r} {quoted(self.target)} host={quoted(self.host)}>"

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


class _PlainNames(BoundedCache[bytes]):
    """Names as sent -> lower-case names, of fields that are only passed on; b"" for all others, and for no names."""

    def __missing__(self, raw: bytes) -> bytes:
        lower = names[raw]
        plain = lower not in _READ and lower not in _SINGLE and lower not in _DROPPED
        if plain and lower and _UNDERSCORE not in lower and not is_forwarding(lower):
            return self.keep(raw, lower)
        return self.keep(raw, b"") if lower else b""


class _Connections(BoundedCache[tuple[frozenset[bytes], frozenset[bytes]]]):
    """Value of Connection -> (its elements, those of them that are names of fields to drop)."""

    def __missing__(self, value: bytes) -> tuple[frozenset[bytes], frozenset[bytes]]:
        elements = frozenset(tokens(value))
        if not all(names[element] for element in elements):
            # "close x" is no token. Some read close, others nothing: then it is better to close.
            elements |= {b"close"}
        nominated = {name for name in elements - _KEPT if not is_forwarding(name)}
        return self.keep(
            value, (elements, frozenset(nominated - {b"close", b"keep-alive", b"upgrade"}))
        )


_plain: Final = _PlainNames()
_connections: Final = _Connections()


def parse_request(
    data: bytes, *, max_head: int = 65536, max_fields: int = 200, rtsp: bool = False, seen: int = 0
) -> RequestHead | None:
    """Read the head of a request: of the first on a connection, or of one behind another's end.

    Up to two empty lines before it are skipped (RFC 9112 section 2.2). The errors of a line are found in its order:
    which one is raised does not depend on how many bytes have come by then. What only a whole head can tell (no Host,
    two lengths...) comes after them.

    Args:
        data: what has come so far.
        max_head: how many bytes a head may have, empty lines before it included.
        max_fields: how many field lines it may have.
        rtsp: RTSP/1.0 is welcome too.
        seen: an earlier call with these first bytes returned None; they are not checked again.

    Returns:
        The head, or None if more bytes are needed.

    Raises:
        HttpError: as soon as no bytes to come could make a request of it: 400; 405 for CONNECT; 414 for a request line
            over ``max_head``; 417 for an unknown expectation; 431 for a head over ``max_head`` or ``max_fields``; 501
            for an unknown transfer coding; 505 for an unknown version.
    """
    start = 0
    if data.startswith(b"\r\n"):
        start = 4 if data.startswith(b"\r\n", 2) else 2
    end = data.find(b"\r\n\r\n", start if seen < start + 3 else seen - 3, max_head)
    if end < 0:
        scan(data, start, seen=seen, max_head=max_head, max_fields=max_fields, rtsp=rtsp)
        return None
    try:
        return _read(data[start:end], end + 4, max_fields, rtsp)
    except HttpError:
        # Is there another that comes earlier in the data?
        scan(data, start, seen=seen, max_head=max_head, max_fields=max_fields, rtsp=rtsp)
        raise


def _read(block: bytes, size: int, max_fields: int, rtsp: bool) -> RequestHead:
    """Read a head without the two line ends behind it."""
    # splitlines() also splits at a CR or LF alone. If there is one, there are fewer of these bytes than two a line end.
    lines = block.splitlines()
    count = len(lines) - 1
    if not 0 <= count <= max_fields or block.translate(None, VALUE_BYTES) != b"\r\n" * count:
        raise HttpError(400, "bad-field", "control bytes in the head, or too many fields")
    fields: list[tuple[bytes, bytes]] = []
    kept: list[bytes] = []
    method, target, path, query, authority, minor, protocol = parse_request_line(lines[0], rtsp)
    head = RequestHead(method, target, path, query, authority, fields, kept, minor, protocol)
    head.size = size
    special: dict[bytes, bytes] = {}
    plain, add, keep = _plain, fields.append, kept.append
    del lines[0]
    for line in lines:
        name, separator, value = line.partition(b": ")
        # strip() knows more kinds of white space than OWS, but the others are control bytes. It returns the same object
        # if there is nothing to do.
        if separator and value.strip() is value:
            if lower := plain[name]:
                add((lower, value))
                keep(line)
                continue
            lower = names[name]
            if lower not in special:
                if lower in _READ:
                    special[lower] = value
                    continue
                if lower in _SINGLE:
                    special[lower] = value
                    add((lower, value))
                    keep(line)
                    continue
        _add(head, special, line)
    _read_host(head, special.get(b"host"))
    if b"connection" in special or b"upgrade" in special:
        _read_connection(head, special)
    if b"content-length" in special or b"transfer-encoding" in special:
        _read_framing(head, special)
    if b"expect" in special:
        _read_expect(head, special[b"expect"])
    if head.upgrade:
        _read_upgrade(head)
    return head


def _add(head: RequestHead, special: dict[bytes, bytes], line: bytes) -> None:
    """Take in a field of any kind, however it is written."""
    name, colon, value = line.partition(b":")
    lower = names[name]
    if not colon or not lower:
        raise HttpError(400, "bad-field", f"no header field: {quoted(line)}")
    value = value.strip()
    if lower in _DROPPED or _UNDERSCORE in lower:
        # CGI's names can't tell X_Y from X-Y: who may not set the one could set it as the other.
        return
    if lower in special:
        if lower in _ONCE:
            raise HttpError(400, "repeated-field", f"{name.decode()} is there twice")
        if lower == b"cookie":
            _join_cookies(head, value)
            return
        value = special[lower] + b", " + value
    if lower in _READ:
        special[lower] = value
        return
    if lower in _SINGLE:
        special[lower] = value
    elif is_forwarding(lower):
        head.forwarded = True
    head.fields.append((lower, value))
    head.lines.append(name + b": " + value)


def _join_cookies(head: RequestHead, more: bytes) -> None:
    """Add to the Cookie that is there already: the one field whose values ``; `` separates (RFC 9113 section 8.2.3)."""
    index = next(index for index, (name, _) in enumerate(head.fields) if name == b"cookie")
    cookies = b"; ".join(filter(None, (head.fields[index][1], more)))
    head.fields[index] = (b"cookie", cookies)
    head.lines[index] = head.lines[index].partition(b":")[0] + b": " + cookies


def _read_host(head: RequestHead, host: bytes | None) -> None:
    if host is not None:
        check_host(host)
        # The authority of an absolute form is stronger (RFC 9112 section 3.2.2).
        head.host = head.host or host
    elif head.minor:
        raise HttpError(400, "no-host", "HTTP/1.1 without a Host field")


def _read_connection(head: RequestHead, special: dict[bytes, bytes]) -> None:
    head.upgrade = special.get(b"upgrade", b"")
    head.connection, nominated = _connections[special.get(b"connection", b"")]
    if nominated:
        stay = [index for index, (name, _) in enumerate(head.fields) if name not in nominated]
        head.fields = [head.fields[index] for index in stay]
        head.lines = [head.lines[index] for index in stay]


def _read_framing(head: RequestHead, special: dict[bytes, bytes]) -> None:
    """Find out how long the body is (RFC 9112 section 6.3), strictly."""
    length, coding = special.get(b"content-length"), special.get(b"transfer-encoding")
    if coding is None:
        head.content_length = parse_content_length(length or b"")
        if head.content_length is None:
            raise HttpError(
                400, "bad-length", f"Content-Length is no number: {quoted(length or b'')}"
            )
        return
    if length is not None:
        raise HttpError(400, "two-lengths", "Content-Length and Transfer-Encoding in one request")
    if not head.minor:
        raise HttpError(400, "bad-coding", f"{head.protocol.decode()} with Transfer-Encoding")
    codings = [element.strip() for element in coding.lower().split(b",")]
    if codings != [b"chunked"]:
        if b"" in codings or b"chunked" in codings[:-1]:
            raise HttpError(
                400, "bad-coding", f"Transfer-Encoding must end in chunked: {quoted(coding)}"
            )
        raise HttpError(501, "unknown-coding", f"transfer coding not supported: {quoted(coding)}")
    head.chunked = True


def _read_expect(head: RequestHead, value: bytes) -> None:
    """Note that a 100 is waited for; HTTP/1.0 can't mean it (RFC 9110 section 10.1.1)."""
    expected = tokens(value)
    if not head.minor or not expected:
        return
    if set(expected) != {b"100-continue"}:
        raise HttpError(417, "expectation", f"nobody here can do what is expected: {quoted(value)}")
    head.expect_continue = head.has_body


def _read_upgrade(head: RequestHead) -> None:
    """Recognise a WebSocket handshake; other upgrades mean nothing here, and Upgrade is a hop-by-hop field."""
    if (
        not head.minor
        or b"upgrade" not in head.connection
        or b"websocket" not in tokens(head.upgrade)
    ):
        return
    if head.has_body:
        raise HttpError(400, "bad-upgrade", "a WebSocket handshake with a body")
    keys = [value for name, value in head.fields if name == b"sec-websocket-key"]
    head.websocket = (
        head.method == b"GET"
        and len(keys) == 1
        and _WEBSOCKET_KEY.fullmatch(keys[0]) is not None
        and any(name == b"sec-websocket-version" for name, _ in head.fields)
    )
