"""Lean bulk node: reads a request's body to its end, and answers so many bytes.

``python -m bench.bulk_node ADDRESS http|uwsgi BYTES``. Over HTTP connections are kept.
"""

import re
import socket
import sys

from bench.node import packet
from bench.talks import Reading, Talk, discard, listener, receive, send, serve
from uwsgi_router.protocol.uwsgi import HEADER_SIZE, decode_header, decode_variables

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_NO_LENGTH = b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def whole_answer(size: int) -> bytes:
    """Return an answer with so many bytes of body."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
    )
    return head % size + b"\xa5" * size


def http_head(sock: socket.socket) -> Reading:
    """Return a message's head and what came behind it; b"" if the connection ended before it was whole."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = yield from receive(sock)
        if not data:
            return b""
        received += data
    return received


def http(sock: socket.socket, answer: bytes) -> Talk:
    """Answer one request after the other."""
    try:
        while received := (yield from http_head(sock)):
            head, _, body = received.partition(b"\r\n\r\n")
            if _CHUNKED.search(head):
                yield from send(sock, _NO_LENGTH)
                return
            length = _LENGTH.search(head)
            if length is not None:
                yield from discard(sock, int(length[1]) - len(body))
            yield from send(sock, answer)
    except ConnectionError:
        return  # whoever asked has gone


def uwsgi(sock: socket.socket, answer: bytes) -> Talk:
    """Answer one request."""
    try:
        received = yield from packet(sock)
        if not received:
            return
        end = HEADER_SIZE + decode_header(received)[1]
        variables = dict(
            decode_variables(received[HEADER_SIZE:end], frozenset({b"CONTENT_LENGTH"}))
        )
        length = int(variables.get(b"CONTENT_LENGTH") or 0)
        yield from discard(sock, length - (len(received) - end))
        yield from send(sock, answer)
    except ConnectionError:
        return  # whoever asked has gone


def main() -> None:
    """Serve."""
    address, protocol, size = sys.argv[1:]
    answer = whole_answer(int(size))
    talk = {"http": http, "uwsgi": uwsgi}[protocol]
    serve(listener(address), lambda sock: talk(sock, answer))


if __name__ == "__main__":
    main()
