"""One end of a connection, read strictly; every byte is remembered."""

import ssl

from tests.pairs.lab import Peer
from tests.pairs.wire import Head
from uwsgi_router.protocol.uwsgi import decode_header, decode_variables


class Ended(Exception):
    """The connection ended inside a message."""


class Wire:
    """One end of a connection.

    Attributes:
        heard: bytes that came.
        said: how many were sent.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.heard = b""
        self.said = 0
        self.end = ""
        self._at = 0

    async def send(self, data: bytes) -> None:
        self.said += len(data)
        await self.peer.send(data)

    async def _more(self) -> None:
        try:
            data = await self.peer.some()
        except (ConnectionResetError, ssl.SSLEOFError):
            # An answer that was cut off: over TLS there is no close_notify, be it by a reset or not.
            self.end = "reset"
            raise Ended from None
        if not data:
            self.end = "closed"
            raise Ended
        self.heard += data

    def _take(self, size: int) -> bytes:
        data = self.heard[self._at : self._at + size]
        self._at += len(data)
        return data

    async def until(self, end: bytes) -> bytes:
        while (at := self.heard.find(end, self._at)) < 0:
            await self._more()
        return self._take(at + len(end) - self._at)[: -len(end)]

    async def exactly(self, size: int) -> bytes:
        while len(self.heard) < self._at + size:
            await self._more()
        return self._take(size)

    async def rest(self) -> bytes:
        """Everything up to the end."""
        try:
            while True:
                await self._more()
        except Ended:
            return self._take(len(self.heard))

    async def whatever_is_there(self) -> None:
        """Read what has come, if only to have read it: over TLS a read gives one record, however many came at once."""
        while self.peer.now() == "surplus":
            await self._more()

    @property
    def pending(self) -> bytes:
        """What came and was not read."""
        return self.heard[self._at :]

    async def head(self) -> Head:
        start, *lines = (await self.until(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return Head.of(start, *((name.lower(), value) for name, value in pairs))

    async def packet(self) -> Head:
        head = await self.exactly(4)
        modifier1, size, modifier2 = decode_header(head)
        variables = decode_variables(await self.exactly(size))
        pairs = ((name.decode(), value.decode()) for name, value in variables)
        return Head.of(f"modifiers {modifier1} {modifier2}", *pairs)

    async def chunk(self) -> bytes:
        """The next chunk; one with an extension is none."""
        size = int(await self.until(b"\r\n"), 16)
        data = await self.exactly(size)
        assert await self.exactly(2) == b"\r\n"
        return data
