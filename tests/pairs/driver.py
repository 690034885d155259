"""A combination at work: the router, the nodes and the client of a case, and what came of it."""

import asyncio
import json
import os
import re
import socket
from dataclasses import replace
from operator import itemgetter
from typing import Any

from tests.pairs.cases import Case
from tests.pairs.client import PairClient
from tests.pairs.lab import (
    NAME,
    Authority,
    Left,
    Peer,
    Router,
    Script,
    Web,
    a_few_turns,
    left_of,
    nodes_of,
    phases,
    served,
    server_context,
    until,
    upstreams_of,
)
from tests.pairs.node import PairNode, Seen
from tests.pairs.result import Facts, NodeCounts, Result
from tests.pairs.rules import Outcome, outcome_of, requests_of
from tests.pairs.wire import KEY, prelude_of, request_of
from uwsgi_router.router.config.types import SecureListener
from uwsgi_router.router.report.counters import Counters
from uwsgi_router.subscriptions.node import Node

#: Options of both routers, and of the HTTP router.
_OPTIONS: dict[str, dict[str, object]] = {
    "post-buffering": {"post_buffering": 1000},
    "spooled": {"post_buffering": 1},
    "chunked-input": {"chunked_input": True},
    "raw-body": {"raw_body": True},
    "auto-chunked": {"auto_chunked": True},
    "errors": {"errors": "http"},
}
_FOR_BODY: dict[str, dict[str, object]] = {
    "websocket": {"websockets": True},
    "raw": {"raw_body": True},
    "expect-raw": {"raw_body": True},
    "source": {"manage_source": True},
    "expect-source": {"manage_source": True},
    "rtsp": {"manage_rtsp": True},
}
#: Of all routers.
FOR_POOL: dict[str, dict[str, object]] = {
    "held": {"hold": 30},
    "full": {"backend_connections": 1},
    "unanswered": {"connect_timeout": 0.05},
}
#: Of this process alone: others may still connect to ports of 127.0.0.1 that were theirs a moment ago.
HERE = f"127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}.1"
_ANNOUNCED = {"announced", "other", "none", "held", "unknown"}
#: What takes time in a line of the log.
SECONDS = re.compile(r"=\d+\.\d+s")


class Run:
    """One combination.

    Args:
        web: the lab.
        case: the combination.
        outcome: what both ends have to be prepared for.

    Attributes:
        facts: what only a run knows: addresses, ports, ids.
    """

    def __init__(self, web: Web, case: Case, outcome: Outcome) -> None:
        self._web = web
        self._case = case
        self._outcome = outcome
        self._seen: list[Seen] = []
        self._nodes: list[PairNode] = []
        self._clients: list[PairClient] = []
        self._router: Router
        self._client: PairClient | None = None
        self._announced: list[Node] = []
        self.facts = Facts()

    async def result(self) -> Result:
        """Send the requests, let everything end, and return what was read and counted."""
        case = self._case
        waiting: list[str] = []
        await self._stage()
        for number in range(1, requests_of(case) + 1):
            if case.pool in {"held", "busy", "full"}:
                waiting = await self._ask_and_wait()
            else:
                await self._ask(number)
        return await self._end(waiting)

    async def stop(self) -> None:
        """End what still waits: a request that hangs would hold up the end of its test."""
        for router in self._web._routers:
            await router.stop()

    # --- the stage ---

    async def _stage(self) -> None:
        """Start nodes and router, and bring them where the request is to find them."""
        case, web = self._case, self._web
        # No kept connection is too old, however slow the machine is.
        web.timing = replace(web.timing, trusted_idle=60)
        if case.link or case.node_link:
            self._authority = Authority.made(web.tmp_path / "tls")
        addresses: list[str] = []
        if case.pool in {"refused", "other", "unanswered"}:
            first = web.black_hole().address if case.pool == "unanswered" else web.refused_tcp()
            self.facts.addresses["first"] = first
            addresses.append(first)
        if case.pool == "quits":
            addresses.append(self._node("quits"))
        if case.pool == "busy":
            self._busy = web.busy_unix()
            self.facts.addresses["one"] = self._busy.address
            addresses.append(self._busy.address)
        elif case.pool not in {"none", "unknown", "held"}:
            addresses.append(self._node("one"))
        if case.pool in {"two", "announced"}:
            addresses.append(self._node("two"))
        self._router = await self._start(() if case.pool in _ANNOUNCED else tuple(addresses))
        self.facts.port = self._router.address[1]
        self.facts.ids = self._router.gateway.connections.ids
        if case.pool == "announced":
            for address in addresses:
                self._announce(address)
        if case.pool == "other":
            self._announce(addresses[0], proto="http" if case.back == "uwsgi" else "uwsgi")
            self._announce(addresses[1])
        if case.pool in {"none", "held"}:
            self._announce("127.0.0.1:9")
            self._router.leave("127.0.0.1:9")
        if case.pool in {"dies", "closes"}:
            await self._prelude()
            (node,) = nodes_of(self._router)
            kept = int(case.pool == "dies")
            await until(lambda: upstreams_of(self._router).counts(node) == (0, kept))

    def _node(self, name: str, on: socket.socket | None = None) -> str:
        node = PairNode(name, self._case, self._outcome, self._seen)
        self._nodes.append(node)
        if on is None:
            on = socket.create_server((HERE, 0))
        address = self._web.node(self._script(node), on=on).address
        self.facts.addresses[name] = address
        return address

    def _script(self, node: PairNode) -> Script:
        if not self._case.node_link:
            return node.play
        context = server_context(self._authority.issue())

        async def play(peer: Peer) -> None:
            await node.play(await served(peer, context))

        return play

    def _proto(self) -> str:
        """Return what announces call the nodes' protocol."""
        case = self._case
        if case.node_link:
            return "https" if case.back == "http" else "suwsgi"
        return case.back

    def _configured(self, address: str) -> str:
        """Return the address of a node as an option has it."""
        if not self._case.node_link:
            return address
        return (
            f"{self._proto()}+unix:{address}"
            if address.startswith("/")
            else f"{self._proto()}://{address}"
        )

    async def _start(self, addresses: tuple[str, ...]) -> Router:
        case, web = self._case, self._web
        options: dict[str, Any] = {**_OPTIONS.get(case.option, {}), **FOR_POOL.get(case.pool, {})}
        options |= {"backend_http": case.back == "http", "backend_keepalive": 60}
        if case.node_link:
            options |= {"backend_ca": self._authority.file, "backend_server_name": NAME}
        if case.link:
            files = self._authority.issue()
            options["secure"] = (SecureListener(f"{HERE}:0", files),)
        else:
            options["listen"] = (f"{HERE}:0",)
        if addresses:
            options["to"] = tuple(map(self._configured, addresses))
        if case.front == "uwsgi":
            return await (web.router(**options) if addresses else web.subscribed(**options))
        options |= _FOR_BODY.get(case.body, {})
        options |= {"access_log": str(web.tmp_path / "access.log"), "access_log_format": "json"}
        options["keepalive"] = 0
        return await (web.http(**options) if addresses else web.announced(**options))

    def _announce(self, address: str, proto: str = "") -> None:
        node = self._router.announce(address, KEY.encode(), proto=proto or self._proto())
        self._announced.append(node)

    async def _open(self, case: Case, outcome: Outcome) -> PairClient:
        if self._case.link:
            peer: Peer = await self._web.tls_open(self._router, self._authority.client())
        else:
            peer = await self._web.client(self._router)
        name = f"{self.facts.ids}-{len(self._clients) + 1:x}"
        client = PairClient(case, outcome, peer, name)
        self._clients.append(client)
        return client

    async def _prelude(self) -> None:
        """A request before the first one."""
        case = prelude_of(self._case)
        client = await self._open(case, outcome_of(case))
        await client.ask(request_of(case, 0))

    # --- the requests ---

    async def _ask(self, number: int) -> None:
        if self._client is None:
            self._client = await self._open(self._case, self._outcome)
        talk = await self._client.ask(request_of(self._case, number))
        if talk.end != "kept":
            self._client.wire.peer.close()
            self._client = None

    async def _ask_and_wait(self) -> list[str]:
        """Let the request wait, see that nobody hears of it, and let it go on; return what the client was told."""
        case, router = self._case, self._router
        loop = asyncio.get_running_loop()
        prelude = None
        if case.pool == "full":
            goes_on = asyncio.Event()
            self._nodes[0].before_prelude = goes_on.wait
            prelude = loop.create_task(self._prelude())
            await until(lambda: self._seen)
        before = len(self._seen)
        asking = loop.create_task(self._ask(1))
        counters = router.gateway.counters
        if case.pool == "held":
            await until(lambda: counters.holding or asking.done())
        elif case.pool == "full":
            await until(lambda: counters.queueing or asking.done())
        else:
            await until(lambda: "busy" in phases(router) or asking.done())
        await a_few_turns()
        assert len(self._seen) == before
        told = (
            []
            if self._client is None
            else [answer.head.start for answer in self._client.talks[0].answers]
        )
        if case.end != "abort":
            if case.pool == "held":
                self._announce(self._node("one"))
            elif case.pool == "busy":
                self._node("one", on=self._busy.listen())
        if prelude is not None:
            if case.end == "abort":
                await asking
            goes_on.set()
            await prelude
        await asking
        return told

    # --- what came of it ---

    async def _end(self, waiting: list[str]) -> Result:
        router, web = self._router, self._web
        for client in self._clients:
            client.wire.peer.close()
        await router.at_rest()
        names = {address: name for name, address in self.facts.addresses.items()}
        # One that failed has left the table.
        every = {node.name: node for node in (*nodes_of(router), *self._announced)}
        nodes = {names[address]: node for address, node in every.items() if address in names}
        upstreams = upstreams_of(router)
        await until(lambda: not any(upstreams.counts(node)[0] for node in nodes.values()))
        left = left_of(router)
        counts = {
            name: NodeCounts(
                node.rx,
                node.tx,
                node.requests,
                node.failcnt,
                node.reference,
                upstreams.counts(node)[1],
            )
            for name, node in nodes.items()
        }
        await router.stop()
        for scripted in web._nodes:
            # Their last reads have to come to an end; what is left accepts.
            await until(lambda scripted=scripted: not scripted._tasks)  # type: ignore[misc]
        counters = router.gateway.counters
        for node in self._nodes:
            self.facts.traffic[node.name] = (
                sum(len(wire.heard) for wire in node.wires),
                sum(wire.said for wire in node.wires),
            )
        self.facts.clients = (
            sum(client.wire.said for client in self._clients),
            sum(len(client.wire.heard) for client in self._clients),
        )
        self.facts.talks = [talk for client in self._clients for talk in client.talks]
        return Result(
            seen=self._seen,
            talks=[(talk.answers, talk.end) for talk in self.facts.talks],
            waiting=waiting,
            counted=numbers(counters),
            nodes=counts,
            clients=(counters.bytes_received, counters.bytes_sent),
            left="" if left == Left() else repr(left),
            log=[
                SECONDS.sub("=_s", line)
                for line in web.log.lines
                # Of a node that never says a byte there is a line more, which has tests of its own.
                if not line.startswith("info ") and " is asked in " not in line
            ],
            access=self._access_log(),
        )

    def _access_log(self) -> list[dict[str, object]]:
        path = self._web.tmp_path / "access.log"
        if not path.exists():
            return []
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        for entry in entries:
            del entry["time"], entry["total"]
            for name in ("connect", "first_byte"):
                entry[name] = None if entry[name] is None else "seconds"
        return sorted(entries, key=itemgetter("id"))


def numbers(counters: Counters) -> dict[str, int]:
    """Return all counters that are not 0; those of failures with their reasons."""
    found = {f"failed: {reason}": count for reason, count in counters.failed.items()}
    for name in Counters.__slots__:
        value = getattr(counters, name)
        if isinstance(value, int) and value:
            found[name] = value
    return found
