"""HTTP/1 response parser, strict: the head of a node's answer (RFC 9112; RFC 3875 for uwsgi nodes).

Refused are bytes with which a node, or a client that it echoes, could split an answer in two (response splitting), and
bytes about whose end client and router could disagree.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

from uwsgi_router.protocol.compiled import COMPILED
from uwsgi_router.protocol.http.errors import ResponseError
from uwsgi_router.protocol.http.fields import (
    TOKEN_BYTE,
    BoundedCache,
    has_control_byte,
    names,
    remembering,
    split_head,
)
from uwsgi_router.protocol.http.response_fields import (
    TAKERS,
    TAKERS_CGI,
    TAKERS_UWSGI,
    Taker,
    check_chunked,
    connect,
    is_event_stream,
)
from uwsgi_router.protocol.http.response_head import ResponseHead
from uwsgi_router.protocol.http.response_lines import status_line, status_lines
from uwsgi_router.protocol.http.status import UPGRADE_REQUIRED
from uwsgi_router.protocol.http.walk import (
    Watched,
    field_colon,
    field_value,
    line_end,
    may_be_event_stream,
    number,
)

if TYPE_CHECKING:
    from mypy_extensions import i64

_END: Final = b"\r\n\r\n"
_FIELD = re.compile(rb"%b+:" % TOKEN_BYTE)
_FIELD_SO_FAR = re.compile(rb"%b*(?::|\Z)" % TOKEN_BYTE)


class _Lines(BoundedCache[None]):
    """Cache of lines that are right and only passed on."""

    _ENTRIES: ClassVar[int] = 1024
    _KEY_SIZE: ClassVar[int] = 256


_lines: Final = _Lines()
_remembers = remembering()
_watched: Final = Watched(TAKERS_UWSGI, underscore=False, usual=False)

# Fields that most answers have, in the spellings that most servers use; the others are looked up in two steps.
_LENGTH: Final = 1
_TYPE: Final = 2
_PASSES: Final = 1
_DROPPED: Final = 2
_OTHER: Final = 3
_usual_names: Final = {
    spelling: which
    for name, which in (
        (b"Content-Length", _LENGTH),
        (b"Content-Type", _TYPE),
    )
    for spelling in (name, name.lower())
}


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
    # Without bounds it takes a third of the time; most of what comes is a head, or begins with one.
    end = data.find(_END)
    if end < 0 or end > max_head - len(_END):
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
        takers = TAKERS_CGI
        head = ResponseHead(0, b"", 0, [], close=True)
    else:
        takers = TAKERS_UWSGI if cgi else TAKERS
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
    if status == UPGRADE_REQUIRED:
        return None
    at += 2
    begin = at
    takers = TAKERS_UWSGI if cgi else TAKERS
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
        colon = field_colon(data, at, stop)
        raw = data[at:colon]
        usual = _read_usual_field(head, data, raw, colon, stop)
        passes = usual == _PASSES
        if usual == _OTHER:
            name = names[raw]
            if colon == stop or not name:
                return None
            value = data[colon + 1 : stop]
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
    _conclude(head, connection)
    return head


def _conclude(head: ResponseHead, connection: bytes | None) -> None:
    """Apply what only a whole head tells: the value of Connection, and how the body ends."""
    if connection is not None:
        connect(head, connection)
    if head.chunked:
        check_chunked(head)


def _read_usual_field(head: ResponseHead, data: bytes, raw: bytes, colon: i64, stop: i64) -> int:
    """Read one of the usual fields; return whether clients get it, or that it is looked at like any other."""
    which = _usual_names.get(raw, 0)
    if which == _TYPE and not may_be_event_stream(data, colon, stop):
        return _PASSES
    if which == _LENGTH and head.content_length is None:
        length = number(data, field_value(data, colon, stop), stop)
        if length >= 0:
            head.content_length = length
            return _DROPPED
    return _OTHER


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


def _read_fields(head: ResponseHead, lines: list[bytes], takers: dict[bytes, Taker]) -> None:
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
    _conclude(head, connection)
    if not head.start:
        if not head.status:
            redirect = any(names[line.partition(b":")[0]] == b"location" for line in passed)
            head.status, head.reason = (302, b"Found") if redirect else (200, b"OK")
        if head.status == UPGRADE_REQUIRED and head.upgrade:
            head.lines.extend((b"Upgrade: " + head.upgrade, b"Connection: Upgrade"))
        head.start = status_line(head.status, head.reason)


def _check(lines: list[bytes]) -> None:
    """Look for control bytes in lines that look right otherwise; remember them, sometimes, if there are none."""
    if has_control_byte(lines):
        raise ResponseError("the answer's head has a control character")
    if _remembers():
        for line in lines:
            raw, _, value = line.partition(b":")
            name = names[raw]
            if name not in TAKERS_CGI or (name == b"content-type" and not is_event_stream(value)):
                _lines.keep(line, None)
