"""Nodes: one class that plays a script on each connection, or answers each request over uwsgi or HTTP."""

import asyncio
import contextlib
import select
import socket
import threading
from collections.abc import Awaitable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Literal

from tests.lab.clients import Peer
from tests.lab.messages import CONTINUE, Message, Packet
from tests.lab.reader import Bad, Cut, Ended, check_request
from tests.lab.scripts import Answerer, Script, always, answers_by_path
from tests.lab.waiting import PATIENCE
from uwsgi_router.protocol.uwsgi import decode_variables

Kind = Literal["http", "uwsgi"]


class Node:
    """A listener whose connections are played by a script, or by an answer to each request.

    What it reads as ``kind`` it reads strictly: what a router should not have sent fails the test.

    Attributes:
        address: ``host:port`` or the path.
        connections: how many it ever had.
        seen: requests that it read as ``kind``, also those whose body was cut off.
    """

    def __init__(
        self,
        listener: socket.socket,
        script: Script | None = None,
        *,
        kind: Kind = "http",
        answer: Answerer | None = None,
        continues: bool = False,
    ) -> None:
        listener.setblocking(False)
        self.listener = listener
        name = listener.getsockname()
        self.address: str = name if isinstance(name, str) else f"{name[0]}:{name[1]}"
        #: What it speaks, as announces call it.
        self.proto = kind
        self.connections = 0
        self.arrived: asyncio.Queue[Peer] = asyncio.Queue()
        self.seen: list[Message] = []
        self.errors: list[Exception] = []
        self._script = script or (self._http if kind == "http" else self._uwsgi)
        self.answer = answer or always()
        self._continues = continues
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[Peer] = set()
        asyncio.get_running_loop().add_reader(listener, self._accept)

    @property
    def requests(self) -> list[Message]:
        """The whole ones."""
        return [request for request in self.seen if request.whole]

    @property
    def bodies(self) -> list[bytes]:
        """Of the whole requests."""
        return [request.body for request in self.requests]

    async def next(self) -> Peer:
        """The next connection."""
        async with asyncio.timeout(PATIENCE):
            return await self.arrived.get()

    async def next_packet(self) -> tuple[Peer, Packet]:
        """The next connection and the packet that came over it."""
        peer = await self.next()
        return peer, await peer.packet()

    async def next_head(self) -> tuple[Peer, Message]:
        """The next connection and the head that came over it."""
        peer = await self.next()
        return peer, await peer.head()

    async def close(self) -> None:
        if self.listener.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.listener)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for peer in self._open:
            peer.close()
        self.listener.close()
        if self.errors:
            raise self.errors[0]

    def _accept(self) -> None:
        try:
            sock, _ = self.listener.accept()
        except BlockingIOError:
            return
        self.connections += 1
        peer = Peer(sock)
        self._open.add(peer)
        self.arrived.put_nowait(peer)
        task = asyncio.get_running_loop().create_task(self._play(peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _play(self, peer: Peer) -> None:
        try:
            await self._script(peer)
        except OSError:
            pass  # The router has closed: what the test looks at is at its other end.
        except Exception as exc:  # noqa: BLE001 - told to the test when it ends
            self.errors.append(exc)
        finally:
            peer.close()
            self._open.discard(peer)

    async def _http(self, peer: Peer) -> None:
        number, first = self.connections, True
        while True:
            head = await self._head(peer)
            check_request(head)
            head.connection, head.first, first = number, first, False
            if self._continues and head.get("expect"):
                await peer.send(CONTINUE)
            await self._record(head, peer.body(head))
            if not await self.answer(peer, head):
                return

    async def _head(self, peer: Peer) -> Message:
        try:
            return await peer.head()
        except Ended:
            raise
        except Cut as exc:
            raise Bad(str(exc)) from None  # No router ends inside a head.

    async def _uwsgi(self, peer: Peer) -> None:
        number = self.connections
        request = request_of(await peer.packet())
        request.connection = number
        await self._record(request, uwsgi_body(peer, request))
        if await self.answer(peer, request):
            peer.eof()
            # A router has nothing more to send; what it sends all the same would be a request.
            if more := await peer.rest():
                raise Bad(f"{len(more)} bytes after the request: {more[:80]!r}")

    async def _record(self, request: Message, body: Awaitable[object]) -> None:
        try:
            await body
        except Cut:
            request.whole = False
            raise
        finally:
            self.seen.append(request)


def request_of(packet: Packet) -> Message:
    """The head of a request that came as a packet."""
    variables = packet.variables
    if len(variables) != len(list(decode_variables(packet.raw[4:]))):
        raise Bad(f"a variable twice: {packet.raw!r}")
    start = b"%b %b HTTP/1.1" % (
        variables.get(b"REQUEST_METHOD", b""),
        variables.get(b"REQUEST_URI", b""),
    )
    fields = [
        (name[5:].lower().replace(b"_", b"-"), value)
        for name, value in variables.items()
        if name.startswith(b"HTTP_")
    ]
    return Message(start, fields, variables=variables)


async def uwsgi_body(peer: Peer, request: Message) -> None:
    """The body of a request that came as a packet: counted, or in chunks."""
    length = request.variables.get(b"CONTENT_LENGTH")
    chunked = request.variables.get(b"HTTP_TRANSFER_ENCODING", b"").lower() == b"chunked"
    if length and (chunked or str(int(length)).encode() != length):
        raise Bad(f"CONTENT_LENGTH {length!r}, chunked {chunked}")
    if chunked:
        request.framing = "chunked"
        request.body = await peer.chunks()
    elif length:
        request.framing = "length"
        try:
            request.body = await peer.exactly(int(length))
        except Cut:
            request.body = bytes(peer.pending)
            raise


@contextlib.contextmanager
def in_a_thread(
    kind: Kind = "http", script: Script | None = None, *, answer: Answerer | None = None
) -> Iterator[Node]:
    """A node with an event loop of its own, for tests that block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(PATIENCE)

    async def start() -> Node:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        return Node(listener, script, kind=kind, answer=answer or answers_by_path, continues=True)

    try:
        node: Node = run(start())
        try:
            yield node
        finally:
            run(node.close())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


# --- nodes that can't be connected ---


class Unreachable:
    """A listener with a full accept queue, until it becomes a node."""

    address: str

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._waiting: list[socket.socket] = []

    def listen(self) -> socket.socket:
        """Become a node: the waiting connections are gone, and new ones get through."""
        for sock in self._waiting:
            sock.close()
        self._listener.setblocking(False)
        self._listener.listen(100)
        while True:
            try:
                self._listener.accept()[0].close()
            except BlockingIOError:
                return self._listener.dup()

    def close(self) -> None:
        for sock in (self._listener, *self._waiting):
            sock.close()

    def _connect(self) -> tuple[socket.socket, int]:
        sock = socket.socket(self._listener.family)
        sock.setblocking(False)
        self._waiting.append(sock)
        return sock, sock.connect_ex(self._listener.getsockname())


class BlackHole(Unreachable):
    """A TCP socket with a full accept queue: the kernel drops every further SYN."""

    def __init__(self) -> None:
        super().__init__(socket.create_server(("127.0.0.1", 0), backlog=0))
        self.address = "{}:{}".format(*self._listener.getsockname())
        # Over loopback the handshake is done inside connect.
        while select.select([], [self._connect()[0]], [], 0)[1]:
            pass


class BusyUnix(Unreachable):
    """A UNIX socket with a full backlog: connect gives EAGAIN."""

    def __init__(self, path: Path) -> None:
        super().__init__(socket.socket(socket.AF_UNIX))
        self.address = str(path)
        self._listener.bind(self.address)
        self._listener.listen(0)
        while not self._connect()[1]:
            pass
