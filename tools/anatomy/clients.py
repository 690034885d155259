"""Lockstep clients: all of them write, then all of them read, again and again.

So a router has the same things to do in every run: exactly so many requests, never more than
:data:`CONNECTIONS` at a time.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Protocol

from bench.programs import MeasureError

CONNECTIONS = 16
#: Bytes of body in the nodes' answers.
BODY = 12

#: Seconds that an answer may take: under valgrind everything takes fifty times as long.
_PATIENCE = 60.0


class Clients(Protocol):
    """Clients of a router."""

    def ask(self, count: int) -> None:
        """Have exactly so many requests answered.

        Raises:
            MeasureError: if an answer is not what a node sent, or does not come.
        """


class Kept:
    """Clients that keep their connections.

    Args:
        connections: connected.
        requests: what to send, in turn, for ever.
    """

    def __init__(self, connections: Sequence[socket.socket], requests: Sequence[bytes]) -> None:
        self._connections = connections
        self._requests = cycle(requests)

    def ask(self, count: int) -> None:
        """See :class:`Clients`."""
        with _in_one_sentence():
            for size in _rounds(count):
                asking = self._connections[:size]
                for sock, request in zip(asking, islice(self._requests, size), strict=True):
                    sock.sendall(request)
                for sock in asking:
                    _check(_answer(sock))


class Passing:
    """Clients of a UNIX socket that make a connection for each request; its end is the answer's.

    Args:
        path: of the socket.
        requests: what to send, in turn, for ever.
    """

    def __init__(self, path: str, requests: Sequence[bytes]) -> None:
        self._path = path
        self._requests = cycle(requests)

    def ask(self, count: int) -> None:
        """See :class:`Clients`."""
        with _in_one_sentence():
            for size in _rounds(count):
                self._round(size)

    def _round(self, size: int) -> None:
        asking = [socket.socket(socket.AF_UNIX) for _ in range(size)]
        try:
            for sock in asking:
                sock.settimeout(_PATIENCE)
                sock.connect(self._path)
            for sock, request in zip(asking, islice(self._requests, size), strict=True):
                sock.sendall(request)
            for sock in asking:
                _check(b"".join(iter(lambda sock=sock: sock.recv(65536), b"")))  # type: ignore[misc]
                sock.close()
        finally:
            for sock in asking:
                sock.close()


def connect(port: int) -> list[socket.socket]:
    """Return as many connections as :class:`Kept` needs."""
    connections = []
    for _ in range(CONNECTIONS):
        sock = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections.append(sock)
    return connections


def _rounds(count: int) -> Iterator[int]:
    """Yield how many ask in each round."""
    while count > 0:
        yield min(count, CONNECTIONS)
        count -= CONNECTIONS


def _answer(sock: socket.socket) -> bytes:
    """Return a whole answer, what there is of it if the connection ends."""
    received = sock.recv(65536)
    while len(received.partition(b"\r\n\r\n")[2]) < BODY and (data := sock.recv(65536)):
        received += data
    return received


def _check(answer: bytes) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 ") or len(body) != BODY:
        raise MeasureError(f"a request was answered with {answer[:80]!r} ({len(answer)} bytes)")


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise MeasureError(f"a request was not answered: {exc}") from exc
