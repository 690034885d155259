"""An HTTP/1.1 client that forgives nothing: a response is as RFC 9112 has it, or an error.

It shares no code with the router, and does not use ``http.client``, which reads past much.
"""

import re
import select
import socket
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

#: Seconds that any byte may take to come.
PATIENCE = 10.0

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)\r\n")
_FIELD = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[\x21-\x7e\x80-\xff]"
    rb"(?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*\r\n"
)
_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})\r\n")


class BadResponse(AssertionError):
    """What came is not one whole response; ``str()`` says why."""


class Ended(BadResponse):
    """The connection ended before the first byte of a response.

    Attributes:
        how: "closed" or "reset".
    """

    def __init__(self, how: str) -> None:
        super().__init__(f"the connection was {how} before a response")
        self.how = how


@dataclass(frozen=True, slots=True)
class Response:
    """One response, its body decoded.

    Attributes:
        minor: of HTTP/1.minor.
        fields: (lower-case name, value) in order.
        framing: how the body ended: "none", "length", "chunked" or "eof".
    """

    status: int
    minor: int
    reason: str
    fields: tuple[tuple[str, str], ...]
    framing: str = "none"
    body: bytes = field(default=b"", repr=False)

    def get(self, name: str) -> str | None:
        """The values of a field, joined; None if there is none."""
        values = [value for other, value in self.fields if other == name]
        return ", ".join(values) if values else None

    @property
    def closes(self) -> bool:
        """True if it announces that the connection ends with it."""
        tokens = {token.strip().lower() for token in (self.get("connection") or "").split(",")}
        if self.minor == 0 and self.status != 101:
            return "keep-alive" not in tokens
        return "close" in tokens or self.framing == "eof"


class Client:
    """One connection. Use it in ``with``."""

    def __init__(self, address: str, patience: float = PATIENCE) -> None:
        if address.startswith("/"):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(patience)
            self.sock.connect(address)
        else:
            host, port = address.rsplit(":", 1)
            self.sock = socket.create_connection((host, int(port)), patience)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        #: Bytes that came and that no response has taken yet.
        self.pending = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.sock.close()

    # --- sending ---

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)

    def request(
        self,
        method: str,
        target: str,
        *fields: str,
        host: str = "example.com",
        body: bytes = b"",
    ) -> None:
        """Send a request; Content-Length is added if there is a body and no field frames it."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
        framed = any(line.lower().startswith(("content-length:", "transfer-")) for line in fields)
        if body and not framed:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join((*lines, "", "")).encode("latin-1") + body)

    def get(self, target: str, *fields: str, host: str = "example.com") -> Response:
        """Send a GET and read the final response."""
        self.request("GET", target, *fields, host=host)
        return self.final()

    def post(self, target: str, body: bytes, *fields: str, host: str = "example.com") -> Response:
        """Send a POST with this body and read the final response."""
        self.request("POST", target, *fields, host=host, body=body)
        return self.final()

    def half_close(self) -> None:
        """End sending."""
        self.sock.shutdown(socket.SHUT_WR)

    # --- receiving ---

    def readable(self, seconds: float) -> bool:
        """True if bytes, or the end, are there or come in that time."""
        return bool(self.pending or select.select([self.sock], [], [], seconds)[0])

    def more(self) -> bool:
        """Receive some bytes into ``pending``; False at the end.

        Raises:
            ConnectionResetError: if the connection was reset.
            TimeoutError: if nothing came.
        """
        data = self.sock.recv(1 << 18)
        self.pending += data
        return bool(data)

    def final(self, method: str = "GET") -> Response:
        """Read the next response that is not 1xx (101 is final)."""
        while True:
            response = self.response(method)
            if response.status >= 200 or response.status == 101:
                return response

    def response(self, method: str = "GET") -> Response:
        """Read one response, 1xx too; ``method`` is that of its request.

        Raises:
            Ended: if there is none.
            BadResponse: if it is not well-formed, or not whole.
        """
        head = self.head()
        if head.status < 200 or head.status in {204, 304}:
            for name in ("content-length", "transfer-encoding"):
                if head.get(name) is not None and head.status != 304:
                    raise BadResponse(f"{head.status} with {name}")
            return head
        framing = self._framing(head)
        if method == "HEAD":
            return head
        body = b"".join(self.body(head, framing))
        return Response(head.status, head.minor, head.reason, head.fields, framing, body)

    def head(self) -> Response:
        """Read a response's head only."""
        try:
            while b"\r\n\r\n" not in self.pending:
                if len(self.pending) > 65_536:
                    raise BadResponse("a head of more than 64 KiB")
                if not self.more():
                    if self.pending:
                        raise BadResponse(f"it ended inside a head: {self.pending[:200]!r}")
                    raise Ended("closed")
        except ConnectionResetError:
            if self.pending:
                raise BadResponse(f"reset inside a head: {self.pending[:200]!r}") from None
            raise Ended("reset") from None
        head, _, self.pending = self.pending.partition(b"\r\n\r\n")
        return _parse(head + b"\r\n")

    def body(self, head: Response, framing: str | None = None) -> "list[bytes]":
        """Read the body that belongs to a head, in the pieces that it came in."""
        framing = framing or self._framing(head)
        if framing == "length":
            return [self.exactly(int(head.get("content-length") or ""))]
        if framing == "eof":
            return [self.rest()]
        pieces = []
        while piece := self.chunk():
            pieces.append(piece)
        return pieces

    def chunk(self) -> bytes:
        """Read one chunk; b"" is the last one, and its CRLF was read (trailers are refused)."""
        while b"\r\n" not in self.pending:
            self._need("inside a chunk's size")
        found = _SIZE.match(self.pending)
        if found is None:
            raise BadResponse(f"a bad chunk size: {self.pending[:40]!r}")
        size = int(found[1], 16)
        self.pending = self.pending[found.end() :]
        data = self.exactly(size)
        if self.exactly(2) != b"\r\n":
            raise BadResponse("no CRLF behind a chunk")
        return data

    def exactly(self, size: int) -> bytes:
        """Read so many bytes."""
        while len(self.pending) < size:
            self._need(f"after {len(self.pending)} of {size} bytes of a body")
        data, self.pending = self.pending[:size], self.pending[size:]
        return data

    def count(self, size: int) -> bool:
        """Read so many bytes and forget them; False if the end came before."""
        size -= len(self.pending)
        self.pending = b""
        buffer = bytearray(1 << 18)
        while size > 0:
            got = self.sock.recv_into(buffer, min(size, len(buffer)))
            if not got:
                return False
            size -= got
        return True

    def rest(self) -> bytes:
        """Read up to the end; a reset is an error."""
        try:
            while self.more():
                pass
        except ConnectionResetError:
            raise BadResponse(f"reset after {len(self.pending)} bytes of a body") from None
        data, self.pending = self.pending, b""
        return data

    def ending(self) -> tuple[bytes, str]:
        """Everything up to the end, and how it ended: "closed", "reset", or "open" if it did not."""
        how = "closed"
        try:
            while self.more():
                pass
        except ConnectionResetError:
            how = "reset"
        except TimeoutError:
            how = "open"
        data, self.pending = self.pending, b""
        return data, how

    def _need(self, where: str) -> None:
        try:
            if self.more():
                return
        except ConnectionResetError:
            where += " by a reset"
        raise BadResponse(f"it ended {where}")

    def _framing(self, head: Response) -> str:
        coding, length = head.get("transfer-encoding"), head.get("content-length")
        if coding is not None:
            if coding != "chunked" or length is not None or not head.minor:
                raise BadResponse(f"bad framing: {coding=} {length=} HTTP/1.{head.minor}")
            return "chunked"
        if length is None:
            return "eof"
        if not re.fullmatch("[0-9]{1,18}", length):
            raise BadResponse(f"Content-Length: {length}")
        return "length"


def _parse(head: bytes) -> Response:
    """Parse the lines of a head, each with its CRLF."""
    status = _STATUS.match(head)
    if status is None:
        raise BadResponse(f"a bad status line: {head[:100]!r}")
    fields = []
    position = status.end()
    while position < len(head):
        found = _FIELD.match(head, position)
        if found is None:
            raise BadResponse(f"a bad field: {head[position : position + 100]!r}")
        fields.append((found[1].decode().lower(), found[2].decode("latin-1")))
        position = found.end()
    return Response(int(status[2]), int(status[1]), status[3].decode("latin-1"), tuple(fields))
