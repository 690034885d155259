"""Load generator of WebSocket round trips: small frames, one at a time on each connection.

``python -m bench.round_trips PORT CONNECTIONS SECONDS`` (see :mod:`bench.generator`).
"""

import random
import socket
import sys
from base64 import b64encode

from bench import heads
from bench.echo_node import masked
from bench.generator import Stretch
from bench.talks import Talk, at_least, send
from uwsgi_router.protocol.websocket import accept_key

#: Bytes of a message.
SIZE = 64
_BINARY = 0x82


def main() -> None:
    """Load a router."""
    port, connections, seconds = map(int, sys.argv[1:])
    stretch, numbers = Stretch(), random.Random(6)
    talks = []
    for head in heads.heads(heads.FROM_BROWSER, count=connections):
        sock = connect(port, head, numbers.randbytes(16))
        talks.append(
            (sock, round_trips(sock, numbers.randbytes(SIZE), numbers.randbytes(4), stretch))
        )
    stretch.run(talks, seconds)


def connect(port: int, head: heads.Head, nonce: bytes) -> socket.socket:
    """Return a connection after its handshake; end the program if it is refused."""
    key = b64encode(nonce)
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    upgrade = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key.decode()}\r\n\r\n"
    )
    sock.sendall((head.text.removesuffix("\r\n") + upgrade).encode())
    answer = b""
    while b"\r\n\r\n" not in answer and (data := sock.recv(4096)):
        answer += data
    accepted = answer.startswith(b"HTTP/1.1 101 ") and answer.endswith(b"\r\n\r\n")
    if not accepted or accept_key(key) not in answer:
        sys.exit(f"the handshake was refused: {answer[:60]!r}")
    return sock


def round_trips(sock: socket.socket, payload: bytes, mask: bytes, stretch: Stretch) -> Talk:
    """Send the same message again and again, each time when the one before has come back."""
    size = len(payload)
    frame = bytes((_BINARY, 0x80 | size)) + mask + masked(payload, mask)
    expected = bytes((_BINARY, size)) + payload
    try:
        while stretch.going():
            yield from send(sock, frame)
            answer = yield from at_least(sock, len(expected))
            if answer != expected:
                stretch.done.fail(f"{answer[:80]!r} is not the frame that was sent")
                return
            stretch.done.count += 1
    except ConnectionError as exc:
        stretch.done.fail(str(exc))


if __name__ == "__main__":
    main()
