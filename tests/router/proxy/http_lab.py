"""HTTP clients and HTTP nodes for tests of the engine, and a look at what is left when a test ends."""

import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.router.proxy.nodes import Lab, Peer, Router, Scripted, until
from uwsgi_router.router.app.instance import Instance
from uwsgi_router.router.config.model import (
    Configuration,
    HttpRouterConfig,
    ProcessConfig,
    SubscriptionConfig,
)
from uwsgi_router.router.proxy.context import Timing
from uwsgi_router.router.proxy.upstream_pool import UpstreamPool
from uwsgi_router.subscriptions.node import Node

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def ask(
    target: str = "/",
    *lines: str,
    method: str = "GET",
    host: str | None = "example.com",
    version: str = "1.1",
    body: bytes | None = None,
) -> bytes:
    """A request; ``body`` is announced with its length and sent with it."""
    all_lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        all_lines.append(f"Host: {host}")
    all_lines += lines
    if body is not None:
        all_lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*all_lines, "", "")).encode("latin-1") + (body or b"")


def post(body: bytes, target: str = "/", *lines: str, method: str = "POST") -> bytes:
    return ask(target, *lines, method=method, body=body)


def chunks(*pieces: bytes) -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def says(
    body: bytes = b"ok",
    *lines: str,
    status: str = "200 OK",
    version: str = "1.1",
    length: bool = True,
) -> bytes:
    """An answer."""
    head = [f"HTTP/{version} {status}", *lines]
    if length:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*head, "", "")).encode("latin-1") + body


class Ended(ConnectionError):
    """The connection ended where a message was to begin or to go on."""


@dataclass
class Head:
    """A request's or an answer's."""

    start: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    framing: str = "none"

    @property
    def status(self) -> int:
        return int(self.start.split(b" ", 2)[1])

    @property
    def method(self) -> bytes:
        return self.start.split(b" ", 1)[0]

    @property
    def target(self) -> bytes:
        return self.start.split(b" ", 2)[1]

    def get(self, name: str) -> bytes | None:
        """All values of a field, joined."""
        values = [value for other, value in self.fields if other == name.encode()]
        return b", ".join(values) if values else None

    @property
    def closes(self) -> bool:
        return b"close" in (self.get("connection") or b"").lower()


class HttpPeer(Peer):
    """A test's end of a connection that carries HTTP."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(peer.sock)
        self.pending = b""

    async def some(self, size: int = 65_536) -> bytes:
        if self.pending:
            data, self.pending = self.pending[:size], self.pending[size:]
            return data
        return await super().some(size)

    async def head(self) -> Head:
        while b"\r\n\r\n" not in self.pending:
            more = await super().some()
            if not more:
                raise Ended(f"after {self.pending!r}")
            self.pending += more
        text, _, self.pending = self.pending.partition(b"\r\n\r\n")
        start, *lines = text.split(b"\r\n")
        pairs = [line.split(b":", 1) for line in lines]
        return Head(start, [(name.lower(), value.strip()) for name, value in pairs])

    async def line(self) -> bytes:
        data = b""
        while not data.endswith(b"\r\n"):
            data += await self.exactly(1)
        return data[:-2]

    async def chunk(self) -> bytes:
        size = int(await self.line(), 16)
        data = await self.exactly(size)
        assert await self.exactly(2) == b"\r\n"
        return data

    async def _body(self, head: Head, *, to_the_end: bool) -> Head:
        if head.get("transfer-encoding") is not None:
            assert head.get("transfer-encoding") == b"chunked"
            assert head.get("content-length") is None
            head.framing = "chunked"
            while piece := await self.chunk():
                head.body += piece
        elif (length := head.get("content-length")) is not None:
            head.framing = "length"
            head.body = await self.exactly(int(length))
        elif to_the_end:
            head.framing = "end"
            head.body = await self.rest()
        return head

    async def request(self) -> Head:
        """A whole request."""
        return await self._body(await self.head(), to_the_end=False)

    async def answer(self, method: str = "GET") -> Head:
        """A whole answer, an interim one too."""
        head = await self.head()
        if method == "HEAD" or head.status < 200 or head.status in {204, 304}:
            return head
        return await self._body(head, to_the_end=True)


#: Answers a request; True: the node goes on with the connection.
Answerer = Callable[[HttpPeer, Head], Awaitable[bool]]


def always(*answers: bytes, close: bool = False) -> Answerer:
    """Says these one after the other, and the last one again and again."""
    left = list(answers) or [OK]

    async def answer(peer: HttpPeer, _request: Head) -> bool:
        await peer.send(left.pop(0) if len(left) > 1 else left[0])
        return not close

    return answer


async def with_its_request(peer: HttpPeer, request: Head) -> bool:
    """Says what it was sent."""
    await peer.send(says(request.start + b"\n" + request.body))
    return True


class HttpNode:
    """A node that speaks HTTP/1.1 and keeps its connections."""

    def __init__(self, lab: Lab, answer: Answerer, **where: Any) -> None:
        self.requests: list[Head] = []
        self.answer = answer
        self.scripted: Scripted = lab.node(self._play, **where)

    @property
    def address(self) -> str:
        return self.scripted.address

    @property
    def connections(self) -> int:
        """How many it ever had."""
        return self.scripted.count

    async def _play(self, peer: Peer) -> None:
        wire = HttpPeer(peer)
        while True:
            request = await wire.request()
            self.requests.append(request)
            if not await self.answer(wire, request):
                return


class HttpRouter(Router):
    """An instance with one HTTP router, in this process."""

    def __init__(
        self,
        options: dict[str, Any],
        subscription: dict[str, Any],
        process: dict[str, Any],
        timing: Timing,
    ) -> None:
        self.config = HttpRouterConfig(**options)
        self.instance = Instance(
            Configuration(
                process=ProcessConfig(defer_accept=False, **process),
                subscription=SubscriptionConfig(**subscription),
                routers=(self.config,),
            ),
            timing=timing,
        )
        self.stopped = False


@dataclass
class _Left:
    """What a router must not have any more when its clients have gone."""

    sessions: int = 0
    in_use: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    references: dict[str, int] = field(default_factory=dict)
    queueing: int = 0


class Web(Lab):
    """A lab with HTTP routers, which must come to rest without a trace."""

    # --- nodes ---

    def http_node(self, answer: Answerer | None = None, **where: Any) -> HttpNode:
        return HttpNode(self, answer or always(), **where)

    # --- routers and clients ---

    async def http(
        self,
        *,
        subscription: dict[str, Any] | None = None,
        process: dict[str, Any] | None = None,
        **options: Any,
    ) -> HttpRouter:
        """An HTTP router."""
        options.setdefault("listen", ("127.0.0.1:0",))
        router = HttpRouter(options, subscription or {}, process or {}, self.timing)
        self._routers.append(router)
        await router.start()
        return router

    async def to(self, *nodes: HttpNode, **options: Any) -> HttpRouter:
        """An HTTP router in front of these HTTP nodes that keeps its clients."""
        options.setdefault("keepalive", 0)
        options.setdefault("backend_http", True)
        return await self.http(to=tuple(node.address for node in nodes), **options)

    async def announced(self, **options: Any) -> HttpRouter:
        """An HTTP router with a subscription server that keeps its clients."""
        options.setdefault("keepalive", 0)
        options.setdefault("subscription_servers", ("127.0.0.1:0",))
        router = await self.http(**options)
        router.table.registry._started -= 1000
        return router

    async def open(self, router: Router, data: bytes = b"") -> HttpPeer:
        """A client that has sent this much."""
        return HttpPeer(await self.sending(router, data))

    async def get(self, router: Router, data: bytes | None = None, method: str = "GET") -> Head:
        """Ask over a connection of its own."""
        client = await self.open(router, ask() if data is None else data)
        answer = await client.answer(method)
        client.close()
        return answer

    # --- the end ---

    async def close(self) -> None:
        """End everything, and see that nothing is left of it."""
        for peer in self._peers:
            peer.close()
        for node in self._nodes:
            await node.close()
        for router in self._routers:
            if not router.stopped:
                await router.at_rest()
                assert left_of(router) == _Left()
                upstreams = upstreams_of(router)
                await until(lambda upstreams=upstreams: not upstreams.idle)  # type: ignore[misc]
                assert upstreams._nodes == {}
        await super().close()
        for router in self._routers:
            assert router.instance.shared is not None
            assert len(router.instance.shared.poller) == 0


def upstreams_of(router: Router) -> UpstreamPool:
    return router.gateway.upstreams


def nodes_of(router: Router) -> list[Node]:
    """All nodes that it knows."""
    nodes: list[Node] = [*(router.gateway.static_nodes or ())]
    for table in router.instance.tables:
        for pool in table.registry.pools.values():
            nodes += pool.nodes
    return nodes


def left_of(router: Router) -> _Left:
    """What the router still has of its requests."""
    connections = upstreams_of(router)._nodes.items()
    return _Left(
        router.gateway.active_sessions,
        {node.name: of.in_use for node, of in connections if of.in_use},
        {node.name: len(of.waiting) for node, of in connections if of.waiting},
        {node.name: node.reference for node in nodes_of(router) if node.reference},
        router.gateway.counters.queueing,
    )


async def counts(router: Router, node: Node) -> tuple[int, int]:
    """Connections of a node in use and idle, when the loop has seen what was sent."""
    await until(lambda: upstreams_of(router).counts(node)[0] == 0)
    return upstreams_of(router).counts(node)


def open_sockets() -> list[str]:
    """Every socket of this process."""
    names = []
    for number in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    return [name for name in names if name.startswith("socket:")]


def raw(messages: Iterable[Head]) -> list[bytes]:
    """The first lines of these."""
    return [message.start for message in messages]
