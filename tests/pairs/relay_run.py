"""A combination of a relay at work: the router, the nodes and the clients, and what came of it."""

import asyncio
import re
import socket
from typing import Any

from tests.pairs.driver import FOR_POOL, HERE, SECONDS, numbers
from tests.pairs.lab import (
    NAME,
    Authority,
    Left,
    Peer,
    Router,
    TlsPeer,
    Web,
    left_of,
    nodes_of,
    phases,
    served,
    server_context,
    until,
)
from tests.pairs.reader import Wire
from tests.pairs.relays import (
    AGAIN,
    ANSWER,
    ASK,
    BULK,
    BYE,
    GREETING,
    RelayCase,
    RelayOutcome,
)
from tests.pairs.result import End, RelayResult
from uwsgi_router.protocol.proxy import encode_proxy_v1, encode_proxy_v2
from uwsgi_router.router.config.types import SecureListener
from uwsgi_router.subscriptions.node import Node

_OPTIONS: dict[str, dict[str, object]] = {
    "send-proxy-1": {"send_proxy": "1"},
    "send-proxy-2": {"send_proxy": "2"},
    "proxy": {"proxy_protocol": ()},
    "proxy-send": {"proxy_protocol": (), "send_proxy": "1"},
    "xclient": {"xclient": True},
    "sni": {"sni": True},
    "copied": {"pipes": 0},
}
#: What a proxy tells of the client.
FAR, _NEAR = ("192.0.2.7", 4711), ("192.0.2.1", 25)
_ANNOUNCED = {"announced", "none", "unknown", "held"}
_BYTES = re.compile(r"\d+ bytes came and \d+ went")


class RelayRun:
    """One combination.

    Args:
        web: the lab.
        case: the combination.
        outcome: what both ends have to be prepared for.

    Attributes:
        addresses: of nodes, by name.
        ids: what the router's ids begin with.
        told: what a node must be told of each client.
        spoken: bytes that each node was sent, and has sent, where the router has seen them.
    """

    def __init__(self, web: Web, case: RelayCase, outcome: RelayOutcome) -> None:
        self._web = web
        self._case = case
        self._outcome = outcome
        self._authority = Authority.made(web.tmp_path / "tls")
        self._files = self._authority.issue()
        self._announced: list[Node] = []
        self._router: Router
        # Connections of nodes, whose, and what each was told.
        self._wires: list[tuple[str, Wire]] = []
        self._nodes: list[End] = []
        self._told: list[bytes] = []
        self._clients: list[End] = []
        self.addresses: dict[str, str] = {}
        self.ids = ""
        self.told: list[bytes] = []
        self.spoken: dict[str, tuple[int, int]] = {}

    async def result(self) -> RelayResult:
        """Make the connections, let everything end, and return what was read and counted."""
        await self._stage()
        for _ in self._outcome.nodes:
            if self._case.pool in {"held", "busy"}:
                await self._wait_and_talk()
            else:
                await self._talk(await self._open())
        return await self._end()

    async def stop(self) -> None:
        """End what still waits: a connection that hangs would hold up the end of its test."""
        for router in self._web._routers:
            await router.stop()

    # --- the stage ---

    async def _stage(self) -> None:
        """Start nodes and router."""
        case, web = self._case, self._web
        addresses = []
        if case.pool in {"refused", "unanswered"}:
            first = web.refused_tcp() if case.pool == "refused" else web.black_hole().address
            self.addresses["first"] = first
            addresses.append(first)
        if case.pool == "quits":
            addresses.append(self._node("quits"))
        if case.pool == "busy":
            self._busy = web.busy_unix()
            self.addresses["one"] = self._busy.address
            addresses.append(self._busy.address)
        elif case.pool not in {"none", "unknown", "held", "quits"}:
            addresses.append(self._node("one"))
        if case.pool in {"two", "announced"}:
            addresses.append(self._node("two"))
        self._router = await web.raw(**self._options(addresses))
        self.ids = self._router.gateway.connections.ids
        if case.pool in _ANNOUNCED:
            self._router.table.registry._started -= 1000
        for address in addresses if case.pool == "announced" else ():
            self._announce(address)
        if case.pool in {"none", "held"}:
            self._announce("127.0.0.1:9")
            self._router.leave("127.0.0.1:9", self.key)
            self._announced.clear()

    def _options(self, addresses: list[str]) -> dict[str, Any]:
        case = self._case
        options: dict[str, Any] = {**_OPTIONS.get(case.option, {}), **FOR_POOL.get(case.pool, {})}
        if case.front == "ssl":
            options["secure"] = (SecureListener(f"{HERE}:0", self._files),)
        else:
            options["listen"] = (f"{HERE}:0",)
        if case.back == "tls":
            options |= {"backend_ca": self._authority.file, "backend_server_name": NAME}
        if case.pool in _ANNOUNCED:
            options["subscription_servers"] = ("127.0.0.1:0",)
        elif case.back == "plain":
            options["to"] = tuple(addresses)
        else:
            options["to"] = tuple(
                f"suwsgi+unix:{one}" if one.startswith("/") else f"suwsgi://{one}"
                for one in addresses
            )
        return options

    @property
    def key(self) -> bytes:
        """The key of each connection."""
        return NAME.encode() if self._case.option == "sni" else f"{HERE}:0".encode()

    def _announce(self, address: str) -> None:
        # A node of a raw router says of its protocol only whether it is inside TLS.
        proto = "suwsgi" if self._case.back == "tls" else "uwsgi"
        self._announced.append(self._router.announce(address, self.key, proto=proto))

    @property
    def through(self) -> bool:
        """True for TLS that goes through the router, which takes no part in it."""
        return self._case.front == "raw" and self._case.option == "sni"

    # --- nodes ---

    def _node(self, name: str, on: socket.socket | None = None) -> str:
        async def play(peer: Peer) -> None:
            # What waits for an acknowledgement would be lost by a reset.
            if peer.sock.family != socket.AF_UNIX:
                peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._case.back == "tls" or self.through:
                peer = await served(peer, server_context(self._files))
            await self._serve(name, peer)

        if on is None:
            on = socket.create_server((HERE, 0))
        address = self.addresses[name] = self._web.node(play, on=on).address
        return address

    async def _serve(self, name: str, peer: Peer) -> None:
        case, wire, number = self._case, Wire(peer), len(self._wires)
        self._wires.append((name, wire))
        told = b""
        if case.option.endswith(("proxy-1", "proxy-2", "proxy-send")):
            told = await wire.exactly(len(self.told[number]))
        if name == "quits":
            await wire.exactly(len(ASK))
            peer.eof()
            await wire.rest()
        else:
            if case.talk == "greet":
                await wire.send(GREETING)
            if case.option == "xclient":
                told = await wire.exactly(len(self.told[number]))
                await wire.send(AGAIN)
            if case.talk == "bulk":
                await _both_ways(wire)
            elif case.talk != "silent":
                await wire.exactly(len(ASK))
                await wire.send(ANSWER)
            await self._finish(wire, "node")
        self._told.append(told)
        self._nodes.append(End(name, wire.heard[len(told) :], wire.end))

    # --- clients ---

    async def _open(self) -> Wire:
        case, router = self._case, self._router
        peer = await self._web.client(router)
        name = peer.sock.getsockname()
        self.told.append(self._tells((name[0], name[1])))
        if case.option.startswith("proxy"):
            await peer.send(encode_proxy_v1(FAR, _NEAR))
        if case.front == "ssl" or self.through:
            secure = peer = TlsPeer(peer.sock, self._authority.client())
            if not self.through:
                await secure.handshake()
        return Wire(peer)

    def _tells(self, client: tuple[str, int]) -> bytes:
        """Return what a node must be told of a client."""
        option, near = self._case.option, (HERE, self._router.address[1])
        if option == "xclient":
            return f"XCLIENT ADDR={client[0]}\r\n".encode()
        if option == "send-proxy-1":
            return encode_proxy_v1(client, near)
        if option == "send-proxy-2":
            return encode_proxy_v2(client, near)
        return encode_proxy_v1(FAR, _NEAR) if option == "proxy-send" else b""

    async def _talk(self, wire: Wire) -> None:
        case = self._case
        if self.through:
            assert isinstance(wire.peer, TlsPeer)
            await wire.peer.handshake()
        if case.talk == "ask":
            await wire.send(ASK)
        if self._outcome.nodes == ("",):
            await wire.rest()
        elif case.pool == "quits":
            await wire.rest()
            wire.peer.eof()
        else:
            if case.talk == "greet":
                await wire.exactly(len(AGAIN if case.option == "xclient" else GREETING))
                await wire.send(ASK)
            if case.talk == "bulk":
                await _both_ways(wire)
            elif case.talk != "silent":
                await wire.exactly(len(ANSWER))
            await self._finish(wire, "client")
        wire.peer.close()
        self._clients.append(End("client", wire.heard, wire.end))

    async def _wait_and_talk(self) -> None:
        """Let a client wait for its node, and go on."""
        router = self._router
        talking = asyncio.get_running_loop().create_task(self._talk(await self._open()))
        phase = "hold" if self._case.pool == "held" else "busy"
        await until(lambda: phase in phases(router) or talking.done())
        if phase == "hold":
            self._announce(self._node("one"))
        else:
            self._node("one", on=self._busy.listen())
        await talking

    async def _finish(self, wire: Wire, who: str) -> None:
        """End a connection as the case says, or let the other end do it."""
        ends, _, resets = self._case.end.partition("-")
        if ends == who and self._case.talk == "silent":
            # What ends has to have begun.
            number = len(self.told)
            await until(lambda: len(self._wires) == number and phases(self._router) == ["tunnel"])
        if ends == who and resets:
            wire.peer.reset()
            wire.end = "reset"
            return
        if ends == who:
            wire.peer.eof()
        await wire.rest()
        if ends != who and not resets:
            await wire.send(BYE)
            wire.peer.eof()

    # --- what came of it ---

    def _masked(self, line: str) -> str:
        """Return a line without what nobody can know before."""
        line = SECONDS.sub("=_s", line)
        return _BYTES.sub("some bytes came and went", line) if self.through else line

    async def _end(self) -> RelayResult:
        router, web = self._router, self._web
        await router.at_rest()
        left = left_of(router)
        names = {address: name for name, address in self.addresses.items()}
        # One that failed has left the table.
        every = {node.name: node for node in (*nodes_of(router), *self._announced)}
        nodes = {names[address]: node for address, node in every.items() if address in names}
        await router.stop()
        for scripted in web._nodes:
            await until(lambda scripted=scripted: not scripted._tasks)  # type: ignore[misc]
        for name, wire in self._wires if not self.through else ():
            heard, said = self.spoken.get(name, (0, 0))
            self.spoken[name] = (heard + len(wire.heard), said + wire.said)
        return RelayResult(
            nodes=self._nodes,
            told=self._told,
            clients=self._clients,
            counted=numbers(router.gateway.counters),
            traffic={name: (nodes[name].rx, nodes[name].tx) for name in self.spoken},
            failed={name: node.failcnt for name, node in nodes.items() if node.failcnt},
            left="" if left == Left() else repr(left),
            log=[self._masked(line) for line in web.log.lines if not line.startswith("info ")],
        )


async def _both_ways(wire: Wire) -> None:
    sending = asyncio.get_running_loop().create_task(wire.send(BULK))
    await wire.exactly(len(BULK))
    await sending
