"""Operator of nodes: status, drain, enable, weight; for the control socket and Python."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from uwsgi_router.protocol.text import show
from uwsgi_router.router.admin.control.nodes import (
    AnnouncedNode,
    ConfiguredNodes,
    NodeStatus,
    SteeredNode,
    status_of,
)
from uwsgi_router.router.certificates.expiry import CertificateEnd
from uwsgi_router.router.table.table import Table
from uwsgi_router.subscriptions.node_address import node_address


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
        nodes: all of its name.
        known: as in :class:`Drained`.
        running: tells how many requests are still waited for.
    """

    def __init__(
        self, nodes: Sequence[SteeredNode], *, known: bool, running: Callable[[], int]
    ) -> None:
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
            ends = [node.watch(self._changed.set) for node in self._nodes]
            try:
                async with asyncio.timeout(limit):
                    while self._running():
                        self._changed.clear()
                        await self._changed.wait()
            except TimeoutError:
                pass
            finally:
                for end in ends:
                    end()
        return Drained(len(self._nodes), self._running(), self._known)


class Operator:
    """Operator of the nodes of a program.

    Keys are None for all keys, and configured nodes, which have none; ``by`` says who it is, for the log.

    Args:
        tables: of announced nodes, by their first subscription servers.
        clock: the loop's clock, seconds.
        configured: nodes that the configuration names.
        certificates: returns the ends of those that are served over TLS.
    """

    def __init__(
        self,
        tables: Mapping[str, Table],
        clock: Callable[[], float],
        configured: Sequence[ConfiguredNodes] = (),
        certificates: Callable[[], Sequence[CertificateEnd]] = tuple,
    ) -> None:
        self._tables = dict(tables)
        self._clock = clock
        self._configured = configured
        self.certificates = certificates

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

    # --- Steering ---

    def drain(self, name: str, key: bytes | None = None, *, by: str) -> DrainWait:
        """Let a node have no new requests; return the wait for those that it has."""
        found = self._found(name, key)
        for one in found:
            one.drain(by)

        def running() -> int:
            if any(one.in_service for one in found):
                raise DrainCancelled(f"{name} is in service again")
            return sum(one.node.reference for one in found)

        return self._drain_wait(key, found, running)

    def leaving(self, name: str, key: bytes | None = None) -> DrainWait:
        """Change nothing; return the wait until a node is out of service by whatever cause, and has no requests.

        As long as it is in service that counts as one request.
        """

        def running() -> int:
            return sum(one.node.reference + one.in_service for one in self._found(name, key))

        return self._drain_wait(key, self._found(name, key), running)

    def _drain_wait(
        self, key: bytes | None, found: list[SteeredNode], running: Callable[[], int]
    ) -> DrainWait:
        now = self._clock()
        known = bool(found) or any(
            key is not None and table.registry.was_announced(key, now)
            for table in self._tables.values()
        )
        return DrainWait(found, known=known, running=running)

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
