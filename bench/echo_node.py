"""Lean WebSocket echo server: sends every frame back.

``python -m bench.echo_node ADDRESS http|uwsgi``. It takes what :mod:`bench.round_trips` sends:
masked frames of up to 125 bytes.
"""

import re
import socket
import sys

from bench.bulk_node import http_head
from bench.node import packet
from bench.talks import Reading, Talk, listener, receive, send, serve
from uwsgi_router.protocol.uwsgi import HEADER_SIZE, decode_header, decode_variables
from uwsgi_router.protocol.websocket import accept_key

_KEY = re.compile(rb"\r\nsec-websocket-key:[ \t]*([^\r\n]+)", re.IGNORECASE)
_KEY_VARIABLE = b"HTTP_SEC_WEBSOCKET_KEY"
_SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)
#: To what is no handshake: somebody asks whether the router over us is up.
_UP = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nup\n"
#: Two bytes of head (final, binary; masked, length) and the mask.
_HEAD = 6


def http(sock: socket.socket) -> Talk:
    """Shake hands over HTTP, and echo."""
    return _talk(sock, _http_key(sock))


def uwsgi(sock: socket.socket) -> Talk:
    """Shake hands over uwsgi, and echo."""
    return _talk(sock, _uwsgi_key(sock))


def _http_key(sock: socket.socket) -> Reading:
    received = yield from http_head(sock)
    found = _KEY.search(received)
    return found[1] if found else b""


def _uwsgi_key(sock: socket.socket) -> Reading:
    received = yield from packet(sock)
    if not received:
        return b""
    block = received[HEADER_SIZE : HEADER_SIZE + decode_header(received)[1]]
    return dict(decode_variables(block, frozenset({_KEY_VARIABLE}))).get(_KEY_VARIABLE, b"")


def _talk(sock: socket.socket, key: Reading) -> Talk:
    try:
        asked = yield from key
        if not asked:
            yield from send(sock, _UP)
            return
        yield from send(sock, _SWITCH % accept_key(asked))
        received = b""
        while data := (yield from receive(sock)):
            answers, received = echo(received + data)
            if answers:
                yield from send(sock, answers)
    except ConnectionError:
        return  # whoever asked has gone


def echo(received: bytes) -> tuple[bytes, bytes]:
    """Return the frames that answer the whole frames in ``received``, and what is behind these."""
    answers = []
    while len(received) >= _HEAD:
        size = received[1] & 0x7F
        end = _HEAD + size
        if size > 125 or not received[1] & 0x80:
            raise ValueError(
                f"a frame that begins with {received[:2].hex()}: too long, or not masked"
            )
        if len(received) < end:
            break
        answers.append(bytes((received[0], size)) + masked(received[_HEAD:end], received[2:_HEAD]))
        received = received[end:]
    return b"".join(answers), received


def masked(payload: bytes, mask: bytes) -> bytes:
    """Return a payload with its mask put on or taken off."""
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return number.to_bytes(size, "big")


def main() -> None:
    """Serve."""
    address, protocol = sys.argv[1:]
    serve(listener(address), {"http": http, "uwsgi": uwsgi}[protocol])


if __name__ == "__main__":
    main()
