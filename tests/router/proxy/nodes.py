"""Scripted nodes and clients over real sockets, and a router in this process between them."""

import asyncio
import logging
import select
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.protocol.uwsgi import decode_header, decode_variables, encode_packet
from uwsgi_router.router.app.gateway import Gateway
from uwsgi_router.router.app.instance import Instance
from uwsgi_router.router.config.model import (
    Configuration,
    ProcessConfig,
    RouterConfig,
    SubscriptionConfig,
)
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.proxy.context import Timing
from uwsgi_router.router.table.table import Table
from uwsgi_router.subscriptions.node import SubscribedNode

#: Nothing in these tests takes so long unless it hangs.
PATIENCE = 10.0
KEY = b"example.com"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

_LINGER_RESET = struct.pack("ii", 1, 0)


def packet(
    variables: Iterable[tuple[str, str]] = (), *, modifier1: int = 0, modifier2: int = 0
) -> bytes:
    """A request's packet of exactly these variables."""
    return encode_packet(
        [(name.encode(), value.encode("latin-1")) for name, value in variables],
        modifier1,
        modifier2,
    )


def request(
    method: str = "GET", *, host: str = KEY.decode(), length: int | None = None, **more: str
) -> bytes:
    """The packet of an ordinary request, as nginx would send it."""
    variables = [("REQUEST_METHOD", method), ("HTTP_HOST", host), *more.items()]
    variables.append(("CONTENT_LENGTH", "" if length is None else str(length)))
    return packet(variables)


@dataclass(frozen=True)
class Packet:
    """What a node was sent."""

    raw: bytes

    @property
    def modifiers(self) -> tuple[int, int]:
        modifier1, _, modifier2 = decode_header(self.raw)
        return modifier1, modifier2

    @property
    def variables(self) -> dict[bytes, bytes]:
        return dict(decode_variables(self.raw[4:]))

    @property
    def length(self) -> int:
        return int(self.variables.get(b"CONTENT_LENGTH") or 0)


class Peer:
    """A test's end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._loop.sock_sendall(self.sock, data)

    async def some(self, size: int = 65_536) -> bytes:
        """The next bytes; b"" at the end."""
        async with asyncio.timeout(PATIENCE):
            return await self._loop.sock_recv(self.sock, size)

    async def exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            more = await self.some(size - len(data))
            if not more:
                raise ConnectionAbortedError(f"ended after {len(data)} of {size} bytes")
            data += more
        return bytes(data)

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

    async def packet(self) -> Packet:
        head = await self.exactly(4)
        return Packet(head + await self.exactly(decode_header(head)[1]))

    def eof(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self.sock.close()


Script = Callable[[Peer], Awaitable[None]]


class Scripted:
    """A node that plays a script on each connection, then closes it."""

    def __init__(self, listener: socket.socket, script: Script) -> None:
        listener.setblocking(False)
        self.listener = listener
        name = listener.getsockname()
        self.address: str = name if isinstance(name, str) else f"{name[0]}:{name[1]}"
        self.packets: list[Packet] = []
        self.count = 0
        self.arrived: asyncio.Queue[Peer] = asyncio.Queue()
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors: list[Exception] = []
        self._keep(self._accept())

    def _keep(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self.listener)
            self.count += 1
            peer = Peer(sock)
            self.arrived.put_nowait(peer)
            self._keep(self._play(peer))

    async def _play(self, peer: Peer) -> None:
        try:
            await self._script(peer)
        except OSError:
            pass  # The router has closed: what the test looks at is at its other end.
        except Exception as exc:  # noqa: BLE001 - told to the test when it ends
            self._errors.append(exc)
        finally:
            peer.close()

    async def next(self) -> Peer:
        """The next connection."""
        async with asyncio.timeout(PATIENCE):
            return await self.arrived.get()

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.listener.close()
        if self._errors:
            raise self._errors[0]


# --- scripts ---


def answers(data: bytes = OK) -> Script:
    """Reads the whole request and answers it."""

    async def script(peer: Peer) -> None:
        got = await peer.packet()
        await peer.exactly(got.length)
        await peer.send(data)

    return script


def answers_with_its_request() -> Script:
    """Answers with the packet and the body that it got."""

    async def script(peer: Peer) -> None:
        got = await peer.packet()
        await peer.send(got.raw + await peer.exactly(got.length))

    return script


async def closes_without_a_byte(peer: Peer) -> None:
    got = await peer.packet()
    await peer.exactly(got.length)


async def resets_without_a_byte(peer: Peer) -> None:
    await peer.packet()
    peer.reset()


async def never_answers(peer: Peer) -> None:
    await peer.packet()
    await peer.rest()
    await asyncio.Event().wait()


async def echoes(peer: Peer) -> None:
    """Sends back everything behind the packet, until the client has ended."""
    await peer.packet()
    while data := await peer.some():
        await peer.send(data)


async def held_by_the_test(_peer: Peer) -> None:
    """Leaves the connection to the test."""
    await asyncio.Event().wait()


# --- nodes that can't be connected ---


class BlackHole:
    """A TCP socket with a full accept queue: the kernel drops every further SYN."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        host, port = self._listener.getsockname()
        self.address = f"{host}:{port}"
        self._waiting: list[socket.socket] = []
        while True:
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex((host, port))
            self._waiting.append(sock)
            # Over loopback the handshake is done inside connect.
            if not select.select([], [sock], [], 0)[1]:
                break

    def listen(self) -> socket.socket:
        """Become a node: the waiting connections are gone, the kernel's next SYN gets through."""
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


class BusyUnix:
    """A UNIX socket with a full backlog: connect gives EAGAIN."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.address)
        self._listener.listen(0)
        self._waiting: list[socket.socket] = []
        while True:
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            self._waiting.append(sock)
            if sock.connect_ex(self.address):
                break

    def listen(self) -> socket.socket:
        """Become a node: the waiting connections are gone."""
        self._listener.setblocking(False)
        while True:
            try:
                self._listener.accept()[0].close()
            except BlockingIOError:
                return self._listener.dup()

    def close(self) -> None:
        for sock in (self._listener, *self._waiting):
            sock.close()


# --- the router ---


class Log(logging.Handler):
    """The program's log, which a test may wait for."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self._waiter: asyncio.Event | None = None

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{record.levelname.lower()} {record.getMessage()}"
        if record.exc_info:
            line += logging.Formatter().formatException(record.exc_info)
        self.lines.append(line)
        if self._waiter is not None:
            self._waiter.set()

    def having(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]

    async def line(self, text: str) -> str:
        """The first line that has ``text``, as soon as it is there."""
        self._waiter = asyncio.Event()
        async with asyncio.timeout(PATIENCE):
            while not (found := self.having(text)):
                self._waiter.clear()
                await self._waiter.wait()
        return found[0]


class Router:
    """An instance with one fastrouter, in this process."""

    def __init__(
        self,
        options: dict[str, Any],
        subscription: dict[str, Any],
        process: dict[str, Any],
        timing: Timing,
    ) -> None:
        self.config = RouterConfig(**options)
        self.instance = Instance(
            Configuration(
                process=ProcessConfig(defer_accept=False, **process),
                subscription=SubscriptionConfig(**subscription),
                routers=(self.config,),
            ),
            timing=timing,
        )
        self.stopped = False

    async def start(self) -> Self:
        self.instance.bind()
        # Sockets that were only bound are closed by the instance; so note the address now.
        self.address = self.instance.routers[0].streams[0].sock.getsockname()
        await self.instance.start()
        (self.gateway,) = self.instance.gateways
        return self

    gateway: Gateway

    @property
    def table(self) -> Table:
        return next(iter(self.instance.tables))

    def announce(self, address: str, key: bytes = KEY, **fields: Any) -> SubscribedNode:
        """What a datagram does."""
        table, now = self.table, asyncio.get_running_loop().time()
        subscription = Subscription("subscribe", key, address, **fields)
        table.report(table.registry.apply(subscription, source="127.0.0.1", now=now))
        node = table.registry.pools[key].get(address)
        assert node is not None
        return node

    def leave(self, address: str, key: bytes = KEY) -> None:
        table, now = self.table, asyncio.get_running_loop().time()
        subscription = Subscription("unsubscribe", key, address)
        table.report(table.registry.apply(subscription, source="127.0.0.1", now=now))

    async def at_rest(self) -> None:
        """Wait for the last session; then every request must have been counted once."""
        async with asyncio.timeout(PATIENCE):
            await self.gateway.drained()
        counters = self.gateway.counters
        ended = counters.completed + counters.client_aborts + sum(counters.failed.values())
        assert counters.requests == ended
        assert counters.holding == 0

    async def stop(self, mercy: float = 0) -> None:
        if not self.stopped:
            self.stopped = True
            await self.instance.stop(mercy)


class Names:
    """An event loop whose getaddrinfo answers what the test says.

    A list of addresses is the answer, an empty one "no such name"; None does not come until
    :meth:`comes`.
    """

    def __init__(self, answers: dict[str, list[str] | None]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()
        #: Seconds by which the clock is ahead.
        self.ahead = 0.0

    def time(self) -> float:
        return self._loop.time() + self.ahead

    def create_task(self, coroutine: Any) -> asyncio.Task[Any]:
        return self._loop.create_task(coroutine)

    async def getaddrinfo(self, host: str, port: int, **more: int) -> list[tuple[Any, ...]]:
        if host not in self.answers:
            return list(await self._loop.getaddrinfo(host, port, **more))
        self.asked.append(host)
        await asyncio.sleep(0)
        while (addresses := self.answers[host]) is None:
            self._came.clear()
            await self._came.wait()
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6 if ":" in text else socket.AF_INET, 1, 6, "", (text, port))
            for text in addresses
        ]

    def comes(self, host: str, addresses: list[str]) -> None:
        self.answers[host] = addresses
        self._came.set()

    def resolver(self) -> Resolver:
        return Resolver(cast("asyncio.AbstractEventLoop", self))

    def given_to(self, router: Router) -> Self:
        """Let this answer the router's questions from now on."""
        router.gateway.context.resolver = self.resolver()
        return self


class Lab:
    """Makes nodes, clients and routers, and ends them."""

    def __init__(self, tmp_path: Path, log: Log) -> None:
        self.tmp_path = tmp_path
        self.log = log
        self.timing = Timing()
        self._names = 0
        self._nodes: list[Scripted] = []
        self._routers: list[Router] = []
        self._peers: list[Peer] = []
        self._others: list[socket.socket | BlackHole | BusyUnix] = []

    def path(self) -> Path:
        """A path for a socket, where nothing is yet."""
        self._names += 1
        return self.tmp_path / f"{self._names}.sock"

    # --- nodes ---

    def node(
        self,
        script: Script | None = None,
        *,
        unix: bool = False,
        on: socket.socket | None = None,
        at: str | None = None,
    ) -> Scripted:
        listener = on
        if listener is None:
            listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
            if unix:
                listener.bind(at or str(self.path()))
            else:
                listener.bind(("127.0.0.1", 0))
            listener.listen(100)
        node = Scripted(listener, script or answers())
        self._nodes.append(node)
        return node

    def refused_tcp(self) -> str:
        """An address where nobody listens, and nobody else will."""
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        self._others.append(sock)
        return f"127.0.0.1:{sock.getsockname()[1]}"

    def refused_unix(self) -> str:
        """The socket file of a node that died."""
        path = str(self.path())
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        sock.close()
        return path

    def missing_unix(self) -> str:
        return str(self.path())

    def black_hole(self) -> BlackHole:
        hole = BlackHole()
        self._others.append(hole)
        return hole

    def busy_unix(self) -> BusyUnix:
        busy = BusyUnix(self.path())
        self._others.append(busy)
        return busy

    # --- routers and clients ---

    async def router(
        self,
        *,
        subscription: dict[str, Any] | None = None,
        process: dict[str, Any] | None = None,
        **options: Any,
    ) -> Router:
        options.setdefault("listen", ("127.0.0.1:0",))
        router = Router(options, subscription or {}, process or {}, self.timing)
        self._routers.append(router)
        return await router.start()

    async def subscribed(self, **options: Any) -> Router:
        """A router with a subscription server; every key that it has not heard of is unknown."""
        options.setdefault("subscription_servers", ("127.0.0.1:0",))
        router = await self.router(**options)
        router.table.registry._started -= 1000
        return router

    async def client(self, router: Router) -> Peer:
        address = router.address
        family = socket.AF_UNIX if isinstance(address, (str, bytes)) else socket.AF_INET
        peer = Peer(socket.socket(family))
        self._peers.append(peer)
        await asyncio.get_running_loop().sock_connect(peer.sock, address)
        return peer

    async def sending(self, router: Router, data: bytes) -> Peer:
        """A client that has sent this much."""
        client = await self.client(router)
        await client.send(data)
        return client

    async def ask(self, router: Router, data: bytes | None = None) -> bytes:
        """Send this (an ordinary GET), return the answer."""
        client = await self.sending(router, request() if data is None else data)
        answer = await client.rest()
        client.close()
        return answer

    async def close(self) -> None:
        for router in self._routers:
            await router.stop()
        for peer in self._peers:
            peer.close()
        for other in self._others:
            other.close()
        for node in self._nodes:
            await node.close()


async def until(condition: Callable[[], object]) -> None:
    """For what has no event of its own: look at each turn of the loop."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


async def a_few_turns() -> None:
    """Let the loop look at its descriptors several times: nothing may happen meanwhile."""
    for _ in range(10):
        await asyncio.sleep(0)


def status_of(answer: bytes) -> int:
    """The status of an HTTP answer."""
    return int(answer.split(b" ", 2)[1])
