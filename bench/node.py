"""Lean uwsgi node: reads one request packet, answers 12 bytes, closes. No parsing.

``python -m bench.node 127.0.0.1:3031`` or ``… /path/to.sock``. It must never be what limits a
measurement: one epoll, a few system calls a request.
"""

import socket
import sys

from bench.talks import Reading, Talk, listener, receive, send, serve

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello world\n"


def packet(sock: socket.socket) -> Reading:
    """Return a request's packet and what came behind it; b"" if the connection ended before it was whole."""
    data = yield from receive(sock)
    received = data
    while data and len(received) < 4 + int.from_bytes(received[1:3].ljust(2, b"\xff"), "little"):
        data = yield from receive(sock)
        received += data
    return received if data else b""


def answer(sock: socket.socket) -> Talk:
    """Answer one request."""
    try:
        if (yield from packet(sock)):
            yield from send(sock, ANSWER)
    except ConnectionError:
        return  # whoever asked has gone


if __name__ == "__main__":
    serve(listener(sys.argv[1]), answer)
