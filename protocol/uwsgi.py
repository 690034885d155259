"""uwsgi packets: header, variable block, limits (uWSGI: proto/uwsgi.c, core/protocol.c).

A packet is ``modifier1`` (u8), ``datasize`` (u16, little endian), ``modifier2`` (u8) and
``datasize`` bytes. For requests and subscriptions these bytes are variables: u16 length, key, u16
length, value, repeated to the last byte. A body follows unframed; it is not part of the packet.

Reading is strict: a chain in which two programs read the same packet differently is how requests
are smuggled.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from uwsgi_router.protocol.compiled import COMPILED

if TYPE_CHECKING:
    from mypy_extensions import i64

HEADER_SIZE: Final = 4
MAX_DATASIZE: Final = 0xFFFF

MODIFIER_CODE: Final = 22
MODIFIER_PING: Final = 100
MODIFIER_SIGNAL: Final = 110
MODIFIER_CACHE: Final = 111
MODIFIER_RPC: Final = 173
MODIFIER_SUBSCRIPTION: Final = 224

#: Modifiers that run code or touch caches in a uWSGI worker: never let in from outside.
DANGEROUS_MODIFIERS: Final = frozenset(
    {MODIFIER_CODE, MODIFIER_SIGNAL, MODIFIER_CACHE, MODIFIER_RPC}
)

#: The answer to a ping: modifier1 100, no data, modifier2 1.
PONG: Final = bytes((MODIFIER_PING, 0, 0, 1))


class PacketError(ValueError):
    """Error for bytes that are not a packet of the expected shape; ``str()`` is the reason for the log."""


def encode_header(modifier1: int, datasize: int, modifier2: int = 0) -> bytes:
    """Make the 4 header bytes.

    Raises:
        PacketError: if a number does not fit.
    """
    if not (0 <= modifier1 <= 255 and 0 <= modifier2 <= 255):
        raise PacketError(f"modifiers {modifier1}/{modifier2} are not numbers from 0 to 255")
    if not 0 <= datasize <= MAX_DATASIZE:
        raise PacketError(f"{datasize} bytes of variables; a packet holds at most {MAX_DATASIZE}")
    return bytes((modifier1, datasize & 255, datasize >> 8, modifier2))


def decode_header(data: bytes) -> tuple[int, int, int]:
    """Return (modifier1, datasize, modifier2) of the first 4 bytes of ``data``.

    Raises:
        PacketError: if there are fewer than 4 bytes.
    """
    if len(data) < HEADER_SIZE:
        raise PacketError(f"{len(data)} bytes are no packet header")
    return data[0], data[1] | data[2] << 8, data[3]


def encode_variables(variables: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Make a variable block.

    Raises:
        PacketError: on an empty key, or a key or value over 65535 bytes.
    """
    parts: list[bytes] = []
    for key, value in variables:
        if not key:
            raise PacketError("a variable needs a name")
        if len(key) > MAX_DATASIZE or len(value) > MAX_DATASIZE:
            raise PacketError(f"variable {key[:40]!r} is longer than {MAX_DATASIZE} bytes")
        parts += (len(key).to_bytes(2, "little"), key, len(value).to_bytes(2, "little"), value)
    return b"".join(parts)


def encode_packet(
    variables: Iterable[tuple[bytes, bytes]], modifier1: int = 0, modifier2: int = 0
) -> bytes:
    """Make a whole packet of variables.

    Raises:
        PacketError: if it would be larger than a packet can be.
    """
    block = encode_variables(variables)
    return encode_header(modifier1, len(block), modifier2) + block


def decode_variables(
    block: bytes, wanted: frozenset[bytes] | None = None
) -> list[tuple[bytes, bytes]]:
    """Read a variable block to its last byte, in packet order, duplicates kept.

    Args:
        block: the ``datasize`` bytes after the header.
        wanted: return only these keys; the whole block is checked all the same.

    Raises:
        PacketError: on an empty key or a length that points past the end.
    """
    if not COMPILED:
        return stepped(block, wanted)
    found: list[tuple[bytes, bytes]] = []
    walked(block, wanted, found, None)
    return found


def decode_values(
    block: bytes, wanted: frozenset[bytes] | None = None
) -> tuple[dict[bytes, bytes], bool]:
    """Read a variable block as :func:`decode_variables` does, by names.

    Returns:
        The values, of a repeated name the last one, and whether a name is repeated: without that, they are in
        packet order.

    Raises:
        PacketError: as :func:`decode_variables`.
    """
    values: dict[bytes, bytes] = {}
    if COMPILED:
        return values, walked(block, wanted, None, values) != len(values)
    found = stepped(block, wanted)
    values = dict(found)
    return values, len(values) != len(found)


def walked(
    block: bytes,
    wanted: frozenset[bytes] | None,
    found: list[tuple[bytes, bytes]] | None,
    values: dict[bytes, bytes] | None,
) -> i64:
    """Do the work of both functions above, and return how many variables there are.

    For compiled code, where numbers of the machine cost nothing.

    Args:
        block: as for :func:`decode_variables`.
        wanted: likewise.
        found: gets the variables in order.
        values: gets them by name, if there is no ``found``.
    """
    table = b"" if wanted is None else _table(wanted)
    count: i64 = 0
    pos: i64 = 0
    end: i64 = len(block)
    try:
        while pos < end:
            size: i64 = block[pos] + (block[pos + 1] << 8)
            if size == 0:
                raise PacketError(f"empty variable name at byte {pos}")
            at = pos + size + 2
            after = at + block[at] + (block[at + 1] << 8) + 2
            if wanted is None or table[min(size, 255) * 256 + block[at - 1]] == 1:
                key = block[pos + 2 : at]
                if wanted is None or key in wanted:
                    count += 1
                    if found is not None:
                        found.append((key, block[at + 2 : after]))
                    elif values is not None:
                        values[key] = block[at + 2 : after]
            pos = after
    except IndexError as exc:
        raise _points_past(pos, end) from exc
    if pos != end:
        raise _ends_past(pos, end)
    return count


def stepped(block: bytes, wanted: frozenset[bytes] | None) -> list[tuple[bytes, bytes]]:
    """Do as :func:`decode_variables`; for code that is not compiled, where each step counts."""
    found: list[tuple[bytes, bytes]] = []
    pos, end = 0, len(block)
    lengths = None if wanted is None else _lengths(wanted)
    # Of a length at some place the low byte is block[place], the high one high[place], and mostly 0.
    high = block[1:]
    try:
        while pos < end:
            size = block[pos]
            if high[pos]:
                size += high[pos] << 8
            elif not size:
                raise PacketError(f"empty variable name at byte {pos}")
            at = pos + size + 2
            value_size = block[at]
            if high[at]:
                value_size += high[at] << 8
            after = at + value_size + 2
            if lengths is None or size in lengths:
                key = block[pos + 2 : at]
                if wanted is None or key in wanted:
                    found.append((key, block[at + 2 : after]))
            pos = after
    except IndexError as exc:
        raise _points_past(pos, end) from exc
    if pos != end:
        raise _ends_past(pos, end)
    return found


def _points_past(pos: int, end: int) -> PacketError:
    return PacketError(f"a variable's length points past the end (byte {pos} of {end})")


def _ends_past(pos: int, end: int) -> PacketError:
    return PacketError(f"the last variable ends at byte {pos}, the block at {end}")


@lru_cache(maxsize=16)
def _table(keys: frozenset[bytes]) -> bytes:
    """Return a table for keys: 256 bytes for each length (255: or more), 1 for each last byte of a key that long."""
    table = bytearray(256 * 256)
    for key in keys:
        if key:
            table[min(len(key), 255) * 256 + key[-1]] = 1
    return bytes(table)


@lru_cache(maxsize=16)
def _lengths(keys: frozenset[bytes]) -> frozenset[int]:
    return frozenset(len(key) for key in keys)
