"""Conversations on one epoll, of which lean nodes and generators are made.

A conversation is a generator over one socket. It yields the epoll events that it waits for, and its
connection is closed when it ends. There is no event loop below it and nothing is allocated for a
step but what the conversation itself needs.
"""

import os
import resource
import select
import socket
import sys
import time
from collections.abc import Callable, Generator
from typing import TypeAlias

IN, OUT = select.EPOLLIN, select.EPOLLOUT

Talk: TypeAlias = Generator[int, None, None]
Reading: TypeAlias = Generator[int, None, bytes]

#: Every so many seconds without an event a program looks whether its parent is still there.
_LOOK = 1.0


class Talks:
    """Conversations that go on at the same time.

    The program ends as soon as its parent has ended, so that nothing is left behind by a benchmark
    that was killed.

    Args:
        lifeline: a descriptor; the program ends when its other end is closed.
    """

    def __init__(self, lifeline: int | None = None) -> None:
        self._poll = select.epoll()
        self._open: dict[int, tuple[socket.socket, Talk, int]] = {}
        self._parent = os.getppid()
        self._lifeline = lifeline
        if lifeline is not None:
            self._poll.register(lifeline, 0)  # only that it is closed

    def start(self, sock: socket.socket, talk: Talk) -> None:
        """Let a conversation begin, at once."""
        sock.setblocking(False)
        events = next(talk, 0)
        if events:
            self._poll.register(sock, events)
            self._open[sock.fileno()] = (sock, talk, events)
        else:
            sock.close()

    def run(self, seconds: float = float("inf")) -> None:
        """Go on until the last conversation has ended.

        Raises:
            TimeoutError: if that takes longer than ``seconds``.
        """
        end = time.monotonic() + seconds
        while self._open:
            for fd, _events in self._poll.poll(_LOOK) or self._nothing():
                if fd == self._lifeline:
                    sys.exit("nobody waits for the result any more")
                self._resume(fd)
            if time.monotonic() > end:
                raise TimeoutError(f"{len(self._open)} connections do not come to an end")

    def _nothing(self) -> tuple[()]:
        if os.getppid() != self._parent:
            sys.exit("the program that started this one has ended")
        return ()

    def _resume(self, fd: int) -> None:
        sock, talk, before = self._open[fd]
        events = next(talk, 0)
        if not events:
            del self._open[fd]
            sock.close()  # epoll forgets it
        elif events != before:
            self._poll.modify(fd, events)
            self._open[fd] = (sock, talk, events)


def serve(sock: socket.socket, talk: Callable[[socket.socket], Talk]) -> None:
    """Accept for ever; ``talk`` makes each connection's conversation."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    talks = Talks()
    talks.start(sock, _accepting(sock, talks, talk))
    talks.run()


def _accepting(sock: socket.socket, talks: Talks, talk: Callable[[socket.socket], Talk]) -> Talk:
    while True:
        for _ in range(64):
            try:
                client, _peer = sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                break
            talks.start(client, talk(client))
        yield IN


def listener(address: str) -> socket.socket:
    """Return a listening socket on ``host:port`` or a path."""
    if address.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(address)
        os.chmod(address, 0o666)
    else:
        host, _, port = address.rpartition(":")
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
        sock.bind((host, int(port)))
    sock.listen(1024)
    return sock


def send(sock: socket.socket, data: bytes) -> Talk:
    """Send all of it.

    Raises:
        OSError: if the connection broke.
    """
    sent = 0
    view = memoryview(data)
    while sent < len(data):
        try:
            sent += sock.send(view[sent:])
        except BlockingIOError:
            yield OUT


def receive(sock: socket.socket) -> Reading:
    """Return what comes next, b"" if that is the end.

    Raises:
        OSError: if the connection broke.
    """
    while True:
        try:
            return sock.recv(65536)
        except BlockingIOError:
            yield IN


def at_least(sock: socket.socket, count: int) -> Reading:
    """Return the next bytes, so many or, if they are there, more.

    Raises:
        OSError: if the connection ended before, or broke.
    """
    received = b""
    while len(received) < count:
        data = yield from receive(sock)
        if not data:
            raise ConnectionResetError(
                f"the connection ended after {len(received)} of {count} bytes"
            )
        received += data
    return received


#: Where bodies go that nobody reads.
_SINK = bytearray(1 << 18)


def discard(sock: socket.socket, count: int) -> Talk:
    """Read so many bytes and forget them.

    Raises:
        OSError: if the connection ended before, or broke.
    """
    while count > 0:
        try:
            got = sock.recv_into(_SINK, min(count, len(_SINK)))
        except BlockingIOError:
            yield IN
            continue
        if not got:
            raise ConnectionResetError(f"the connection ended {count} bytes too early")
        count -= got
