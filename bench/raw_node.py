"""Lean node of any protocol: sends for ever, reads for ever, or sends back what it reads.

``python -m bench.raw_node ADDRESS source|sink|echo``.
"""

import socket
import sys

from bench.talks import Talk, discard, listener, receive, send, serve

_PIECE = bytes(1 << 18)
_FOREVER = 1 << 62


def source(sock: socket.socket) -> Talk:
    """Send until nobody reads any more."""
    try:
        while True:
            yield from send(sock, _PIECE)
    except ConnectionError:
        return


def sink(sock: socket.socket) -> Talk:
    """Read until nobody sends any more."""
    try:
        yield from discard(sock, _FOREVER)
    except ConnectionError:
        return


def echo(sock: socket.socket) -> Talk:
    """Send everything back."""
    try:
        while data := (yield from receive(sock)):
            yield from send(sock, data)
    except ConnectionError:
        return


def main() -> None:
    """Serve."""
    address, kind = sys.argv[1:]
    serve(listener(address), {"source": source, "sink": sink, "echo": echo}[kind])


if __name__ == "__main__":
    main()
