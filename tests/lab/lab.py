"""A place for one test: makes nodes, clients and routers, ends them, and sees that nothing is left."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

from tests.lab.clients import Peer
from tests.lab.inside import Left, left_of, upstreams_of
from tests.lab.log import Log
from tests.lab.messages import Message, ask, request
from tests.lab.nodes import BlackHole, BusyUnix, Node, Unreachable
from tests.lab.router import Router
from tests.lab.scripts import Answerer, Script, answers, held_by_the_test
from tests.lab.tls import NAME, TlsPeer
from tests.lab.waiting import until
from uwsgi_router.router.config.model import (
    HttpRouterConfig,
    RawRouterConfig,
    RouterConfig,
    SslRouterConfig,
)
from uwsgi_router.router.proxy.context import Timing
from uwsgi_router.router.table.timing import TableTiming


class Lab:
    """Nodes, clients and routers of one test."""

    def __init__(self, tmp_path: Path, log: Log, timing: Timing | None = None) -> None:
        self.tmp_path = tmp_path
        self.log = log
        self.timing = timing or Timing()
        self.table_timing = TableTiming()
        self._names = 0
        self._nodes: list[Node] = []
        self._routers: list[Router] = []
        self._peers: list[Peer] = []
        self._others: list[socket.socket | Unreachable] = []

    def path(self) -> Path:
        """A path for a socket, where nothing is yet."""
        self._names += 1
        return self.tmp_path / f"{self._names}.sock"

    # --- nodes ---

    def node(self, script: Script | None = None, **where: Any) -> Node:
        """A node that plays a script on each connection; see :meth:`listener`."""
        return self._kept(Node(self.listener(**where), script or answers()))

    def held(self, **where: Any) -> Node:
        """A node that leaves its connections to the test."""
        return self.node(held_by_the_test, **where)

    def http_node(self, answer: Answerer | None = None, **where: Any) -> Node:
        """A node that speaks HTTP/1.1 and keeps its connections."""
        return self._kept(Node(self.listener(**where), answer=answer))

    def uwsgi_node(self, answer: Answerer | None = None, **where: Any) -> Node:
        """A node that speaks uwsgi."""
        return self._kept(Node(self.listener(**where), kind="uwsgi", answer=answer))

    def node_of(self, http: bool, answer: Answerer | None = None) -> Node:
        return (self.http_node if http else self.uwsgi_node)(answer)

    def _kept(self, node: Node) -> Node:
        self._nodes.append(node)
        return node

    def listener(
        self, *, unix: bool = False, on: socket.socket | None = None, at: str | None = None
    ) -> socket.socket:
        """A listening socket on TCP or, with ``unix``, at a path; ``on`` is one that there is."""
        if on is not None:
            return on
        listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        if unix:
            listener.bind(at or str(self.path()))
        else:
            listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        return listener

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

    # --- routers ---

    async def router(
        self,
        *nodes: Node | Unreachable,
        subscription: dict[str, Any] | None = None,
        process: dict[str, Any] | None = None,
        **options: Any,
    ) -> Router:
        """A fastrouter; in front of these nodes, if there are any."""
        config = RouterConfig(**_options(nodes, options))
        return await self._started(config, subscription, process)

    async def raw(
        self,
        *nodes: Node | Unreachable,
        subscription: dict[str, Any] | None = None,
        process: dict[str, Any] | None = None,
        **options: Any,
    ) -> Router:
        """A raw router; an SSL router if it has listeners of that kind."""
        kind = SslRouterConfig if options.get("secure") else RawRouterConfig
        config = kind(**_options(nodes, options))
        return await self._started(config, subscription, process)

    async def http(
        self,
        *nodes: Node | Unreachable,
        subscription: dict[str, Any] | None = None,
        process: dict[str, Any] | None = None,
        tls: dict[str, Any] | None = None,
        **options: Any,
    ) -> Router:
        """An HTTP router."""
        config = HttpRouterConfig(**_options(nodes, options))
        return await self._started(config, subscription, process, tls)

    async def _started(
        self,
        config: RouterConfig | HttpRouterConfig,
        subscription: dict[str, Any] | None,
        process: dict[str, Any] | None,
        tls: dict[str, Any] | None = None,
    ) -> Router:
        router = Router(
            config,
            self.timing,
            subscription=subscription,
            process=process,
            tls=tls,
            table_timing=self.table_timing,
        )
        self._routers.append(router)
        return await router.start()

    async def to(self, *nodes: Node, **options: Any) -> Router:
        """An HTTP router in front of HTTP nodes that keeps its clients."""
        return await self.http(*nodes, **{"keepalive": 0, "backend_http": True, **options})

    async def subscribed(self, **options: Any) -> Router:
        """A fastrouter with a subscription server; keys that it has not heard of are unknown."""
        options.setdefault("subscription_servers", ("127.0.0.1:0",))
        router = await self.router(**options)
        router.table.registry._started -= 1000
        return router

    async def announced(self, **options: Any) -> Router:
        """An HTTP router with a subscription server that keeps its clients."""
        options = {"keepalive": 0, "subscription_servers": ("127.0.0.1:0",), **options}
        router = await self.http(**options)
        router.table.registry._started -= 1000
        return router

    # --- clients ---

    async def client(self, router: Router, host: str | None = None) -> Peer:
        """A client; ``host``: at this address instead of the one that the router listens on."""
        address = router.address
        if host is not None:
            address = (host, address[1])
        family = socket.AF_UNIX
        if not isinstance(address, (str, bytes)):
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        peer = Peer(socket.socket(family))
        self._peers.append(peer)
        await asyncio.get_running_loop().sock_connect(peer.sock, address)
        return peer

    async def tls_client(
        self,
        router: Router,
        context: ssl.SSLContext,
        name: str | None = NAME,
        *,
        session: ssl.SSLSession | None = None,
        first: bytes = b"",
    ) -> TlsPeer:
        """A client that has connected, and sent ``first``; its handshake has not begun."""
        address = router.secure[0]
        family = socket.AF_UNIX if isinstance(address, (str, bytes)) else socket.AF_INET
        peer = TlsPeer(socket.socket(family), context, name, session)
        self._peers.append(peer)
        await asyncio.get_running_loop().sock_connect(peer.sock, address)
        if first:
            await asyncio.get_running_loop().sock_sendall(peer.sock, first)
        return peer

    async def tls_open(
        self, router: Router, context: ssl.SSLContext, data: bytes = b"", **how: Any
    ) -> TlsPeer:
        """A client that has done its handshake and sent this much."""
        client = await self.tls_client(router, context, **how)
        await client.handshake()
        await client.send(data)
        return client

    async def open(self, router: Router, data: bytes = b"") -> Peer:
        """A client that has sent this much."""
        client = await self.client(router)
        await client.send(data)
        return client

    async def ask(self, router: Router, data: bytes | None = None) -> bytes:
        """Send this (the packet of a GET), return everything up to the end."""
        client = await self.open(router, request() if data is None else data)
        answer = await client.rest()
        client.close()
        return answer

    async def get(self, router: Router, data: bytes | None = None, method: str = "GET") -> Message:
        """Send this (an HTTP GET) over a connection of its own, return the answer."""
        client = await self.open(router, ask() if data is None else data)
        answer = await client.answer(method)
        client.close()
        return answer

    # --- the end ---

    async def close(self) -> None:
        """End everything; a router that runs comes to rest and has nothing left of its requests."""
        for peer in self._peers:
            peer.close()
        for node in self._nodes:
            await node.close()
        for router in self._routers:
            if router.started and not router.stopped:
                await router.at_rest()
                assert left_of(router) == Left()
                upstreams = upstreams_of(router)
                await until(lambda upstreams=upstreams: not upstreams.idle)  # type: ignore[misc]
                assert upstreams._nodes == {}
            await router.stop()
            if router.started:
                assert router.instance.shared is not None
                assert len(router.instance.shared.poller) == 0
        for other in self._others:
            other.close()


def _options(nodes: tuple[Node | Unreachable, ...], options: dict[str, Any]) -> dict[str, Any]:
    if not options.get("secure"):
        options = {"listen": ("127.0.0.1:0",), **options}
    if nodes:
        options["to"] = tuple(node.address for node in nodes)
    return options
