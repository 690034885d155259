"""Operator of nodes: status, drain, enable, weight; for the control socket and Python."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from uwsgi_router.protocol.text import show
from uwsgi_router.router.admin.control.nodes import (
    AnnouncedNode,
    ConfiguredNodes,
    NodeStatus,
    SteeredNode,
    status_of,
)
from uwsgi_router.router.certificates.expiry import CertificateEnd
from uwsgi_router.router.proxy.connection import Connections
from uwsgi_router.router.proxy.running import (
    NodeLoad,
    end_streams_of,
    loads_of,
    named_loads,
    watch_streams_of,
)
from uwsgi_router.router.table.table import Table
from uwsgi_router.subscriptions.node_address import node_address

log = logging.getLogger("uwsgi-router.control")

# Seconds that a WebSocket has for the answer to its Close, and between two looks at streams.
_LAST_WORDS: Final = 1.0
_LOOK: Final = 0.05


class UnknownNode(LookupError):
    """Error: there is no such node; ``str()`` says which."""


class DrainCancelled(Exception):
    """Exception: a node whose requests were waited for is in service again; ``str()`` says which."""


@dataclass(frozen=True, slots=True)
class Drained:
    """Result of a drain.

    Attributes:
        nodes: how many were meant; 0: the address is not in the table (any more).
        running: requests that they still have; 0: it was in time.
        known: the key has nodes, or had some within an hour.
    """

    nodes: int
    running: int
    known: bool


@dataclass(frozen=True, slots=True)
class StreamLimit:
    """Limit of the event streams and WebSockets of nodes that drain.

    Attributes:
        seconds: after so many they are ended.
        count: tells how many there are.
        end: ends them in order.
    """

    seconds: float
    count: Callable[[], int]
    end: Callable[[], None]


class DrainWait:
    """Wait until a node has no requests in flight.

    Args:
        nodes: all of its name.
        known: as in :class:`Drained`.
        running: tells how many requests are still waited for.
        streams: they have another time than requests; None: the same.
    """

    def __init__(
        self,
        nodes: Sequence[SteeredNode],
        *,
        known: bool,
        running: Callable[[], int],
        streams: StreamLimit | None = None,
    ) -> None:
        self._nodes = nodes
        self._known = known
        self._running = running
        self._streams = streams
        self._changed = asyncio.Event()

    async def ended(self, limit: float) -> Drained:
        """Wait until there are none, for ``limit`` seconds at most; return what is left.

        Raises:
            DrainCancelled: a node that was drained is in service again.
        """
        streams = self._streams
        if (limit > 0 or streams is not None) and self._running():
            ends = [node.watch(self._changed.set) for node in self._nodes]
            loop = asyncio.get_running_loop()
            began = loop.time()
            timer = None if streams is None else loop.call_later(streams.seconds, streams.end)
            try:
                try:
                    async with asyncio.timeout(limit):
                        while self._running():
                            self._changed.clear()
                            await self._changed.wait()
                except TimeoutError:
                    pass
                if streams is not None:
                    await self._streams_end(streams, began + streams.seconds + _LAST_WORDS)
            finally:
                for end in ends:
                    end()
                if timer is not None:
                    timer.cancel()
        return Drained(len(self._nodes), self._running(), self._known)

    async def _streams_end(self, streams: StreamLimit, until: float) -> None:
        """Wait for streams that may take longer than requests; of these nobody waits any more."""
        loop = asyncio.get_running_loop()
        while streams.count() and loop.time() < until:
            if not self._running():
                return
            await asyncio.sleep(_LOOK)


class ServedElsewhere(Protocol):
    """Processes that serve the requests, where this one does not."""

    def drain_streams(self, names: Collection[str], end: bool) -> None:
        """Have them note where the streams of nodes with these names can be ended, and with True end them."""

    async def loads(self) -> Mapping[tuple[str, str], NodeLoad]:
        """Return what the running requests of each node are, by key and name of the node."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """Name of nodes that is withheld.

    Attributes:
        going: wait for the requests that its nodes have.
        close: ends it.
    """

    going: DrainWait
    close: Callable[[], None]


class Operator:
    """Operator of the nodes of a program.

    Keys are None for all keys, and configured nodes, which have none; ``by`` says who it is, for the log.

    Args:
        tables: of announced nodes, by their first subscription servers.
        clock: the loop's clock, seconds.
        configured: nodes that the configuration names.
        certificates: returns the ends of those that are served over TLS.
        routers: the open connections of the routers of this process.
        elsewhere: the processes that serve requests; None: this one does.
    """

    def __init__(
        self,
        tables: Mapping[str, Table],
        clock: Callable[[], float],
        configured: Sequence[ConfiguredNodes] = (),
        certificates: Callable[[], Sequence[CertificateEnd]] = tuple,
        routers: Sequence[Connections] = (),
        elsewhere: ServedElsewhere | None = None,
    ) -> None:
        self._tables = dict(tables)
        self._clock = clock
        self._configured = configured
        self.certificates = certificates
        self._routers = routers
        self._elsewhere = elsewhere

    def __repr__(self) -> str:
        return f"<Operator tables={list(self._tables)}>"

    # --- Seeing ---

    def status(self, key: bytes | None = None) -> Iterator[NodeStatus]:
        """Return all nodes, or those of one key, in the order of keys; the tables may change meanwhile."""
        if key is None:
            for group in self._configured:
                yield from group.status(self._clock())
        for name, table in self._tables.items():
            pools = table.registry.pools
            for one in sorted(pools) if key is None else [key]:
                pool = pools.get(one)
                if pool is not None:
                    for node in tuple(pool.nodes):
                        yield status_of(name, pool.algorithm, node, self._clock())

    async def running(self, key: bytes | None = None) -> Iterator[NodeStatus]:
        """Return the same, with what the running requests of each node are."""
        if self._elsewhere is None:
            loads: Mapping[tuple[str, str], NodeLoad] = named_loads(self._routers, self._clock())
        else:
            loads = await self._elsewhere.loads()
        return self._with_loads(key, loads)

    def _with_loads(
        self, key: bytes | None, loads: Mapping[tuple[str, str], NodeLoad]
    ) -> Iterator[NodeStatus]:
        for status in self.status(key):
            load = loads.get((status.key, status.node), NodeLoad())
            yield replace(
                status,
                waiting=load.waiting,
                waiting_since=round(load.waiting_since, 3),
                streams=load.streams,
                tunnels=load.tunnels,
            )

    # --- Steering ---

    def drain(
        self, name: str, key: bytes | None = None, *, by: str, streams: float | None = None
    ) -> DrainWait:
        """Let a node have no new requests; return the wait for those that it has.

        Args:
            name: of the node.
            key: only of this key.
            by: who asks.
            streams: seconds after which its event streams and WebSockets are ended; None: never.
        """
        found = self._found(name, key)
        for one in found:
            one.drain(by)

        def running() -> int:
            if any(one.in_service for one in found):
                raise DrainCancelled(f"{name} is in service again")
            return sum(one.node.reference for one in found)

        limit = None if streams is None else self._stream_limit(found, streams)
        return self._drain_wait(key, found, running, limit)

    def _stream_limit(self, found: Sequence[SteeredNode], seconds: float) -> StreamLimit:
        nodes = [one.node for one in found]
        names = {node.name for node in nodes}
        elsewhere, routers = self._elsewhere, self._routers
        if elsewhere is not None:
            elsewhere.drain_streams(names, False)
            # Which of the requests are streams only those processes know.
            return StreamLimit(
                seconds,
                lambda: sum(node.reference for node in nodes),
                lambda: elsewhere.drain_streams(names, True),
            )
        watch_streams_of(routers, names)

        def count() -> int:
            loads = loads_of(routers, self._clock())
            return sum(load.streams + load.tunnels for node, load in loads.items() if node in nodes)

        return StreamLimit(seconds, count, lambda: end_streams_of(routers, names))

    def withhold(self, name: str, *, by: str, streams: float | None = None) -> "Withheld":
        """Drain a node until the result is closed, also if it leaves and comes back meanwhile.

        Args:
            name: of the node.
            by: who asks.
            streams: as for :meth:`drain`.
        """
        try:
            name, _ = node_address(name, None)
        except ValueError as exc:
            raise unknown_node(name, None) from exc
        for table in self._tables.values():
            table.report(table.registry.withhold(name))
        log.info("%s is withheld by %s", show(name), by)
        found: list[SteeredNode] = [
            AnnouncedNode(table, node)
            for table in self._tables.values()
            for node in table.registry.named(name)
        ]
        limit = None if streams is None else self._stream_limit(found, streams)
        # Nodes that have left meanwhile are held by their requests only.
        wait = self._drain_wait(
            None, found, lambda: sum(one.node.reference for one in found), limit
        )
        return Withheld(wait, lambda: self._admit(name, by))

    def _admit(self, name: str, by: str) -> None:
        log.info("%s is not withheld any more by %s", show(name), by)
        for table in self._tables.values():
            table.report(table.registry.admit(name))

    def leaving(self, name: str, key: bytes | None = None) -> DrainWait:
        """Change nothing; return the wait until a node is out of service by whatever cause, and has no requests.

        As long as it is in service that counts as one request.
        """

        def running() -> int:
            return sum(one.node.reference + one.in_service for one in self._found(name, key))

        return self._drain_wait(key, self._found(name, key), running)

    def _drain_wait(
        self,
        key: bytes | None,
        found: list[SteeredNode],
        running: Callable[[], int],
        streams: StreamLimit | None = None,
    ) -> DrainWait:
        now = self._clock()
        known = bool(found) or any(
            key is not None and table.registry.was_announced(key, now)
            for table in self._tables.values()
        )
        return DrainWait(found, known=known, running=running, streams=streams)

    def enable(self, name: str, key: bytes | None = None, *, by: str) -> int:
        """Take back a drain; return how many nodes were meant.

        Raises:
            UnknownNode: if there is none.
        """
        found = self._known(name, key)
        for one in found:
            one.enable(by)
        return len(found)

    def weigh(self, name: str, weight: int | None, key: bytes | None = None, *, by: str) -> int:
        """Set a node's weight, None: take that back; return how many nodes were meant.

        Raises:
            UnknownNode: if there is none.
            NoWeight: if it can't have one.
        """
        found = self._known(name, key)
        for one in found:
            one.weigh(weight, by)
        return len(found)

    def _known(self, name: str, key: bytes | None) -> list[SteeredNode]:
        found = self._found(name, key)
        if not found:
            raise unknown_node(name, key)
        return found

    def _found(self, name: str, key: bytes | None) -> list[SteeredNode]:
        """Return the nodes of a name, gone ones too."""
        found: list[SteeredNode] = []
        if key is None:
            found += [node for group in self._configured for node in group.named(name)]
        try:
            # As the tables have it.
            name, _ = node_address(name, None)
        except ValueError:
            return found
        for table in self._tables.values():
            found += [AnnouncedNode(table, node) for node in table.registry.named(name, key)]
        return found


def unknown_node(name: str, key: bytes | None) -> UnknownNode:
    """Return the error that there is no such node."""
    where = "" if key is None else f" of the key {show(key)}"
    return UnknownNode(f"there is no node {name}{where}")
