"""Operator's view of the tables: status, drain, enable, weight; for the control socket and Python."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.text import show, to_text
from uwsgi_router.router.table.table import Table
from uwsgi_router.subscriptions.events import (
    Event,
    NodeEnabled,
    NodeFailed,
    NodeIdle,
    NodeRefreshed,
    NodeRemoved,
)
from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.node_address import node_address
from uwsgi_router.subscriptions.pool import NodePool

log = logging.getLogger("uwsgi-router.control")

# What may end a wait. An announce alone does only if it brings back a node that had left.
_TURNS: Final = (NodeIdle, NodeRemoved, NodeFailed, NodeEnabled, NodeRefreshed)


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Status of one node of one key.

    Attributes:
        table: the first subscription server of its table.
        key: bytes that are not UTF-8 are lone surrogates; likewise in ``node``.
        algorithm: how a node of this key is chosen.
        node: its address.
        state: ready, slow-connect (a connect waits for its answer), ejected (its last requests failed), stale (no
            announce for longer than the tolerance), unhealthy (its health checks fail), drained, or gone (it left, or
            a connect failed; requests still hold it).
        requests: that it has been sent.
        running: that it has now.
        weight: its share of the requests, 1 or more: the one that was set, else the announced one.
        announced_weight: what it announces.
        set_weight: what an operator set, or None.
        backup: its level.
        failures: as ``failcnt`` in the stats.
        age: seconds since its last announce.
        proto: what it speaks.
        drained: an operator drained it, whatever ``state`` says.
        check: why its checks fail, or "".
    """

    table: str
    key: str
    algorithm: str
    node: str
    state: str
    requests: int
    running: int
    weight: int
    announced_weight: int
    set_weight: int | None
    backup: int
    failures: int
    age: float
    proto: str
    drained: bool
    check: str


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


class DrainWait:
    """Wait until a node has no requests in flight.

    Args:
        tables: all there are.
        name: the node's address.
        nodes: how many nodes are meant.
        known: as in :class:`Drained`.
        running: tells how many requests are still waited for.
    """

    def __init__(
        self,
        tables: Collection[Table],
        name: str,
        nodes: int,
        *,
        known: bool,
        running: Callable[[], int],
    ) -> None:
        self._tables = tables
        self._name = name
        self._nodes = nodes
        self._known = known
        self._running = running
        self._changed = asyncio.Event()

    async def ended(self, limit: float) -> Drained:
        """Wait until there are none, for ``limit`` seconds at most; return what is left.

        Raises:
            DrainCancelled: a node that was drained is in service again.
        """
        if limit > 0 and self._running():
            for table in self._tables:
                table.watch(self._watch)
            try:
                async with asyncio.timeout(limit):
                    while self._running():
                        self._changed.clear()
                        await self._changed.wait()
            except TimeoutError:
                pass
            finally:
                for table in self._tables:
                    table.unwatch(self._watch)
        return Drained(self._nodes, self._running(), self._known)

    def _watch(self, events: Sequence[Event]) -> None:
        if any(isinstance(event, _TURNS) and event.node.name == self._name for event in events):
            self._changed.set()


class Operator:
    """Operator of the tables of a program.

    Keys are None for all keys; ``by`` says who it is, for the log.

    Args:
        tables: by their first subscription servers.
        clock: the loop's clock, seconds.
    """

    def __init__(self, tables: Mapping[str, Table], clock: Callable[[], float]) -> None:
        self._tables = dict(tables)
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Operator tables={list(self._tables)}>"

    # --- Seeing ---

    def status(self, key: bytes | None = None) -> Iterator[NodeStatus]:
        """Return all nodes, or those of one key, in the order of keys; the tables may change meanwhile."""
        for name, table in self._tables.items():
            pools = table.registry.pools
            for one in sorted(pools) if key is None else [key]:
                pool = pools.get(one)
                if pool is not None:
                    for node in tuple(pool.nodes):
                        yield _status(name, pool, node, self._clock())

    # --- Steering ---

    def drain(self, name: str, key: bytes | None = None, *, by: str) -> DrainWait:
        """Let a node have no new requests; return the wait for those that it has."""
        name, found = self._found(name, key)
        for table, node in found:
            _tell(table, node, table.registry.drain(node), "drained", by)

        def running() -> int:
            for _, node in found:
                if _in_service(node):
                    raise DrainCancelled(f"{name} is in service again")
            return sum(node.reference for _, node in found)

        return self._drain_wait(name, key, len(found), running)

    def leaving(self, name: str, key: bytes | None = None) -> DrainWait:
        """Change nothing; return the wait until a node is out of service by whatever cause, and has no requests.

        As long as it is in service that counts as one request.
        """
        name, found = self._found(name, key)

        def running() -> int:
            return sum(node.reference + _in_service(node) for _, node in self._found(name, key)[1])

        return self._drain_wait(name, key, len(found), running)

    def _drain_wait(
        self, name: str, key: bytes | None, nodes: int, running: Callable[[], int]
    ) -> DrainWait:
        tables, now = self._tables.values(), self._clock()
        known = nodes > 0 or any(
            key is not None and table.registry.was_announced(key, now) for table in tables
        )
        return DrainWait(tables, name, nodes, known=known, running=running)

    def enable(self, name: str, key: bytes | None = None, *, by: str) -> int:
        """Take back a drain; return how many nodes were meant.

        Raises:
            UnknownNode: if there is none.
        """
        found = self._known(name, key)
        for table, node in found:
            _tell(table, node, table.registry.enable(node), "enabled", by)
        return len(found)

    def weigh(self, name: str, weight: int | None, key: bytes | None = None, *, by: str) -> int:
        """Set a node's weight, None: take that back; return how many nodes were meant.

        Raises:
            UnknownNode: if there is none.
        """
        found = self._known(name, key)
        what = "given its announced weight" if weight is None else f"given the weight {weight}"
        for table, node in found:
            _tell(table, node, table.registry.set_weight(node, weight), what, by)
        return len(found)

    def _known(self, name: str, key: bytes | None) -> list[tuple[Table, SubscribedNode]]:
        name, found = self._found(name, key)
        if not found:
            where = "" if key is None else f" of the key {show(key)}"
            raise UnknownNode(f"there is no node {name}{where}")
        return found

    def _found(
        self, name: str, key: bytes | None
    ) -> tuple[str, list[tuple[Table, SubscribedNode]]]:
        """Return a node's name in the tables, and the nodes of that name, gone ones too."""
        try:
            name, _ = node_address(name, None)
        except ValueError:
            return name, []
        return name, [
            (table, node)
            for table in self._tables.values()
            for node in table.registry.named(name, key)
        ]


def _in_service(node: SubscribedNode) -> bool:
    """Return True if it gets requests, or would if it were healthy."""
    return not node.drained and (not node.death_mark or node.stale)


def _tell(table: Table, node: SubscribedNode, events: list[Event], what: str, by: str) -> None:
    if events:
        log.info("[%s] %s is %s by %s", show(node.key), node.name, what, by)
    table.report(events)


def _status(table: str, pool: NodePool, node: SubscribedNode, now: float) -> NodeStatus:
    return NodeStatus(
        table=table,
        key=to_text(pool.key),
        algorithm=pool.algorithm,
        node=node.name,
        state=node.state,
        requests=node.requests,
        running=node.reference,
        weight=node.weight,
        announced_weight=node.announced_weight,
        set_weight=node.set_weight,
        backup=node.backup,
        failures=node.failcnt,
        age=round(max(0.0, now - node.last_seen), 1),
        proto=node.proto,
        drained=node.drained,
        check=node.check_failure,
    )
