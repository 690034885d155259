"""A node's end of a connection: read strictly, and remembered byte by byte."""

import re
import socket
from collections.abc import Callable

#: Seconds that a router may take to send what it has announced.
PATIENCE = 10.0

_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}")


class Cut(Exception):
    """The connection ended inside a message."""


class Wire:
    """A connection that is read through a buffer, and what was read since :meth:`mark`."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        self.sock = sock
        self._buffer = b""
        self._taken = bytearray()

    def mark(self) -> None:
        """Begin a message."""
        self._taken.clear()

    @property
    def waiting(self) -> bytes:
        """What came and was not taken."""
        return self._buffer

    @property
    def raw(self) -> bytes:
        """What was taken since, with what waits behind it."""
        return bytes(self._taken) + self._buffer

    @property
    def taken(self) -> bytes:
        """What was taken since."""
        return bytes(self._taken)

    def exactly(self, size: int) -> bytes:
        """Take so many bytes."""
        while len(self._buffer) < size:
            self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        self._taken += data
        return data

    def until(self, end: bytes) -> bytes:
        """Take bytes up to and without ``end``, which is taken too."""
        while end not in self._buffer:
            self._more()
        data, _, self._buffer = self._buffer.partition(end)
        self._taken += data + end
        return data

    def some(self) -> bytes:
        """Take whatever comes; b"" at the end."""
        if not self._buffer:
            try:
                self._more()
            except Cut:
                return b""
        data, self._buffer = self._buffer, b""
        return data

    def _more(self) -> None:
        try:
            data = self.sock.recv(65_536)
        except OSError:
            data = b""
        if not data:
            raise Cut
        self._buffer += data


def read_chunks(wire: Wire, complain: Callable[[str], None]) -> bytes:
    """Read a chunked body; extensions and trailers, which a router drops, are complained of."""
    body = bytearray()
    while True:
        size = wire.until(b"\r\n")
        if not _SIZE.fullmatch(size):
            complain(f"a chunk size {size[:40]!r}")
            raise Cut
        data = wire.exactly(int(size, 16))
        end = wire.exactly(2)
        if end != b"\r\n":
            complain(f"behind a chunk of {len(data)}: {end!r}")
            raise Cut
        if not data:
            return bytes(body)
        body += data


def until_end(wire: Wire) -> bytes:
    """Half-close, then take what comes."""
    wire.sock.shutdown(socket.SHUT_WR)
    data = b""
    while more := wire.some():
        data += more
    return data
