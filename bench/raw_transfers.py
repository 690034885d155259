"""Load generator of raw connections: reads, or writes, megabytes; or small messages there and back.

``python -m bench.raw_transfers get|put|echo PORT CONNECTIONS SECONDS`` (see :mod:`bench.generator`). The node is
:mod:`bench.raw_node`. Each megabyte, and each message, counts.
"""

import socket
import sys
from collections.abc import Callable, Mapping

from bench.generator import Stretch
from bench.talks import Talk, at_least, discard, send

#: Bytes that count as one.
MEGABYTE = 1_000_000
#: Bytes of a message.
SIZE = 100

_PIECE = bytes(250_000)
_MESSAGE = bytes(range(SIZE))


def main() -> None:
    """Load a router."""
    kind, *numbers = sys.argv[1:]
    port, connections, seconds = map(int, numbers)
    stretch = Stretch()
    talks = []
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talks.append((sock, _talk(sock, KINDS[kind], stretch)))
    stretch.run(talks, seconds)


def _talk(sock: socket.socket, once: Callable[[socket.socket], Talk], stretch: Stretch) -> Talk:
    try:
        while stretch.going():
            yield from once(sock)
            stretch.done.count += 1
    except ConnectionError as exc:
        stretch.done.fail(str(exc))


def get(sock: socket.socket) -> Talk:
    """Read a megabyte."""
    yield from discard(sock, MEGABYTE)


def put(sock: socket.socket) -> Talk:
    """Write a megabyte."""
    for _ in range(MEGABYTE // len(_PIECE)):
        yield from send(sock, _PIECE)


def echo(sock: socket.socket) -> Talk:
    """Send a message, and read it back.

    Raises:
        ConnectionError: something else came.
    """
    yield from send(sock, _MESSAGE)
    answer = yield from at_least(sock, SIZE)
    if answer != _MESSAGE:
        raise ConnectionError(f"{answer[:80]!r} is not what was sent")


KINDS: Mapping[str, Callable[[socket.socket], Talk]] = {"get": get, "put": put, "echo": echo}


if __name__ == "__main__":
    main()
