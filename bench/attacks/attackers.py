"""Attackers: what each kind of attack sends; one process has all connections of an attack.

``python -m bench.attacks.attackers KIND PORT CONNECTIONS`` connects, writes ``ready`` and goes on until it is ended.
Attackers are nicer than everybody else: what is measured is the router, not who gets a CPU.
"""

import os
import socket
import sys
from collections.abc import Callable

from bench.bulk_node import http_head
from bench.idle import raise_descriptors
from bench.talks import IN, OUT, Talk, Talks, receive, send

#: Makes the conversation of one connection.
Kind = Callable[[socket.socket], Talk]

_NICE = 10
#: Seconds for which connections are held that do nothing.
_HELD = 1.5
# Only that the other end is gone.
_NOTHING = 0x2000

_HOST = b"Host: attacked\r\n"
_GET = b"GET / HTTP/1.1\r\n" + _HOST + b"\r\n"
_UPGRADE = (
    b"GET / HTTP/1.1\r\n" + _HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_FRAMES = b"\x82\x80\x01\x02\x03\x04" * 20_000
_TEXT_FRAMES = b"\x81\x81\x01\x02\x03\x04\x60" * 20_000
_CHUNKED = b"POST / HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n"
_CHUNKS = b"1\r\nx\r\n" * 20_000
_LAST_CHUNK = b"0\r\n\r\n"
_UPLOAD_SIZE = 64 << 20
_UPLOAD = b"POST / HTTP/1.1\r\n" + _HOST + b"Content-Length: %d\r\n\r\n" % _UPLOAD_SIZE
_BLOCK = bytes(1 << 20)
_FIELDS = b"".join(b"X-%x: \r\n" % number for number in range(190))
_HEADS = (b"GET / HTTP/1.1\r\n" + _HOST + _FIELDS + b"\r\n") * 40


def frames(sock: socket.socket) -> Talk:
    """Send empty masked WebSocket frames."""
    yield from _frames(sock, _FRAMES)


def text_frames(sock: socket.socket) -> Talk:
    """Send text messages of one byte."""
    yield from _frames(sock, _TEXT_FRAMES)


def _frames(sock: socket.socket, data: bytes) -> Talk:
    yield from send(sock, _UPGRADE)
    yield from http_head(sock)
    while True:
        yield from send(sock, data)


def chunks(sock: socket.socket) -> Talk:
    """Send bodies in chunks of one byte."""
    while True:
        yield from send(sock, _CHUNKED)
        for _ in range(10):
            yield from send(sock, _CHUNKS)
        yield from send(sock, _LAST_CHUNK)
        yield from _answer(sock)


def unread(sock: socket.socket) -> Talk:
    """Ask for a large answer, and read nothing of it."""
    yield from send(sock, _GET)
    yield from _hold()


def churn(sock: socket.socket) -> Talk:
    """Make one request on a connection."""
    yield from send(sock, _GET)
    yield from _answer(sock)


def pipeline(sock: socket.socket) -> Talk:
    """Send requests without waiting for answers."""
    yield from _both_ways(sock, _GET * 2000)


def many_fields(sock: socket.socket) -> Talk:
    """Send heads of many short fields, likewise."""
    yield from _both_ways(sock, _HEADS)


def _both_ways(sock: socket.socket, data: bytes) -> Talk:
    view = memoryview(data)
    sent = 0
    while True:
        try:
            sent = (sent + sock.send(view[sent:])) % len(data)
        except BlockingIOError:
            pass
        try:
            if not sock.recv(1 << 16):
                return
        except BlockingIOError:
            pass
        yield IN | OUT


def refused(sock: socket.socket) -> Talk:
    """Send what is no request, and go on sending."""
    yield from _both_ways(sock, b"no request\r\n\r\n" + _BLOCK)


def dribble(sock: socket.socket) -> Talk:
    """Send a long head byte by byte."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    yield from send(sock, _GET[:-2] + b"X: ")
    for _ in range(7000):
        yield OUT
        yield from send(sock, b"x")


def half_request(sock: socket.socket) -> Talk:
    """Send the beginning of a request, and no more."""
    yield from send(sock, b"GET / HT")
    while (yield from receive(sock)):
        pass


def scrape(sock: socket.socket) -> Talk:
    """Ask for statistics."""
    yield from send(sock, b"GET / HTTP/1.0\r\n\r\n")
    yield from _rest(sock)


def scrape_metrics(sock: socket.socket) -> Talk:
    """Ask for metrics."""
    yield from send(sock, b"GET /metrics HTTP/1.0\r\n\r\n")
    yield from _rest(sock)


def uploads(sock: socket.socket) -> Talk:
    """Send large bodies."""
    while True:
        yield from send(sock, _UPLOAD)
        for _ in range(_UPLOAD_SIZE // len(_BLOCK)):
            yield from send(sock, _BLOCK)
        yield from _answer(sock)


def _hold() -> Talk:
    while True:
        yield _NOTHING


def _answer(sock: socket.socket) -> Talk:
    """Wait for an answer, which is short.

    Raises:
        ConnectionError: if there is none.
    """
    if not (yield from receive(sock)):
        raise ConnectionResetError("the connection ended before the answer")


def _rest(sock: socket.socket) -> Talk:
    while (yield from receive(sock)):
        pass


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        frames,
        text_frames,
        chunks,
        unread,
        churn,
        pipeline,
        many_fields,
        refused,
        dribble,
        half_request,
        scrape,
        scrape_metrics,
        uploads,
    )
}


def main() -> None:
    """Attack."""
    name, port, connections = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.nice(_NICE)
    raise_descriptors()
    if name == "datagrams":
        _flood(port)
    kind = KINDS[name]
    talks = Talks(lifeline=sys.stdin.fileno())
    for _ in range(connections):
        _begin(talks, kind, ("127.0.0.1", port))
    print("ready", flush=True)
    while True:
        try:
            talks.run(_HELD)
        except TimeoutError:
            pass
        if kind is unread:
            talks = Talks(lifeline=sys.stdin.fileno())
            for _ in range(connections):
                _begin(talks, kind, ("127.0.0.1", port))


def _begin(talks: Talks, kind: Kind, address: tuple[str, int]) -> None:
    """Connect, and connect again whenever the conversation has ended."""
    sock = socket.create_connection(address, timeout=10)
    talks.start(sock, _again(talks, kind, address, sock))


def _again(talks: Talks, kind: Kind, address: tuple[str, int], sock: socket.socket) -> Talk:
    try:
        yield from kind(sock)
    except OSError:
        pass
    _begin(talks, kind, address)


def _flood(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        print("ready", flush=True)
        while os.getppid() != 1:
            for _ in range(1000):
                try:
                    sock.send(b"junk" * 16)
                except OSError:
                    pass
    sys.exit()


if __name__ == "__main__":
    main()
