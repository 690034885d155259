"""Access log entries as text or JSON, safe against forged fields."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from json import JSONEncoder
from typing import Final

from uwsgi_router.protocol.text import show

#: Bytes shown of a target, and of any other text.
MAX_TARGET: Final = 2048
MAX_TEXT: Final = 256

# All but what stands for itself in a text line: visible ASCII without `"` and `\`.
_special: Final = re.compile(rb"[^!#-\[\]-~]").search
_ESCAPES: Final = {
    code: f"\\x{code:02x}" for code in range(256) if _special(bytes([code])) is not None
}
_json: Final = JSONEncoder(separators=(",", ":")).encode


@dataclass(slots=True)
class AccessEntry:
    """Entry of the access log. Seconds are None for what did not happen.

    Attributes:
        id: the request's, as in the log and in answers of ours.
        client: address, as the node was told it.
        method: as received; target and protocol too.
        key: what the node was looked up by: the host for the HTTP router.
        status: of the answer; 0: there was none.
        bytes_in: bytes read from the client, ``bytes_out``: written to it.
        node: address of the node that was chosen last, "" if none was.
        tries: how many nodes were chosen.
        connect: from the choice of the node to the connection, 0 for one that was kept.
        first_byte: from the request's beginning to the answer's first byte.
        total: from the request's beginning to its end.
        reason: one word for what went wrong, as in Failure; "" if nothing did.
    """

    id: str
    client: bytes
    method: bytes
    target: bytes
    protocol: bytes
    key: bytes
    status: int
    bytes_in: int
    bytes_out: int
    node: str
    tries: int
    connect: float | None
    first_byte: float | None
    total: float
    reason: str = ""


def timestamp(seconds: float) -> str:
    """Return a time since the epoch as ISO 8601 in UTC, with milliseconds."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{_second(whole)}.{milliseconds:03}Z"


@lru_cache(maxsize=64)
def _second(whole: int) -> str:
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def text_line(entry: AccessEntry, begun: str) -> bytes:
    """Return the fields separated by spaces, each a word of visible ASCII; the request line is in quotes."""
    return (
        f"{begun} {_escaped(_bytes(entry.id))} {_escaped(entry.client)}"
        f' "{_escaped(entry.method)} {_escaped(entry.target, MAX_TARGET)} {_escaped(entry.protocol)}"'
        f" {_escaped(entry.key)} {entry.status} in={entry.bytes_in} out={entry.bytes_out}"
        f" node={_escaped(_bytes(entry.node))} tries={entry.tries} connect={_seconds(entry.connect)}"
        f" first_byte={_seconds(entry.first_byte)} total={entry.total:.6f}"
        f" reason={_escaped(_bytes(entry.reason))}\n"
    ).encode("ascii")


def _escaped(value: bytes, limit: int = MAX_TEXT) -> str:
    r"""Return a word of visible ASCII: other bytes, quotes and backslashes as ``\xNN``, "-" for nothing."""
    if len(value) > limit:
        value = value[:limit] + b"..."
    if _special(value) is None:
        return value.decode("ascii") or "-"
    return value.decode("latin-1").translate(_ESCAPES)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"


def json_line(entry: AccessEntry, begun: str) -> bytes:
    """Return an object on one line of ASCII; its keys are the attributes of an entry."""
    connect, first_byte = entry.connect, entry.first_byte
    fields = {
        "time": begun,
        "id": entry.id,
        "client": _text(entry.client),
        "method": _text(entry.method),
        "target": _text(entry.target, MAX_TARGET),
        "protocol": _text(entry.protocol),
        "key": _text(entry.key),
        "status": entry.status,
        "bytes_in": entry.bytes_in,
        "bytes_out": entry.bytes_out,
        "node": _text(_bytes(entry.node)),
        "tries": entry.tries,
        "connect": None if connect is None else round(connect, 6),
        "first_byte": None if first_byte is None else round(first_byte, 6),
        "total": round(entry.total, 6),
        "reason": entry.reason or "-",
    }
    return _json(fields).encode("ascii") + b"\n"


def _text(value: bytes, limit: int = MAX_TEXT) -> str:
    r"""Return UTF-8 as text; bytes that are not are shown as ``\xNN``."""
    if len(value) > limit:
        value = value[:limit] + b"..."
    return show(value)
