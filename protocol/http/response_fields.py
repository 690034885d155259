"""Fields of a response head that mean something to a proxy: what each says of the head, and whether clients get it."""

import re
from collections.abc import Callable
from typing import Final

from uwsgi_router.protocol.http.errors import ResponseError
from uwsgi_router.protocol.http.fields import HOP_BY_HOP, names, parse_content_length, tokens
from uwsgi_router.protocol.http.response_head import ResponseHead
from uwsgi_router.protocol.http.response_lines import connections
from uwsgi_router.protocol.http.status import UPGRADE_REQUIRED

_KEEP_ALIVE = re.compile(rb"timeout[ \t]*=[ \t]*\"?([0-9]{1,9})\"?")
_STATUS = re.compile(rb"([1-9][0-9]{2})(?:[ \t]+(.*))?")


def check_chunked(head: ResponseHead) -> None:
    """Refuse a chunked body whose end is told in another way, too."""
    if head.content_length is not None or not head.minor:
        why = "a Content-Length too" if head.minor else "no version HTTP/1.1"
        raise ResponseError(
            f"the answer has a Transfer-Encoding, but {why}: it could be read in two ways"
        )


def connect(head: ResponseHead, connection: bytes) -> None:
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
    if not head.start or head.status != UPGRADE_REQUIRED:
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
    if is_event_stream(value):
        head.unbuffered = True
    return True


def is_event_stream(value: bytes) -> bool:
    """Return True for a Content-Type of server-sent events."""
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


Taker = Callable[[ResponseHead, bytes], bool]
TAKERS: Final[dict[bytes, Taker]] = {
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
TAKERS_UWSGI: Final = TAKERS | {b"status": _drop}
TAKERS_CGI: Final = TAKERS | {b"status": _status}
