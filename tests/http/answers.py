"""What a recording node saw, and what it answers."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.http.wire import Wire

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_304 = b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'


@dataclass(frozen=True, slots=True)
class Seen:
    """One request at a node.

    Attributes:
        target: REQUEST_URI, or the target of the request line.
        path: PATH_INFO; of an HTTP node None: decoding is left to it.
        fields: lower-case name with ``-`` (from HTTP_X_Y or from the head) to values, in order.
        length: CONTENT_LENGTH as text; None if there was none.
        chunked: whether the body came in chunks.
        body: as decoded.
        whole: False if the connection ended before the message.
        raw: every byte of it.
        connection: number of the node's connection, from 1.
        first: whether it was the first on its connection.
        variables: of a uwsgi node, all.
    """

    method: str
    target: str
    path: str | None
    fields: dict[str, list[str]]
    length: str | None
    chunked: bool
    body: bytes
    whole: bool
    raw: bytes = field(repr=False)
    connection: int
    first: bool = True
    variables: dict[str, str] = field(repr=False, default_factory=dict)


#: Answers a request over its connection; returns whether that is kept.
Answer = Callable[..., bool]


def accept_key(key: str) -> str:
    """Sec-WebSocket-Accept of a key (RFC 6455, 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


def answer_by_path(wire: Wire, seen: Seen, *, closing: bool) -> bool:
    """Answer as the path asks: ``/204 /304 /nocl /ws /chunked /hints``; 200 otherwise.

    Returns:
        Whether the connection is kept.
    """
    send = wire.sock.sendall
    path = seen.target.partition("?")[0]
    if path == "/ws" and seen.fields.get("upgrade") == ["websocket"]:
        accept = accept_key(seen.fields["sec-websocket-key"][0])
        send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept.encode()
        )
        while data := wire.some():
            send(data)
        return False
    if path in {"/204", "/304"}:
        send(b"HTTP/1.1 204 No Content\r\n\r\n" if path == "/204" else _304)
        return not closing
    body = f"{seen.method} {seen.target} {len(seen.body)}\n".encode("latin-1")
    if path == "/nocl":
        # Without a length the end of the connection is the end of the answer.
        send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + body)
        return False
    if path == "/chunked" and not closing:
        send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        return True
    if path == "/hints":
        send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
    send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    send(b"" if seen.method == "HEAD" else body)
    return True
