"""Load generator of raw connections: reads, or writes, megabytes; or small messages there and back.

``python -m bench.raw_transfers get|put|echo|tls-get|tls-put PORT CONNECTIONS SECONDS`` (see :mod:`bench.generator`).
The node is :mod:`bench.raw_node`. Each megabyte, and each message, counts. Over TLS it is AES-128-GCM.
"""

import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from typing import Any

from bench.generator import Stretch
from bench.talks import Talk, at_least, discard, send

#: Bytes that count as one.
MEGABYTE = 1_000_000
#: Bytes of a message.
SIZE = 100

#: What the names of loads begin with whose connections are encrypted.
TLS = "tls-"

_RECORD = 16_384
_PIECE = bytes(250_000)
_MESSAGE = bytes(range(SIZE))


def main() -> None:
    """Load a router."""
    kind, *numbers = sys.argv[1:]
    port, connections, seconds = map(int, numbers)
    stretch, context = Stretch(), _context()
    talks = []
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if kind.startswith(TLS):
            sock = context.wrap_socket(sock)
        talks.append((sock, _talk(sock, KINDS[kind.removeprefix(TLS)], stretch)))
    stretch.run(talks, seconds)


class _Socket(ssl.SSLSocket):
    """TLS socket that says like any other that there is nothing yet, or no room."""

    def recv_into(self, *args: Any) -> int:
        """Read.

        Raises:
            BlockingIOError: there is nothing.
        """
        try:
            return super().recv_into(*args)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None

    def send(self, *args: Any) -> int:
        """Write, a record at most.

        Raises:
            BlockingIOError: there is no room.
        """
        data, *flags = args
        try:
            return super().send(data[:_RECORD], *flags)
        except ssl.SSLWantWriteError:
            raise BlockingIOError from None


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    context.sslsocket_class = _Socket
    return context


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
