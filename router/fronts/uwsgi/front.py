"""The uwsgi front: what a web server sends to a fastrouter (routers-core sheet 2; wire sheet 1.3, 3.8)."""

from http import HTTPStatus
from typing import ClassVar, Final

from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.forward import request_head
from uwsgi_router.protocol.http.from_variables import head_from_variables
from uwsgi_router.protocol.http.request import RequestHead
from uwsgi_router.protocol.http.response import ResponseHead
from uwsgi_router.protocol.uwsgi import (
    DANGEROUS_MODIFIERS,
    HEADER_SIZE,
    MODIFIER_PING,
    PONG,
    PacketError,
    decode_header,
    decode_variables,
)
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.request import Request

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


class Ping(Exception):
    """The client asks whether we are alive; answer with :data:`uwsgi_router.protocol.uwsgi.PONG`."""

    answer: ClassVar[bytes] = PONG


class UwsgiRequest(Request):
    """A request that came as a packet.

    Attributes:
        packet: header and variables as received.
        rest: bytes that arrived behind the packet.
    """

    __slots__ = ("_front", "_head", "_keep_modifiers", "_variables", "packet", "rest")

    def __init__(
        self,
        *,
        key: bytes,
        key_is_host: bool,
        method: bytes,
        content_length: int,
        client: bytes,
        path: bytes,
        packet: bytes,
        rest: bytes,
        keep_modifiers: bool = False,
        variables: list[tuple[bytes, bytes]] | None = None,
        front: "UwsgiFront | None" = None,
    ) -> None:
        super().__init__(
            key=key,
            key_is_host=key_is_host,
            method=method,
            content_length=content_length,
            client=client,
            path=path,
        )
        self.packet = packet
        self.rest = rest
        self._keep_modifiers = keep_modifiers
        self._variables = variables
        self._front = front
        self._head: RequestHead | None = None

    def packet_for(self, modifiers: tuple[int, int]) -> bytes:
        """Return the packet as received, but for its modifiers.

        Everything else is forwarded untouched (wire sheet 1.6): a client over uwsgi is trusted, and nothing is parsed
        twice.
        """
        packet = self.packet
        if self._keep_modifiers or (packet[0] == modifiers[0] and packet[3] == modifiers[1]):
            return packet
        return bytes((modifiers[0],)) + packet[1:3] + bytes((modifiers[1],)) + packet[4:]

    def head_for_http(self) -> bytes:
        """Return the request that the variables tell of.

        Raises:
            Failure: if HTTP can't say it, or could be read as something else.
        """
        head = self.http_head
        return request_head(
            head,
            None,
            content_length=head.content_length,
            chunked=False,
            expect=head.expect_continue,
            tunnel=head.websocket,
        )

    @property
    def http_head(self) -> RequestHead:
        """What the variables tell of, as HTTP."""
        if self._head is None:
            if self._variables is None:
                self._variables = decode_variables(self.packet[HEADER_SIZE:])
                if self._front is not None:
                    self._front.wants_all()
            try:
                self._head = head_from_variables(self._variables)
            except HttpError as exc:
                raise Failure(HTTPStatus(exc.status), exc.reason, f"as HTTP: {exc.text}") from exc
            self.tunnel = self._head.websocket
        return self._head

    @property
    def size(self) -> int:
        """Bytes of the packet."""
        return len(self.packet)


class UwsgiFront:
    """Reads requests from uwsgi packets.

    Args:
        force_key: the key of every request, or None (``fastrouter-force-key``).
        keep_modifiers: modifiers go to the node as they came; then those that run code are refused.
    """

    def __init__(self, *, force_key: bytes | None, keep_modifiers: bool) -> None:
        self._force_key = force_key
        self._keep_modifiers = keep_modifiers
        self._wanted: frozenset[bytes] | None = _WANTED

    def wants_all(self) -> None:
        """A node speaks HTTP: from now on packets are decoded once, and whole."""
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
        found = decode_variables(packet[HEADER_SIZE:], self._wanted)
        values = dict(found)
        length = values.get(b"CONTENT_LENGTH", b"")
        if len(values) != len(found):
            _check_lengths(found)
        key, is_host = values.get(b"HTTP_HOST", b""), True
        if not 0 < len(key) <= MAX_KEY or len(values) != len(found) or _KEY in values:
            key, is_host = _key_of(found)
        if self._force_key is not None:
            key, is_host = self._force_key, False
        if not key:
            raise Failure(
                HTTPStatus.BAD_REQUEST,
                "no-key",
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
            variables=None if self._wanted is not None else found,
            front=self,
        )

    @staticmethod
    def response_head(head: ResponseHead, length: int | None) -> bytes:
        """Return the head of an answer for a web server that reads it to the end of the connection.

        Args:
            head: of a node that speaks HTTP.
            length: bytes of the body; None if they are not known. Chunks are taken apart: ``uwsgi_pass`` does not.
        """
        lines = [head.start, *head.lines]
        if head.status == HTTPStatus.SWITCHING_PROTOCOLS:
            lines.append(b"Upgrade: %b\r\nConnection: Upgrade" % head.upgrade)
        elif length:
            lines.append(b"Content-Length: %d" % length)
        elif head.content_length is not None and head.status != HTTPStatus.NO_CONTENT:
            lines.append(b"Content-Length: %d" % head.content_length)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    @staticmethod
    def answer(failure: Failure, request_id: str) -> bytes:
        """Return the answer that a web server in front passes on (``fastrouter-errors=http``)."""
        body = f"{failure.status.value} {failure.status.phrase}: {failure.text}\nrequest {request_id}\n".encode(
            "ascii", "backslashreplace"
        )
        lines = [
            f"HTTP/1.1 {failure.status.value} {failure.status.phrase}",
            "Content-Type: text/plain; charset=us-ascii",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            f"X-Uwsgi-Router-Request: {request_id}",
            f"X-Uwsgi-Router-Reason: {failure.reason}",
        ]
        if failure.status is HTTPStatus.SERVICE_UNAVAILABLE:
            lines.append("Retry-After: 1")
        lines.append("Connection: close")
        return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


def _key_of(found: list[tuple[bytes, bytes]]) -> tuple[bytes, bool]:
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
