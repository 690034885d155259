"""uwsgi cache protocol: commands and answers of a cache socket (uWSGI: plugins/cache/cache.c).

One command per connection. A request is one packet with modifier1 111; modifier2 says its form:

| modifier2 | payload | answer |
|---|---|---|
| 0, 5 | the key | 0: a header with the value's size, the value; 5: a header that says hit (1) or miss (0), the value |
| 1 | key and value, each with its length | none |
| 2 | the key | none |
| 17 | variables ``cmd``, ``key``, ``size``, ``expires``, ``cache``; behind them ``size`` bytes of value | variables |

Every failure is the end of the connection without a byte. uWSGI's own answers to 0 and 5 have headers made of stray
memory; ours say what its documentation says.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from uwsgi_router.protocol.uwsgi import (
    HEADER_SIZE,
    MODIFIER_CACHE,
    PacketError,
    decode_header,
    decode_variables,
    encode_header,
    encode_packet,
)

FORM_GET: Final = 0
FORM_SET: Final = 1
FORM_DEL: Final = 2
FORM_STREAM: Final = 5
FORM_VARIABLES: Final = 17

#: Sizes and times have at most so many digits; no value is as large, and no item lives as long.
_MAX_DIGITS: Final = 12

Name = Literal["get", "set", "update", "del", "exists", "clear"]
_NAMES: Final[tuple[Name, ...]] = get_args(Name)
_WANTED: Final = frozenset({b"cmd", b"key", b"size", b"expires", b"cache"})
_ANSWERED: Final = frozenset({b"status", b"size", b"expires"})

OK: Final = encode_packet([(b"status", b"ok")], MODIFIER_CACHE, FORM_VARIABLES)
"""What ``set``, ``update``, ``del``, ``exists`` and ``clear`` are answered with."""


@dataclass(frozen=True, slots=True)
class CacheCommand:
    """Command of a cache client.

    Attributes:
        name: what to do.
        key: of which item; b"" for ``clear``.
        cache: in which cache; b"": the first.
        expires: seconds from now that the item lives; 0: for ever.
        size: bytes of value that follow the packet.
        value: the value, if it was inside the packet (form 1); else None.
        form: modifier2, which decides how it is answered.
    """

    name: Name
    key: bytes = b""
    cache: bytes = b""
    expires: int = 0
    size: int = 0
    value: bytes | None = None
    form: int = FORM_VARIABLES


def encode_command(command: CacheCommand) -> bytes:
    """Make the packet of form 17; the value has to follow it.

    Raises:
        PacketError: if it is too large for a packet.
    """
    variables = [(b"cmd", command.name.encode())]
    if command.key:
        variables.append((b"key", command.key))
    if command.size:
        variables.append((b"size", b"%d" % command.size))
    if command.expires:
        variables.append((b"expires", b"%d" % command.expires))
    if command.cache:
        variables.append((b"cache", command.cache))
    return encode_packet(variables, MODIFIER_CACHE, FORM_VARIABLES)


def decode_command(data: bytes) -> tuple[CacheCommand, int] | None:
    """Read the packet that a client's bytes begin with.

    Args:
        data: everything that has come so far.

    Returns:
        The command and where its packet ends (the value begins there), or None if more bytes are needed.

    Raises:
        PacketError: as soon as it can't become a command.
    """
    if data and data[0] != MODIFIER_CACHE:
        raise PacketError(f"modifier1 is {data[0]}, not {MODIFIER_CACHE}")
    if len(data) < HEADER_SIZE:
        return None
    _, datasize, form = decode_header(data)
    if form not in {FORM_GET, FORM_SET, FORM_DEL, FORM_STREAM, FORM_VARIABLES}:
        raise PacketError(f"modifier2 {form} is no cache command that is known here")
    end = HEADER_SIZE + datasize
    if len(data) < end:
        return None
    payload = data[HEADER_SIZE:end]
    if form == FORM_VARIABLES:
        return _of_variables(payload), end
    if form == FORM_SET:
        key, value = _key_and_value(payload)
        return CacheCommand("set", key, value=value, form=form), end
    if not payload:
        raise PacketError("the key is empty")
    return CacheCommand("del" if form == FORM_DEL else "get", payload, form=form), end


def _of_variables(block: bytes) -> CacheCommand:
    found = _once(decode_variables(block, _WANTED))
    name = found.get(b"cmd", b"").decode("latin-1")
    if name not in _NAMES:
        raise PacketError(f"cmd={name[:40]!r} is not one of {', '.join(_NAMES)}")
    key = found.get(b"key", b"")
    if not key and name != "clear":
        raise PacketError(f"cmd={name} without a key")
    size = _number(found, b"size")
    stores = name in {"set", "update"}
    if stores and not size:
        raise PacketError(f"cmd={name} without a size")
    return CacheCommand(
        name,
        key,
        found.get(b"cache", b""),
        _number(found, b"expires") if stores else 0,
        size if stores else 0,
    )


def _once(variables: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Refuse contradictions. The client of uWSGI says ``size`` twice; what is said twice must be the same."""
    found: dict[bytes, bytes] = {}
    for name, value in variables:
        if found.setdefault(name, value) != value:
            raise PacketError(f"two different values of {name.decode()}")
    return found


def _number(found: dict[bytes, bytes], name: bytes) -> int:
    text = found.get(name, b"0")
    # isdigit() of bytes knows ASCII digits only.
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        raise PacketError(f"{name.decode()}={text[:40]!r} is not a decimal number")
    return int(text)


def _key_and_value(payload: bytes) -> tuple[bytes, bytes]:
    items: list[bytes] = []
    pos = 0
    while pos < len(payload):
        at = pos + 2
        pos = at + int.from_bytes(payload[pos:at], "little")
        if pos > len(payload) or at > len(payload):
            raise PacketError("a length points past the end")
        items.append(payload[at:pos])
    if len(items) != 2 or not all(items):
        raise PacketError("modifier2 1 needs a key and a value, no more and no less")
    return items[0], items[1]


# --- answers ---


@dataclass(frozen=True, slots=True)
class Hit:
    """Answer to a ``get`` that found an item; the value follows the packet.

    Attributes:
        size: of the value, in bytes.
        expires: when the item ends, in seconds since the epoch; 0: never.
    """

    size: int
    expires: int = 0


def encode_hit(hit: Hit, form: int = FORM_VARIABLES) -> bytes:
    """Make the header or packet that precedes the value.

    Raises:
        PacketError: in form 0 if the value is too large for a packet's header.
    """
    if form == FORM_GET:
        return encode_header(MODIFIER_CACHE, hit.size, FORM_GET)
    if form == FORM_STREAM:
        return encode_header(MODIFIER_CACHE, 0, 1)
    variables = [(b"status", b"ok"), (b"size", b"%d" % hit.size)]
    if hit.expires:
        variables.append((b"expires", b"%d" % hit.expires))
    return encode_packet(variables, MODIFIER_CACHE, FORM_VARIABLES)


def encode_miss(form: int) -> bytes:
    """Make the answer that says that there is no such item: empty, but in form 5."""
    return encode_header(MODIFIER_CACHE, 0, 0) if form == FORM_STREAM else b""


def decode_hit(data: bytes) -> tuple[Hit, int] | None:
    """Read the answer to a ``get`` of form 17.

    Args:
        data: everything that has come so far; an end without any byte is a miss, and not for here.

    Returns:
        The answer and where its packet ends, or None if more bytes are needed.

    Raises:
        PacketError: if it can't become one.
    """
    if data and data[0] != MODIFIER_CACHE:
        raise PacketError(f"modifier1 is {data[0]}, not {MODIFIER_CACHE}")
    if len(data) < HEADER_SIZE:
        return None
    _, datasize, form = decode_header(data)
    if form != FORM_VARIABLES:
        raise PacketError(f"modifier2 is {form}, not {FORM_VARIABLES}")
    end = HEADER_SIZE + datasize
    if len(data) < end:
        return None
    found = _once(decode_variables(data[HEADER_SIZE:end], _ANSWERED))
    if found.get(b"status") != b"ok":
        raise PacketError(f"status={found.get(b'status', b'')[:40]!r} is not ok")
    size = _number(found, b"size")
    if not size:
        raise PacketError("the answer has no size")
    return Hit(size, _number(found, b"expires")), end
