"""Ends of connections that a test holds: on its event loop, or blocking."""

import asyncio
import select
import socket
import struct
from types import TracebackType
from typing import Self

from tests.lab.messages import HOST, Message, Packet, ask
from tests.lab.reader import Reader, Steps, T
from tests.lab.waiting import PATIENCE
from uwsgi_router.protocol.uwsgi import decode_header

_LINGER_RESET = struct.pack("ii", 1, 0)


class End(Reader):
    """One end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.sock = sock

    def eof(self) -> None:
        """End sending."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self.sock.close()


class Peer(End):
    """A test's end of a connection on the event loop: of a client, or of a node."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        sock.setblocking(False)
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._loop.sock_sendall(self.sock, data)

    async def send_until_stuck(self, most: int) -> int:
        """Send up to ``most`` bytes, until nobody has taken one for a moment; return how many."""
        sent = quiet = 0
        while quiet < 20 and sent < most:
            try:
                sent += self.sock.send(bytes(65_536))
                quiet = 0
            except BlockingIOError:
                quiet += 1
                await asyncio.sleep(0.005)
        return sent

    def now(self) -> str:
        """What there is to read now: the end ("closed"), bytes ("surplus"), or nothing ("kept")."""
        try:
            return "surplus" if self.sock.recv(1, socket.MSG_PEEK) else "closed"
        except BlockingIOError:
            return "kept"

    async def some(self, size: int = 65_536) -> bytes:
        """The next bytes; b"" at the end."""
        if self.pending:
            data = bytes(self.pending[:size])
            del self.pending[:size]
            return data
        async with asyncio.timeout(PATIENCE):
            return await self._loop.sock_recv(self.sock, size)

    async def rest(self) -> bytes:
        """Everything up to the end."""
        data = bytearray()
        while more := await self.some():
            data += more
        return bytes(data)

    async def ending(self) -> tuple[bytes, str]:
        """Everything up to the end, and how it ended: "closed" or "reset"."""
        data = bytearray()
        try:
            while more := await self.some():
                data += more
        except ConnectionResetError:
            return bytes(data), "reset"
        return bytes(data), "closed"

    async def exactly(self, size: int) -> bytes:
        return await self._read(self._take(size))

    async def packet(self) -> Packet:
        head = await self.exactly(4)
        return Packet(head + await self.exactly(decode_header(head)[1]))

    async def head(self) -> Message:
        return await self._read(self._take_head())

    async def either_head(self, *, http: bool) -> None:
        """Read a head of either protocol."""
        await (self.head() if http else self.packet())

    async def chunk(self) -> bytes:
        return await self._read(self._take_chunk())

    async def chunks(self) -> bytes:
        """A whole body in chunks."""
        return await self._read(self._take_chunks())

    async def body(self, head: Message) -> Message:
        """The body behind a head that was read."""
        return await self._read(self._take_body(head))

    async def request(self) -> Message:
        """A whole request."""
        return await self._read(self._take_request())

    async def answer(self, method: str = "GET") -> Message:
        """A whole answer, an interim one too."""
        return await self._read(self._take_answer(method))

    async def _receive(self) -> str:
        try:
            async with asyncio.timeout(PATIENCE):
                data = await self._loop.sock_recv(self.sock, 65_536)
        except ConnectionResetError:
            return "reset"
        self.pending += data
        return "" if data else "closed"

    async def _read(self, steps: Steps[T]) -> T:
        try:
            next(steps)
            while True:
                steps.send(await self._receive())
        except StopIteration as stop:
            value: T = stop.value
            return value


class Client(End):
    """A connection that blocks, for tests of other processes. Use it in ``with``."""

    def __init__(self, address: str, patience: float = PATIENCE) -> None:
        super().__init__(connected(address, patience))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.sock.close()

    # --- sending ---

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)

    def request(
        self, method: str, target: str, *fields: str, host: str = HOST, body: bytes = b""
    ) -> None:
        """Send a request; Content-Length is added if there is a body and no field frames it."""
        framed = any(line.lower().startswith(("content-length:", "transfer-")) for line in fields)
        length = [f"Content-Length: {len(body)}"] if body and not framed else []
        self.send(ask(target, *fields, *length, method=method, host=host) + body)

    def get(self, target: str, *fields: str, host: str = HOST) -> Message:
        """Send a GET and read the final answer."""
        self.request("GET", target, *fields, host=host)
        return self.final()

    def post(self, target: str, body: bytes, *fields: str, host: str = HOST) -> Message:
        """Send a POST with this body and read the final answer."""
        self.request("POST", target, *fields, host=host, body=body)
        return self.final()

    # --- receiving ---

    def readable(self, seconds: float) -> bool:
        """True if bytes, or the end, are there or come in that time."""
        return bool(self.pending or select.select([self.sock], [], [], seconds)[0])

    def final(self, method: str = "GET") -> Message:
        """Read the next answer that is not 1xx (101 is final)."""
        while True:
            answer = self.answer(method)
            if answer.status >= 200 or answer.status == 101:
                return answer

    def answer(self, method: str = "GET") -> Message:
        """Read one answer, 1xx too; ``method`` is that of its request.

        Raises:
            Ended: if there is none.
            Bad: if it is not well-formed, or not whole.
        """
        return self._read(self._take_answer(method))

    def head(self) -> Message:
        return self._read(self._take_head())

    def chunk(self) -> bytes:
        return self._read(self._take_chunk())

    def exactly(self, size: int) -> bytes:
        return self._read(self._take(size))

    def count(self, size: int) -> bool:
        """Read so many bytes and forget them; False if the end came before."""
        size -= len(self._all())
        buffer = bytearray(1 << 18)
        while size > 0:
            got = self.sock.recv_into(buffer, min(size, len(buffer)))
            if not got:
                return False
            size -= got
        return True

    def rest(self) -> bytes:
        """Read up to the end; a reset is an error."""
        return self._read(self._take_rest())

    def ending(self) -> tuple[bytes, str]:
        """Everything up to the end, and how it ended: "closed", "reset", or "open" if it did not."""
        how = ""
        try:
            while not how:
                how = self._receive()
        except TimeoutError:
            how = "open"
        return self._all(), how

    def _receive(self) -> str:
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError:
            return "reset"
        self.pending += data
        return "" if data else "closed"

    def _read(self, steps: Steps[T]) -> T:
        try:
            next(steps)
            while True:
                steps.send(self._receive())
        except StopIteration as stop:
            value: T = stop.value
            return value


def answer_of(address: str, data: bytes) -> bytes:
    """Send this over a connection of its own, return everything up to the end."""
    with Client(address) as client:
        client.send(data)
        return client.rest()


def connected(address: str, patience: float = PATIENCE) -> socket.socket:
    """A blocking connection to ``host:port`` or a path."""
    if address.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(patience)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        return sock
    host, port = address.rsplit(":", 1)
    sock = socket.create_connection((host, int(port)), patience)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
