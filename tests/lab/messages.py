"""What clients and nodes say: packets, HTTP requests and answers; and a message as it was read."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from uwsgi_router.protocol.uwsgi import decode_header, decode_variables, encode_packet

HOST = "example.com"
KEY = HOST.encode()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# --- uwsgi ---


def packet(
    variables: Iterable[tuple[str, str]] = (), *, modifier1: int = 0, modifier2: int = 0
) -> bytes:
    """A request's packet of exactly these variables."""
    return encode_packet(
        [(name.encode(), value.encode("latin-1")) for name, value in variables],
        modifier1,
        modifier2,
    )


def request(
    method: str = "GET", *, host: str = HOST, length: int | None = None, **more: str
) -> bytes:
    """The packet of an ordinary request, as nginx would send it."""
    variables = [("REQUEST_METHOD", method), ("HTTP_HOST", host), *more.items()]
    variables.append(("CONTENT_LENGTH", "" if length is None else str(length)))
    return packet(variables)


def from_web_server(
    path: str = "/", query: str = "", *, length: int = 0, protocol: str = "HTTP/1.1"
) -> bytes:
    """The packet of a request with all that applications look for."""
    return packet(
        {
            "REQUEST_METHOD": "POST" if length else "GET",
            "REQUEST_URI": f"{path}?{query}" if query else path,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(length or ""),
            "SERVER_PROTOCOL": protocol,
            "SERVER_NAME": HOST,
            "SERVER_PORT": "80",
            "HTTP_HOST": HOST,
        }.items()
    )


@dataclass(frozen=True)
class Packet:
    """What a uwsgi node was sent."""

    raw: bytes

    @property
    def modifiers(self) -> tuple[int, int]:
        modifier1, _, modifier2 = decode_header(self.raw)
        return modifier1, modifier2

    @property
    def variables(self) -> dict[bytes, bytes]:
        return dict(decode_variables(self.raw[4:]))

    @property
    def length(self) -> int:
        return int(self.variables.get(b"CONTENT_LENGTH") or 0)


# --- HTTP ---


def ask(
    target: str = "/",
    *lines: str,
    method: str = "GET",
    host: str | None = HOST,
    version: str = "1.1",
    body: bytes | None = None,
) -> bytes:
    """A request; ``body`` is announced with its length and sent with it."""
    all_lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        all_lines.append(f"Host: {host}")
    all_lines += lines
    if body is not None:
        all_lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*all_lines, "", "")).encode("latin-1") + (body or b"")


def post(body: bytes, target: str = "/", *lines: str, method: str = "POST") -> bytes:
    return ask(target, *lines, method=method, body=body)


def chunks(*pieces: bytes) -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def says(
    body: bytes = b"ok",
    *lines: str,
    status: str = "200 OK",
    version: str = "1.1",
    length: bool = True,
) -> bytes:
    """An answer."""
    head = [f"HTTP/{version} {status}", *lines]
    if length:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*head, "", "")).encode("latin-1") + body


def status_of(answer: bytes) -> int:
    """The status of an HTTP answer."""
    return int(answer.split(b" ", 2)[1])


@dataclass
class Message:
    """A request or an answer that was read.

    Attributes:
        start: the first line; a uwsgi request's is made of its variables.
        fields: (lower-case name, value) in order.
        body: decoded.
        framing: how the body ended: "none", "length", "chunked" or "end".
        whole: False if the connection ended inside it.
        connection: number of the node's connection that it came over, from 1.
        first: whether it was the first on that connection.
        variables: of a uwsgi request.
    """

    start: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = field(default=b"", repr=False)
    framing: str = "none"
    whole: bool = True
    connection: int = 0
    first: bool = True
    variables: dict[bytes, bytes] = field(default_factory=dict, repr=False)

    @property
    def status(self) -> int:
        return int(self.start.split(b" ", 2)[1])

    @property
    def method(self) -> bytes:
        return self.start.split(b" ", 1)[0]

    @property
    def target(self) -> bytes:
        return self.start.split(b" ", 2)[1]

    def get(self, name: str) -> bytes | None:
        """All values of a field, joined."""
        values = self.values(name)
        return b", ".join(values) if values else None

    def values(self, name: str) -> list[bytes]:
        """Of each field of that name."""
        return [value for other, value in self.fields if other == name.encode()]

    @property
    def closes(self) -> bool:
        """True if the connection ends with this answer."""
        tokens = {token.strip() for token in (self.get("connection") or b"").lower().split(b",")}
        if self.start.startswith(b"HTTP/1.0 "):
            return b"keep-alive" not in tokens
        return b"close" in tokens or self.framing == "end"
