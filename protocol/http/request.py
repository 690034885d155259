"""HTTP/1 request parser, strict: request line, fields, framing, upgrade (RFC 9110, RFC 9112).

What two programs could read differently is refused, or it is not passed on: that is how requests are smuggled.
"""

import re
from typing import Final

from uwsgi_router.protocol.compiled import COMPILED
from uwsgi_router.protocol.http.errors import HttpError, quoted
from uwsgi_router.protocol.http.fields import (
    BoundedCache,
    is_forwarding,
    names,
    parse_content_length,
    split_head,
    tokens,
)
from uwsgi_router.protocol.http.host import check_host
from uwsgi_router.protocol.http.request_head import RequestHead
from uwsgi_router.protocol.http.request_lines import (
    COOKIE,
    DROPPED,
    FORWARDING,
    KEPT_ONCE,
    NO_NAME,
    READ,
    READ_ONCE,
    UNKNOWN,
    check_lines,
    field_rules,
    known_lines,
    parse_odd_line,
    watched_names,
)
from uwsgi_router.protocol.http.scan import scan
from uwsgi_router.protocol.http.target import normalise_path, parse_request_line
from uwsgi_router.protocol.http.walk import (
    Watched,
    field_colon,
    field_value,
    line_end,
    request_line,
    value_end,
)

_END: Final = b"\r\n\r\n"
#: Longer data is looked for the end of a head before it is split.
_SHORT: Final = 4096
_SPACE: Final = 32

#: What Connection can't take from a request; forwarding fields neither, or a client behind a trusted proxy could hide.
_KEPT: Final = frozenset(
    {b"authorization", b"content-length", b"content-type", b"cookie", b"host", b"transfer-encoding"}
)
_WEBSOCKET_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")


class _ConnectionValues(BoundedCache[tuple[frozenset[bytes], frozenset[bytes]]]):
    """Cache of Connection values -> (elements, those of them that are names of fields to drop)."""

    def __missing__(self, value: bytes) -> tuple[frozenset[bytes], frozenset[bytes]]:
        elements = frozenset(tokens(value))
        if not all(names[element] for element in elements):
            # "close x" is no token. Some read close, others nothing: then it is better to close.
            elements |= {b"close"}
        nominated = {name for name in elements - _KEPT if not is_forwarding(name)}
        return self.keep(
            value, (elements, frozenset(nominated - {b"close", b"keep-alive", b"upgrade"}))
        )


_connections: Final = _ConnectionValues()
_watched: Final = Watched(watched_names(), underscore=True, usual=True)


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
    size = len(data)
    if size <= _SHORT and size <= max_head and data[-4:] == _END:
        # Most heads come alone and whole. If there is an end before this one, an empty line is taken for a field.
        try:
            if COMPILED:
                head = read_usual(data, max_fields)
                if head is not None:
                    return head
            return read_lines(_split(data, max_fields), size, rtsp=rtsp)
        except HttpError:
            pass
    start = 0
    if data.startswith(b"\r\n"):
        start = 4 if data.startswith(b"\r\n", 2) else 2
    end = data.find(_END, start if seen < start + 3 else seen - 3, max_head)
    if end < 0:
        scan(data, start, seen=seen, max_head=max_head, max_fields=max_fields, rtsp=rtsp)
        return None
    try:
        if COMPILED:
            head = read_usual(data, max_fields)
            if head is not None:
                return head
        return read_lines(_split(data[start : end + 4], max_fields), end + 4, rtsp=rtsp)
    except HttpError:
        # Is there another that comes earlier in the data?
        scan(data, start, seen=seen, max_head=max_head, max_fields=max_fields, rtsp=rtsp)
        raise


def read_usual(data: bytes, max_fields: int) -> RequestHead | None:
    """Read a head as most of them are in one walk.

    Args:
        data: has an empty line somewhere.
        max_fields: as for :func:`parse_request`.

    Returns:
        The head as :func:`read_lines` would return it; None if it has to read it.

    Raises:
        HttpError: :func:`read_lines` would raise one, but not always this one.
    """
    found = request_line(data)
    if found is None:
        return None
    method, target, at, has_query, odd = found
    special: dict[bytes, bytes] = {}
    walked = _walk_fields(data, at, special)
    if walked is None:
        return None
    block, size, forwarded = walked
    # A field has four bytes at least.
    if size > 4 * max_fields and data.count(b"\n", 0, size) > max_fields + 2:
        return None
    path, query = target, b""
    if has_query:
        path, _, query = target.partition(b"?")
    if odd:
        path = normalise_path(path)
    head = RequestHead(method, target, path, query, b"", [])
    head.set_block(block)
    head.size = size
    head.forwarded = forwarded
    _read_special(head, special)
    return head


def _walk_fields(
    data: bytes, at: int, special: dict[bytes, bytes]
) -> tuple[bytes, int, bool] | None:
    """Return (the fields that are passed on, where the head ends, a field of the forwarding family is among them).

    Args:
        data: as for :func:`read_usual`.
        at: where the fields begin.
        special: gets the fields that are read.
    """
    begin = at
    pieces: list[bytes] = []
    cookie = forwarded = False
    while True:
        at = _watched.stop(data, at)
        stop = line_end(data, at)
        if stop < 0:
            return None
        if stop == at:
            break
        colon = field_colon(data, at, stop)
        name, rule = field_rules[data[at:colon]]
        if rule == NO_NAME or colon == stop or (rule == COOKIE and cookie):
            return None
        value_at = field_value(data, colon, stop)
        value = data[value_at : value_end(data, value_at, stop)]
        if rule >= READ_ONCE:
            if at > begin:
                pieces.append(data[begin:at])
            begin = stop + 2
        elif stop - colon != 2 + len(value) or data[colon + 1] != _SPACE:
            return None
        if rule == FORWARDING:
            forwarded = True
        elif rule == COOKIE:
            cookie = True
        elif KEPT_ONCE <= rule < DROPPED:
            _take(special, name, value, rule)
        at = stop + 2
    block = data[begin:at]
    if pieces:
        pieces.append(block)
        block = b"".join(pieces)
    return block, at + 2, forwarded


def _split(head: bytes, max_fields: int) -> list[bytes]:
    """Return the lines of a head that ends with an empty one, without that one."""
    lines = split_head(head)
    if lines is None or len(lines) > max_fields + 1:
        raise HttpError(400, "bad-field", "a CR or LF alone in the head, or too many fields")
    return lines


def read_lines(lines: list[bytes], size: int = 0, *, rtsp: bool = False) -> RequestHead:
    """Read a request line and the fields behind it.

    Args:
        lines: without their ends; a CR or LF in one is found, as all control bytes are. The first is taken out.
        size: of the head that they are.
        rtsp: as for :func:`parse_request`.

    Raises:
        HttpError: as :func:`parse_request`, but not always for the first of several errors.
    """
    method, target, path, query, authority, minor, protocol = parse_request_line(lines[0], rtsp)
    kept: list[bytes] = []
    unknown: list[bytes] = []
    special: dict[bytes, bytes] = {}
    cookie_at = -1
    forwarded = False
    known = known_lines.get
    del lines[0]
    for line in lines:
        found = known(line, UNKNOWN)
        if found is None:
            kept.append(line)
            continue
        name, value, rule = found
        if rule == NO_NAME:
            unknown.append(line)
            raw, separator, value = line.partition(b": ")
            name, rule = field_rules[raw]
            # strip() knows more kinds of white space than OWS, but the others are control bytes. It returns the same
            # object if there is nothing to do.
            if rule == NO_NAME or not separator or value.strip() is not value:
                name, rule, value, line = parse_odd_line(line)  # noqa: PLW2901 (what is kept is written as usual)
        if rule:
            if rule >= READ_ONCE:
                if rule != DROPPED:
                    _take(special, name, value, rule)
                continue
            if rule == FORWARDING:
                forwarded = True
            elif rule == KEPT_ONCE:
                _take(special, name, value, rule)
            elif cookie_at < 0:
                cookie_at = len(kept)
            else:
                kept[cookie_at] = _with_cookies(kept[cookie_at], value)
                continue
        kept.append(line)
    if unknown:
        check_lines(unknown)
    head = RequestHead(method, target, path, query, authority, kept, minor, protocol)
    head.size = size
    head.forwarded = forwarded
    _read_special(head, special)
    return head


def _take(special: dict[bytes, bytes], name: bytes, value: bytes, rule: int) -> None:
    """Apply the rule of a field to the head."""
    if name not in special:
        special[name] = value
    elif rule == READ:
        special[name] += b", " + value
    else:
        raise HttpError(400, "repeated-field", f"{name.title().decode()} is there twice")


def _with_cookies(line: bytes, more: bytes) -> bytes:
    """Add to a Cookie: the one field whose values ``; `` separates (RFC 9113 section 8.2.3)."""
    name, _, cookies = line.partition(b": ")
    return name + b": " + b"; ".join(filter(None, (cookies, more)))


def _read_special(head: RequestHead, special: dict[bytes, bytes]) -> None:
    """Apply the fields that are read instead of passed on."""
    host = special.get(b"host")
    if host is not None:
        check_host(host)
        # The authority of an absolute form is stronger (RFC 9112 section 3.2.2).
        head.host = head.host or host
    elif head.minor:
        raise HttpError(400, "no-host", "HTTP/1.1 without a Host field")
    connection = special.get(b"connection")
    if connection is not None:
        head.connection, nominated = _connections[connection]
        if nominated:
            head.set_lines(
                [line for line in head.lines if names[line.partition(b":")[0]] not in nominated]
            )
    if len(special) == int(host is not None) + int(connection is not None):
        return
    if b"content-length" in special or b"transfer-encoding" in special:
        _read_framing(head, special)
    if b"expect" in special:
        _read_expect(head, special[b"expect"])
    if b"upgrade" in special:
        head.upgrade = special[b"upgrade"]
        _read_upgrade(head)


def _read_framing(head: RequestHead, special: dict[bytes, bytes]) -> None:
    """Set the length of the body (RFC 9112 section 6.3), strictly."""
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
    head.expect_continue = True


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
