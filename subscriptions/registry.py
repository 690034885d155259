"""The table of announced nodes, and the only one who changes it (wire-and-subscriptions sheet, 3).

Time comes in as ``now``, what happened goes out as events; nothing here knows of sockets or logs.

The life of a node: an announce makes it; it lives as long as it announces itself again within the
tolerance. It dies by an unsubscribe or a failed connect, and leaves the table as soon as no
exchange holds it; an announce before that revives it. If it only falls silent it becomes the last
resort, for three tolerances more: the datagrams may have been lost, the node may be well.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from protocol.address import Address, InetAddress, parse_node_address
from protocol.subscription import MAX_KEY, Proto, Subscription
from subscriptions.balancing import ALGORITHMS
from subscriptions.events import (
    Event,
    FailureReason,
    NodeAdded,
    NodeFailed,
    NodeRefreshed,
    NodeRemoved,
    PoolAdded,
    PoolRemoved,
)
from subscriptions.keys import other_keys
from subscriptions.memory import Memory
from subscriptions.node import Node, SubscribedNode
from subscriptions.pool import NodePool

#: How long a key without nodes stays known, and a node that left stays suspect.
REMEMBERED: Final = 3600.0
#: A node that fell silent stays the last resort for so many tolerances.
LAST_RESORT: Final = 3


class Refused(ValueError):
    """The table takes no such node; ``str()`` is the reason for the log."""


class Registry:
    """All pools, by key.

    Args:
        started: when the program started, on the same clock as every ``now``.
        tolerance: seconds after its last announce at which a node falls silent.
        algorithm: for pools whose first announce asks for none that we have.
        dotsplit: whether ``.example.com`` answers for names below it.
        mountpoints: path segments that belong to a key; 0: none.
        max_keys: how many keys there may be.
        max_nodes_per_key: how many nodes there may be for one key.
        max_nodes: how many nodes there may be in all.
        protocols: what the routers that use this table can speak to nodes.
    """

    def __init__(
        self,
        *,
        started: float,
        tolerance: float = 17.0,
        algorithm: str = "wrr",
        dotsplit: bool = False,
        mountpoints: int = 0,
        max_keys: int = 10_000,
        max_nodes_per_key: int = 1_000,
        max_nodes: int = 100_000,
        protocols: Collection[Proto] = frozenset({"uwsgi"}),
    ) -> None:
        self.tolerance = tolerance
        self.mountpoints = mountpoints
        self._algorithm = algorithm
        self._dotsplit = dotsplit
        self._max_keys = max_keys
        self._max_nodes_per_key = max_nodes_per_key
        self._max_nodes = max_nodes
        self._protocols = protocols
        self._started = started
        self._pools: dict[bytes, NodePool] = {}
        self._count = 0
        self._announces = 0
        # The order of announces is the order of ages, so a sweep looks only at those that are due.
        self._live: OrderedDict[SubscribedNode, None] = OrderedDict()
        self._silent: OrderedDict[SubscribedNode, None] = OrderedDict()
        self._known: Memory[bytes] = Memory(REMEMBERED, max_keys)
        self._suspects: Memory[tuple[bytes, str]] = Memory(REMEMBERED, max_nodes)

    def __repr__(self) -> str:
        return f"<Registry keys={len(self._pools)} nodes={self._count} usable={len(self)}>"

    def __len__(self) -> int:
        """How many nodes may be chosen, last resorts included."""
        return len(self._live) + len(self._silent)

    @property
    def empty(self) -> bool:
        """True if there is no node that may be chosen (cheap mode)."""
        return not self._live and not self._silent

    @property
    def pools(self) -> Mapping[bytes, NodePool]:
        """All pools by key; to look at, not to change."""
        return MappingProxyType(self._pools)

    # --- What nodes say ---

    def apply(self, subscription: Subscription, *, source: str | None, now: float) -> list[Event]:
        """Do what a datagram asks for.

        Args:
            subscription: a decoded datagram whose sender may say so.
            source: the IP address it came from, None if it came over a UNIX socket. Nodes that
                listen on every interface announce no address of theirs; this one is taken.
            now: the time.

        Raises:
            Refused: if the table takes no such node; it is unchanged then.
        """
        name, address = _whereabouts(subscription.address, source)
        if subscription.command == "unsubscribe":
            return self._unsubscribe(subscription.key, name, now)
        if subscription.proto not in self._protocols:
            spoken = ", ".join(sorted(self._protocols))
            raise Refused(f"{name} speaks {subscription.proto}; the routers here speak {spoken}")
        pool = self._pools.get(subscription.key)
        node = pool.get(name) if pool is not None else None
        if node is None:
            return self._subscribe(subscription, pool, name, address, now)
        revived = node.death_mark
        node.announced(subscription, now)
        self._silent.pop(node, None)
        self._live[node] = None
        self._live.move_to_end(node)
        return [NodeRefreshed(subscription.key, node, revived)]

    def _subscribe(
        self,
        subscription: Subscription,
        pool: NodePool | None,
        name: str,
        address: Address,
        now: float,
    ) -> list[Event]:
        """Take in a node that is not in the table."""
        key = subscription.key
        events: list[Event] = []
        if self._count >= self._max_nodes:
            raise Refused(f"no room for {name}: the table holds {self._max_nodes} nodes")
        if pool is None:
            if len(self._pools) >= self._max_keys:
                raise Refused(f"no room for the key {key!r}: the table holds {self._max_keys} keys")
            # An algorithm that we don't have is no reason to refuse a node; the event tells which
            # one is used.
            asked = subscription.algo or ""
            pool = NodePool(key, asked if asked in ALGORITHMS else self._algorithm)
            self._pools[key] = pool
            self._known.discard(key)
            events.append(PoolAdded(key, pool.algorithm))
        elif len(pool) >= self._max_nodes_per_key:
            raise Refused(f"no room for {name}: the key holds {self._max_nodes_per_key} nodes")
        self._announces += 1
        node = SubscribedNode(name, address, pool, order=self._announces)
        node.announced(subscription, now)
        node.suspect = self._suspects.knows((key, name), now)
        self._suspects.discard((key, name))
        pool.add(node)
        self._count += 1
        self._live[node] = None
        events.append(NodeAdded(key, node))
        return events

    def _unsubscribe(self, key: bytes, name: str, now: float) -> list[Event]:
        pool = self._pools.get(key)
        node = pool.get(name) if pool is not None else None
        if node is None:
            return []
        node.failcnt += 1
        return self._died(node, "unsubscribe", now)

    # --- What requests need ---

    def find(self, key: bytes) -> NodePool | None:
        """Return the pool of exactly this key, and count a hit."""
        pool = self._pools.get(key)
        if pool is not None:
            pool.hits += 1
        return pool

    def choose(
        self, key: bytes, *, client: bytes = b"", tried: Collection[Node] = ()
    ) -> SubscribedNode | None:
        """Return the node for a request, or None.

        If the key has none left, the keys that may answer for it are looked up (dotsplit,
        mountpoints).

        Args:
            key: the request's key; with mountpoints as :func:`subscriptions.keys.mountpoint_key`
                makes it.
            client: the client's address as text, for iphash; empty if there is none.
            tried: nodes that this request has tried.
        """
        return self.choose_any((key,), client=client, tried=tried)

    def choose_any(
        self, keys: Sequence[bytes], *, client: bytes = b"", tried: Collection[Node] = ()
    ) -> SubscribedNode | None:
        """Return the node for a request whose key may be written in several ways, or None.

        Each of ``keys`` itself comes before any key that may answer for one of them: a wildcard
        must not win because the exact key was written in capitals.
        """
        for key in keys:
            pool = self.find(key)
            if pool is not None:
                node = pool.choose(client, tried)
                if node is not None:
                    return node
        if self._dotsplit or self.mountpoints:
            for key in keys:
                for other in self.related_keys(key):
                    pool = self.find(other)
                    if pool is not None:
                        node = pool.choose(client, tried)
                        if node is not None:
                            return node
        return None

    def has_nodes(self, key: bytes) -> bool:
        """True if there are nodes for this key, perhaps dead ones."""
        return key in self._pools or any(other in self._pools for other in self.related_keys(key))

    def is_known(self, key: bytes, now: float) -> bool:
        """True if a request for this key had better wait for a node than be sent away.

        That is: it has nodes, or had some within an hour, or the program hasn't run long enough to
        have heard of all nodes.
        """
        return now - self._started < self.tolerance or self.was_announced(key, now)

    def was_announced(self, key: bytes, now: float) -> bool:
        """True if this key, or one that answers for it, has nodes or had some within an hour."""
        if self.has_nodes(key) or self._known.knows(key, now):
            return True
        return any(self._known.knows(other, now) for other in self.related_keys(key))

    def related_keys(self, key: bytes) -> Iterator[bytes]:
        """Return the other keys that may answer for ``key`` (dotsplit, mountpoints), best first."""
        if len(key) > MAX_KEY or not (self._dotsplit or self.mountpoints):
            return iter(())
        return other_keys(key, dotsplit=self._dotsplit, mountpoints=self.mountpoints > 0)

    # --- What becomes of nodes ---

    def connect_failed(self, node: SubscribedNode, now: float, *, timed_out: bool) -> list[Event]:
        """A connect to ``node`` was refused or (``timed_out``) not answered in time: it is dead."""
        node.connect_failed(timed_out=timed_out)
        return self._died(node, "connect", now)

    def released(self, node: SubscribedNode, now: float) -> list[Event]:
        """An exchange holds ``node`` no more (its ``reference`` has been counted down already)."""
        if node.reference or not node.death_mark or node.silent:
            return []
        return self._remove(node, now)

    def sweep(self, now: float) -> list[Event]:
        """Find out who fell silent, and for how long; to be called about once a second."""
        events: list[Event] = []
        while self._live:
            node = next(iter(self._live))
            if now - node.last_seen <= self.tolerance:
                break
            del self._live[node]
            self._silent[node] = None
            node.failcnt += 1
            node.death_mark = node.silent = True
            node.standing_changed()
            events.append(NodeFailed(node.pool.key, node, "silent"))
        while self._silent:
            node = next(iter(self._silent))
            if now - node.last_seen <= (1 + LAST_RESORT) * self.tolerance:
                break
            del self._silent[node]
            node.silent = False
            node.standing_changed()
            events += self.released(node, now)
        self._known.forget_old(now)
        self._suspects.forget_old(now)
        return events

    def _died(self, node: SubscribedNode, reason: FailureReason, now: float) -> list[Event]:
        """Choose ``node`` no more, and remove it if nobody holds it."""
        events: list[Event] = []
        if not node.death_mark or node.silent:
            self._live.pop(node, None)
            self._silent.pop(node, None)
            node.death_mark, node.silent = True, False
            node.standing_changed()
            events.append(NodeFailed(node.pool.key, node, reason))
        return events + self.released(node, now)

    def _remove(self, node: SubscribedNode, now: float) -> list[Event]:
        pool = node.pool
        if pool.get(node.name) is not node:
            return []
        pool.remove(node)
        self._count -= 1
        if node.suspect:
            self._suspects.add((pool.key, node.name), now)
        events: list[Event] = [NodeRemoved(pool.key, node)]
        if not len(pool):
            del self._pools[pool.key]
            self._known.add(pool.key, now)
            events.append(PoolRemoved(pool.key))
        return events


def _whereabouts(announced: str, source: str | None) -> tuple[str, Address]:
    """Return name and address of an announced node.

    ``:3031``, ``0.0.0.0:3031`` and ``[::]:3031`` say where it listens; it can be reached where its
    datagram came from. The name says so too, for two hosts that announce ``:3031`` are two nodes.
    """
    address = parse_node_address(announced)
    if isinstance(address, InetAddress):
        if not address.is_every_interface:
            return announced, address
        address = InetAddress(source or "127.0.0.1", address.port)
    elif not announced.startswith("\0"):
        return announced, address
    return str(address), address
