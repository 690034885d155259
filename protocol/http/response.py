"""HTTP/1 response parser, strict: the head of a node's answer (RFC 9112; RFC 3875 for uwsgi nodes).

Refused are bytes with which a node, or a client that it echoes, could split an answer in two (response splitting), and
bytes about whose end client and router could disagree.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import ClassVar, Final

from uwsgi_router.protocol.compiled import COMPILED
from uwsgi_router.protocol.http.errors import ResponseError
from uwsgi_router.protocol.http.fields import (
    HOP_BY_HOP,
    TOKEN_BYTE,
    BoundedCache,
    has_control_byte,
    names,
    parse_content_length,
    remembering,
    split_head,
    tokens,
)
from uwsgi_router.protocol.http.response_head import ResponseHead
from uwsgi_router.protocol.http.response_lines import connections, status_line, status_lines
from uwsgi_router.protocol.http.walk import Watched, line_end

_STATUS = re.compile(rb"([1-9][0-9]{2})(?:[ \t]+(.*))?")
_FIELD = re.compile(rb"%b+:" % TOKEN_BYTE)
_FIELD_SO_FAR = re.compile(rb"%b*(?::|\Z)" % TOKEN_BYTE)
_KEEP_ALIVE = re.compile(rb"timeout[ \t]*=[ \t]*\"?([0-9]{1,9})\"?")


class _Lines(BoundedCache[None]):
    """Cache of lines that are right and only passed on."""

    _ENTRIES: ClassVar[int] = 1024
    _KEY_SIZE: ClassVar[int] = 256


# A number, because comparing with a member of HTTPStatus takes longer than the rest of the status line.
_UPGRADE_REQUIRED: Final = 426
_lines: Final = _Lines()
_remembers = remembering()


def parse_response(
    data: bytes, *, cgi: bool = False, max_head: int = 65536, max_fields: int = 200
) -> ResponseHead | None:
    """Read the head that a node's bytes begin with.

    Args:
        data: everything that has come of it so far.
        cgi: the node speaks uwsgi, and so may begin with a field: then the status is that of a ``Status: 404 Not
            Found``, else 302 with a Location, else 200 (RFC 3875 section 6; nginx does the same).
        max_head: bytes that a head may have.
        max_fields: how many field lines it may have.

    Returns:
        The head, or None if more bytes are needed.

    Raises:
        ResponseError: if it is no head that may be passed on: a wrong first line, a LF alone and too many bytes are
            found as they come, the rest when the head is complete.
    """
    end = data.find(b"\r\n\r\n", 0, max_head)
    if end < 0:
        _check_beginning(data, cgi, max_head)
        return None
    if COMPILED:
        usual = read_usual(data, cgi=cgi, max_fields=max_fields)
        if usual is not None:
            return usual
    return read_lines(data[: end + 4], cgi=cgi, max_fields=max_fields)


def read_lines(data: bytes, *, cgi: bool, max_fields: int) -> ResponseHead:
    """Read a whole head line by line.

    Raises:
        ResponseError: as :func:`parse_response`.
    """
    lines = split_head(data)
    if lines is None:
        raise ResponseError("the answer's head has a CR or LF alone")
    if cgi and not lines[0].startswith(b"HTTP/"):
        takers = _TAKERS_CGI
        head = ResponseHead(0, b"", 0, [], close=True)
    else:
        takers = _TAKERS_UWSGI if cgi else _TAKERS
        status, reason, minor, start = status_lines[lines[0]]
        del lines[0]
        head = ResponseHead(status, reason, minor, [])
        head.close = not minor
        head.start = start
    head.size = len(data)
    if len(lines) > max_fields:
        raise ResponseError(f"the answer has {len(lines)} fields; at most {max_fields} are taken")
    _read_fields(head, lines, takers)
    return head


def read_usual(data: bytes, *, cgi: bool, max_fields: int) -> ResponseHead | None:
    """Read a head as most of them are in one walk.

    Args:
        data: has an empty line somewhere.
        cgi: as for :func:`parse_response`.
        max_fields: as for :func:`parse_response`.

    Returns:
        The head as :func:`read_lines` would return it; None if it has to read it, or refuse it.

    Raises:
        ResponseError: :func:`read_lines` would raise it, too.
    """
    at = line_end(data, 0)
    if at < 0 or data[:5] != b"HTTP/":
        return None
    status, reason, minor, start = status_lines[data[:at]]
    if status == _UPGRADE_REQUIRED:
        return None
    at += 2
    begin = at
    takers = _TAKERS_UWSGI if cgi else _TAKERS
    head = ResponseHead(status, reason, minor, [])
    pieces: list[bytes] = []
    connection: bytes | None = None
    while True:
        at = _watched.stop(data, at)
        stop = line_end(data, at)
        if stop < 0:
            return None
        if stop == at:
            break
        raw, colon, value = data[at:stop].partition(b":")
        name = names[raw]
        if not (colon and name):
            return None
        taker = takers.get(name)
        passes = taker is None
        if name == b"connection":
            connection = value if connection is None else connection + b"," + value
        elif taker is not None:
            passes = taker(head, value.strip(b" \t"))
        if not passes:
            if at > begin:
                pieces.append(data[begin:at])
            begin = stop + 2
        at = stop + 2
    pieces.append(data[begin:at])
    head.set_block(pieces[0] if len(pieces) == 1 else b"".join(pieces))
    head.size = at + 2
    # A field has three bytes at least.
    if head.size > 3 * max_fields and data.count(b"\n", 0, head.size) > max_fields + 2:
        return None
    head.close = not minor
    head.start = start
    if connection is not None:
        _connect(head, connection)
    if head.chunked:
        _check_chunked(head)
    return head


def _check_beginning(data: bytes, cgi: bool, max_head: int) -> None:
    """Refuse what is not a complete head and never can be. It may be looked at again and again: only what is cheap."""
    if len(data) >= max_head:
        raise ResponseError(f"the answer's head is larger than {max_head} bytes")
    if data.count(b"\n") != data.count(b"\r\n"):
        raise ResponseError("a line of the answer's head ends with a LF alone")
    first, complete, _ = data.partition(b"\r\n")
    if cgi and not first.startswith(b"HTTP/"):
        if not (_FIELD if complete else _FIELD_SO_FAR).match(first):
            raise ResponseError(f"the answer begins with {first[:40]!r}: no status line, no field")
    elif complete:
        _ = status_lines[first]
    elif not (first.startswith(b"HTTP/") or b"HTTP/".startswith(first)):
        raise ResponseError(f"the answer begins with {first[:40]!r}, which is no status line")


def _read_fields(head: ResponseHead, lines: list[bytes], takers: "dict[bytes, _Taker]") -> None:
    passed, known = head.lines, _lines
    unknown: list[bytes] = []
    connection: bytes | None = None
    for line in lines:
        if line in known:
            passed.append(line)
            continue
        unknown.append(line)
        raw, colon, value = line.partition(b":")
        name = names[raw]
        if not (colon and name):
            raise ResponseError(f"{line[:40]!r} in the answer's head is no field")
        taker = takers.get(name)
        if taker is None:
            passed.append(line)
        elif name == b"connection":
            connection = value if connection is None else connection + b"," + value
        elif taker(head, value.strip(b" \t")):
            passed.append(line)
    if unknown:
        _check(unknown)
    if connection is not None:
        _connect(head, connection)
    if head.chunked:
        _check_chunked(head)
    if not head.start:
        if not head.status:
            redirect = any(names[line.partition(b":")[0]] == b"location" for line in passed)
            head.status, head.reason = (302, b"Found") if redirect else (200, b"OK")
        if head.status == HTTPStatus.UPGRADE_REQUIRED and head.upgrade:
            head.lines.extend((b"Upgrade: " + head.upgrade, b"Connection: Upgrade"))
        head.start = status_line(head.status, head.reason)


def _check_chunked(head: ResponseHead) -> None:
    """Refuse a chunked body whose end is told in another way, too."""
    if head.content_length is not None or not head.minor:
        why = "a Content-Length too" if head.minor else "no version HTTP/1.1"
        raise ResponseError(
            f"the answer has a Transfer-Encoding, but {why}: it could be read in two ways"
        )


def _check(lines: list[bytes]) -> None:
    """Look for control bytes in lines that look right otherwise; remember them, sometimes, if there are none."""
    if has_control_byte(lines):
        raise ResponseError("the answer's head has a control character")
    if _remembers():
        for line in lines:
            raw, _, value = line.partition(b":")
            name = names[raw]
            if name not in _TAKERS_CGI or (name == b"content-type" and not _is_event_stream(value)):
                _lines.keep(line, None)


def _connect(head: ResponseHead, connection: bytes) -> None:
    """Apply the elements of Connection to the head."""
    close, nominated = connections[connection]
    if close is not None:
        head.close = close
    if nominated:
        head.set_lines(
            [line for line in head.lines if names[line.partition(b":")[0]] not in nominated]
        )


# What takes a field (without white space around its value) returns whether the client gets it too.


def _drop(_head: ResponseHead, _value: bytes) -> bool:
    return False


def _content_length(head: ResponseHead, value: bytes) -> bool:
    length = parse_content_length(value)
    if length is None and b"," in value:
        # A proxy behind us may have joined two fields (RFC 9110 section 8.6).
        lengths = {parse_content_length(part.strip(b" \t")) for part in value.split(b",")}
        length = lengths.pop() if len(lengths) == 1 else None
    known = head.content_length
    if length is None or (known is not None and known != length):
        what = "is no length" if length is None else "is another one"
        raise ResponseError(f"Content-Length {value[:40]!r} in the answer's head {what}")
    head.content_length = length
    return False


def _transfer_encoding(head: ResponseHead, value: bytes) -> bool:
    if head.chunked or (value.lower() != b"chunked" and tokens(value) != [b"chunked"]):
        raise ResponseError(
            f"Transfer-Encoding {value[:40]!r} in the answer's head; known is 'chunked', once"
        )
    head.chunked = True
    return False


def _keep_alive(head: ResponseHead, value: bytes) -> bool:
    if match := _KEEP_ALIVE.search(value.lower()):
        head.keep_alive = float(match[1])
    return False


def _upgrade(head: ResponseHead, value: bytes) -> bool:
    first = not head.upgrade
    head.upgrade = value if first else b"%b, %b" % (head.upgrade, value)
    # Without a status line only the whole head tells.
    if not head.start or head.status != HTTPStatus.UPGRADE_REQUIRED:
        return False
    if first:
        head.lines.append(b"Connection: Upgrade")
    return True


def _status(head: ResponseHead, value: bytes) -> bool:
    match = _STATUS.fullmatch(value)
    if match is None or head.status:
        raise ResponseError(
            f"Status {value[:40]!r} in the answer's head {'is the second' if match else 'is none'}"
        )
    head.status, head.reason = int(match[1]), match[2] or b""
    return False


def _content_type(head: ResponseHead, value: bytes) -> bool:
    if _is_event_stream(value):
        head.unbuffered = True
    return True


def _is_event_stream(value: bytes) -> bool:
    return value.lstrip(b" \t")[:17].lower() == b"text/event-stream"


def _content_encoding(head: ResponseHead, value: bytes) -> bool:
    if value and value.lower() != b"identity":
        before = head.content_encoding
        head.content_encoding = b"%b, %b" % (before, value) if before else value
    return True


def _buffering(head: ResponseHead, value: bytes) -> bool:
    if value.lower() == b"no":
        head.unbuffered = True
    return True


def _uwsgi_encoding(head: ResponseHead, value: bytes) -> bool:
    if value.lower() == b"gzip":
        head.gzip_wanted = True
    return True


_Taker = Callable[[ResponseHead, bytes], bool]
_TAKERS: Final[dict[bytes, _Taker]] = {
    **dict.fromkeys(HOP_BY_HOP, _drop),
    b"content-encoding": _content_encoding,
    b"content-length": _content_length,
    b"content-type": _content_type,
    b"keep-alive": _keep_alive,
    b"transfer-encoding": _transfer_encoding,
    b"upgrade": _upgrade,
    b"uwsgi-encoding": _uwsgi_encoding,
    b"x-accel-buffering": _buffering,
}
#: For uwsgi nodes: with a status line, and without.
_TAKERS_UWSGI: Final = _TAKERS | {b"status": _drop}
_TAKERS_CGI: Final = _TAKERS | {b"status": _status}
_watched: Final = Watched(_TAKERS_UWSGI, underscore=False, usual=False)
