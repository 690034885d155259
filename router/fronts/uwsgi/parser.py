"""uwsgi request parser: key, method, length and client out of a packet."""

from collections.abc import Iterable
from typing import ClassVar, Final

from uwsgi_router.protocol.uwsgi import (
    DANGEROUS_MODIFIERS,
    HEADER_SIZE,
    MODIFIER_PING,
    PONG,
    PacketError,
    decode_header,
    decode_values,
    decode_variables,
)
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.fronts.uwsgi.request import UwsgiRequest

#: Longer values are passed over, as if the variable were absent.
MAX_KEY: Final = 255

_KEY: Final = b"UWSGI_FASTROUTER_KEY"
_WANTED: Final = frozenset(
    {
        _KEY,
        b"HTTP_HOST",
        b"SERVER_NAME",
        b"CONTENT_LENGTH",
        b"REQUEST_METHOD",
        b"REMOTE_ADDR",
        b"PATH_INFO",
    }
)
# The first bytes of HTTP, which would otherwise pass for a header that announces kilobytes.
_HTTP: Final = (
    b"GET /",
    b"POST ",
    b"HEAD ",
    b"PUT /",
    b"OPTIO",
    b"DELET",
    b"PATCH",
    b"PRI *",
    b"CONNE",
    b"TRACE",
)


TLS: Final = "this is a TLS handshake, and the port speaks uwsgi"


def is_tls(data: bytes) -> bool:
    """Return True for the beginning of a TLS handshake.

    Read as a packet it is one with modifier1 22, whose first name is longer than any variable's.
    """
    return data[:2] == b"\x16\x03" and data[5:6] == b"\x01"


class Ping(Exception):
    """Ping: the client asks whether we are alive; answer with :data:`uwsgi_router.protocol.uwsgi.PONG`."""

    answer: ClassVar[bytes] = PONG


class UwsgiParser:
    """Parser of requests out of uwsgi packets.

    Args:
        force_key: the key of every request, or None (``fastrouter-force-key``).
        keep_modifiers: modifiers go to the node as they came; then those that run code are refused.
    """

    def __init__(self, *, force_key: bytes | None, keep_modifiers: bool) -> None:
        self._force_key = force_key
        self._keep_modifiers = keep_modifiers
        self._wanted: frozenset[bytes] | None = _WANTED

    def decode_all(self) -> None:
        """Decode packets whole from now on: nodes speak HTTP, for which all variables are needed anyway."""
        self._wanted = None

    def parse(self, data: bytes, peer: str) -> UwsgiRequest | None:
        """Read a request from the first bytes of a connection.

        Args:
            data: everything received so far.
            peer: text of the peer's address, for when the packet names no client.

        Returns:
            The request, or None if more bytes are needed.

        Raises:
            PacketError: if this can't become a request.
            Ping: if it is one.
            Failure: if the packet is well-formed but has no usable key.
        """
        if len(data) < HEADER_SIZE:
            return None
        modifier1, size, _modifier2 = decode_header(data)
        end = HEADER_SIZE + size
        if len(data) < end:
            if data.startswith(_HTTP):
                raise PacketError(
                    "this is HTTP, and the port speaks uwsgi (in nginx: uwsgi_pass, not proxy_pass)"
                )
            if is_tls(data):
                raise PacketError(TLS)
            return None
        if modifier1 == MODIFIER_PING and not size:
            raise Ping
        if self._keep_modifiers and modifier1 in DANGEROUS_MODIFIERS:
            raise PacketError(
                f"modifier1 {modifier1} runs code or touches caches in a node and is never passed on"
            )
        if len(data) == end:
            return self._read(data, b"", peer)
        return self._read(data[:end], data[end:], peer)

    def _read(self, packet: bytes, rest: bytes, peer: str) -> UwsgiRequest:
        values, repeated = decode_values(packet[HEADER_SIZE:], self._wanted)
        key, is_host = values.get(b"HTTP_HOST", b""), True
        if repeated:
            found = decode_variables(packet[HEADER_SIZE:], _WANTED)
            _check_lengths(found)
            key, is_host = _key_of(found)
        elif not 0 < len(key) <= MAX_KEY or _KEY in values:
            key, is_host = _key_of(values.items())
        length = values.get(b"CONTENT_LENGTH", b"")
        if self._force_key is not None:
            key, is_host = self._force_key, False
        if not key:
            raise Failure(
                reasons.NO_KEY,
                "the packet has no usable UWSGI_FASTROUTER_KEY, HTTP_HOST or SERVER_NAME (1 to 255 bytes)",
            )
        client = values.get(b"REMOTE_ADDR")
        return UwsgiRequest(
            key=key,
            key_is_host=is_host,
            method=values.get(b"REQUEST_METHOD", b""),
            content_length=parse_content_length(length) if length else 0,
            client=peer.encode() if client is None else client,
            path=values.get(b"PATH_INFO", b""),
            packet=packet,
            rest=rest,
            keep_modifiers=self._keep_modifiers,
            values=None if self._wanted is not None else values,
        )


def _key_of(found: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bool]:
    """Return the key that the order of the variables decides on, b"" if there is none, and whether it is a host."""
    key = b""
    is_host, pinned = True, False
    for name, value in found:
        if len(value) > MAX_KEY:
            continue
        if name == b"HTTP_HOST":
            if not pinned:
                key, is_host = value, True
        elif name == _KEY:
            key, is_host, pinned = value, False, True
        elif name == b"SERVER_NAME" and not key:
            key, is_host = value, True
    return key, is_host


def _check_lengths(found: list[tuple[bytes, bytes]]) -> None:
    if len({value for name, value in found if name == b"CONTENT_LENGTH"}) > 1:
        raise PacketError("two different CONTENT_LENGTH values")


def parse_content_length(value: bytes) -> int:
    """Read CONTENT_LENGTH; empty means no body (nginx sends it so).

    Raises:
        PacketError: unless it is at most 18 ASCII digits. uWSGI reads leading digits only; a chain must not disagree.
    """
    if not value:
        return 0
    if not value.isdigit() or len(value) > 18:
        raise PacketError(f"CONTENT_LENGTH {value[:40]!r} is not a decimal number")
    return int(value)
