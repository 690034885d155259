"""Registry: the table of announced nodes, and the only one to change it (uWSGI: core/subscription.c).

Time comes in as ``now``, what happened goes out as events; nothing here knows of sockets or logs.

The life of a node: an announce makes it; it lives as long as it announces itself again within the
tolerance. After an unsubscribe or a failed connect it is gone, and leaves the table as soon as no
exchange holds it; an announce before that revives it. Without an announce in time it is stale: the
last resort for three tolerances more, for the datagrams may have been lost.

Weight and drain that an operator sets outlive announces: until they are taken back, the node
unsubscribes, or it is not in the table any more. Names that are withheld are drained whatever their nodes do.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from uwsgi_router.protocol.address import Address
from uwsgi_router.protocol.key import normal_key
from uwsgi_router.protocol.subscription import MAX_KEY, Proto, Subscription
from uwsgi_router.subscriptions.balancing import ALGORITHMS
from uwsgi_router.subscriptions.events import (
    Event,
    FailureReason,
    NodeAdded,
    NodeDrained,
    NodeEnabled,
    NodeFailed,
    NodeIdle,
    NodeRefreshed,
    NodeRemoved,
    NodeWeighed,
    PoolAdded,
    PoolRemoved,
    SniChanged,
)
from uwsgi_router.subscriptions.expiring_set import ExpiringSet
from uwsgi_router.subscriptions.fair_room import (
    FairRoom,
    Place,
    place_of,
    share_of_memory,
    share_of_source,
)
from uwsgi_router.subscriptions.grant import ANYBODY, Grant
from uwsgi_router.subscriptions.health import Health
from uwsgi_router.subscriptions.keys import other_keys
from uwsgi_router.subscriptions.node import Node, SubscribedNode
from uwsgi_router.subscriptions.node_address import node_address
from uwsgi_router.subscriptions.pool import NodePool
from uwsgi_router.subscriptions.refusal import Refused
from uwsgi_router.subscriptions.shares import Shares
from uwsgi_router.subscriptions.slow_start import SlowStart
from uwsgi_router.subscriptions.sni import Sni
from uwsgi_router.subscriptions.withheld import WithheldNames

#: How long a key without nodes stays known, and a node that left stays suspect.
REMEMBERED: Final = 3600.0
#: Tolerances for which a stale node stays the last resort.
LAST_RESORT: Final = 3
#: How many nodes there may be in all.
MAX_NODES: Final = 100_000


class Registry:
    """Registry of all pools, by key.

    Args:
        started: when the program started, on the same clock as every ``now``.
        tolerance: seconds after its last announce at which a node becomes stale.
        settling: seconds after the start within which every node announces itself, at most a tolerance.
        algorithm: for pools whose first announce asks for none that we have.
        dotsplit: whether ``.example.com`` answers for names below it.
        mountpoints: path segments that belong to a key; 0: none.
        max_keys: how many keys there may be.
        max_nodes_per_key: how many nodes there may be for one key.
        max_nodes: how many nodes there may be in all.
        protocols: what the routers that use this table can speak to nodes.
        router: what other routers know this one by; b"": it passes no announces on.
        health: health of the nodes; None: with the defaults of :class:`Health`.
        expected: keys that count as announced before anybody has announced them.
        slow_start: seconds until a node that comes (back) gets its whole share of the requests; 0: at once.

    Attributes:
        expected: see above, in the normal form.
        health: of the nodes, by health checks and requests.
    """

    def __init__(
        self,
        *,
        started: float,
        tolerance: float = 17.0,
        settling: float = 0.0,
        algorithm: str = "wrr",
        dotsplit: bool = False,
        mountpoints: int = 0,
        max_keys: int = 10_000,
        max_nodes_per_key: int = 1_000,
        max_nodes: int = MAX_NODES,
        protocols: Collection[Proto] = frozenset({"uwsgi"}),
        router: bytes = b"",
        health: Health | None = None,
        expected: Collection[bytes] = (),
        slow_start: float = 0.0,
    ) -> None:
        self.tolerance = tolerance
        self.mountpoints = mountpoints
        self._algorithm = algorithm
        self._dotsplit = dotsplit
        self._max_nodes_per_key = max_nodes_per_key
        self._room_for_keys = FairRoom(max_keys, "keys")
        self._room_for_nodes = FairRoom(max_nodes, "nodes")
        # What is remembered of keys and nodes that left; of one source no more than a quarter of it.
        self._remembered_keys = share_of_memory(max_keys)
        self._remembered_nodes = share_of_memory(max_nodes)
        self._protocols = protocols
        self._router = router
        self.health = Health() if health is None else health
        self._started = started
        self._settling = min(settling, tolerance)
        self._slow_start = SlowStart(slow_start, started + self._settling)
        self._pools: dict[bytes, NodePool] = {}
        self._announces = 0
        self._shares = Shares()
        # The order of announces is the order of ages, so a sweep looks only at those that are due.
        self._live: OrderedDict[SubscribedNode, None] = OrderedDict()
        self._stale: OrderedDict[SubscribedNode, None] = OrderedDict()
        self._known: ExpiringSet[bytes] = ExpiringSet(REMEMBERED, max_keys)
        self._suspects: ExpiringSet[tuple[bytes, str]] = ExpiringSet(REMEMBERED, max_nodes)
        self.expected = frozenset(map(normal_key, expected))
        self._given_up: frozenset[bytes] = frozenset()
        self._withheld = WithheldNames()

    def __repr__(self) -> str:
        return f"<Registry keys={len(self._pools)} nodes={self._room_for_nodes.used} usable={len(self)}>"

    def __len__(self) -> int:
        """Return the number of nodes that are not gone. Not all of them may be chosen."""
        return len(self._live) + len(self._stale)

    @property
    def empty(self) -> bool:
        """True if no node lives (cheap mode)."""
        return not self._live and not self._stale

    @property
    def pools(self) -> Mapping[bytes, NodePool]:
        """All pools by key; to look at, not to change."""
        return MappingProxyType(self._pools)

    # --- What nodes say ---

    def apply(
        self,
        subscription: Subscription,
        *,
        source: str | None,
        now: float,
        grant: Grant = ANYBODY,
        sni: Sni | None = None,
        restored: bool = False,
    ) -> list[Event]:
        """Do what a datagram asks for.

        Args:
            subscription: a decoded datagram whose sender may say so.
            source: the IP address it came from, None if it came over a UNIX socket. Nodes that
                listen on every interface announce no address of theirs; this one is taken.
            now: the time.
            grant: what the gate found out about its sender.
            sni: what it says that TLS for its key needs, as far as that may be taken.
            restored: it was in the table before: no source has had too much of it.

        Raises:
            Refused: if the table takes no such node, or it is somebody else's; the table is
                unchanged then.
        """
        name, address = node_address(subscription.address, source)
        pool = self._pools.get(subscription.key)
        node = self._named(subscription.key, name)
        if node is not None and node.owner != grant.owner:
            raise Refused("owner", f"{name} belongs to another user: {_user(node.owner)}")
        if subscription.command == "unsubscribe":
            return self._unsubscribe(node, now)
        if self._router in subscription.via:
            # We are told of our own nodes, by a router that has them from us: requests would go in
            # circles. If it had others before, it has none now.
            return self._unsubscribe(node if node is not None and node.via else None, now)
        if subscription.proto not in self._protocols:
            spoken = ", ".join(sorted(self._protocols))
            raise Refused(
                "protocol", f"{name} speaks {subscription.proto}; the routers here speak {spoken}"
            )
        if node is None:
            place = place_of(source, None if grant.credentials is None else grant.credentials.uid)
            self._check_room(place, pool, name, subscription.key, shared=not restored)
            node, events = self._added(
                subscription, pool, name, address, now=now, grant=grant, place=place
            )
        else:
            rerouted = node.via != subscription.via
            events = [NodeRefreshed(subscription.key, node, node.death_mark, rerouted)]
        came = node not in self._live and node not in self._stale
        node.announced(subscription, now)
        if came:
            self.health.added(node)
        node.granted(grant)
        node.source = source
        node.sni = sni
        self._stale.pop(node, None)
        self._live[node] = None
        self._live.move_to_end(node)
        return events + self._sni_changed(node.key)

    def _check_room(
        self, place: Place, pool: NodePool | None, name: str, key: bytes, *, shared: bool
    ) -> None:
        """Check that there is room for a node from this place.

        Raises:
            Refused: if not.
        """
        why = self._room_for_nodes.refusal(place, shared=shared)
        if why:
            raise Refused("full", f"no room for {name}: {why}")
        if pool is None:
            why = self._room_for_keys.refusal(place, shared=shared)
            if why:
                raise Refused("full", f"no room for the key {key!r}: {why} (subscription-max-keys)")
            return
        limit = self._max_nodes_per_key
        if len(pool) >= limit:
            raise Refused(
                "full", f"no room for {name}: the key holds {limit} nodes (subscription-max-nodes)"
            )
        share = share_of_source(limit, len(pool)) if shared else None
        if share is not None and pool.has_from(place, share):
            text = f"its sender has {share} of the key's nodes or more, and the last quarter of {limit} is for others"
            raise Refused("full", f"no room for {name}: {text} (subscription-max-nodes)")

    def _added(
        self,
        subscription: Subscription,
        pool: NodePool | None,
        name: str,
        address: Address,
        *,
        now: float,
        grant: Grant,
        place: Place,
    ) -> tuple[SubscribedNode, list[Event]]:
        """Take in a node that is not in the table."""
        key = subscription.key
        events: list[Event] = []
        if grant.owner is not None and grant.quota is not None:
            self._shares.check(grant.owner, key, grant.quota)
        if pool is None:
            # An algorithm that we don't have is no reason to refuse a node; the event tells which
            # one is used.
            asked = subscription.algo or ""
            algorithm = asked if asked in ALGORITHMS else self._algorithm
            pool = NodePool(key, algorithm, place, self._slow_start)
            self._pools[key] = pool
            self._room_for_keys.take(place)
            self._known.discard(key)
            self._given_up -= {key}
            events.append(PoolAdded(key, pool.algorithm))
        elif len(pool) >= self._max_nodes_per_key:
            raise Refused(
                "full", f"no room for {name}: the key holds {self._max_nodes_per_key} nodes"
            )
        self._announces += 1
        node = SubscribedNode(
            name, address, pool.key, pool.resort, order=self._announces, place=place
        )
        node.owner = grant.owner
        node.suspect = self._suspects.contains((key, name), now)
        node.drained = name in self._withheld
        self._suspects.discard((key, name))
        pool.add(node)
        self._room_for_nodes.take(place)
        if grant.owner is not None:
            self._shares.add(grant.owner, key, grant.quota)
        events.append(NodeAdded(key, node))
        return node, events

    def _unsubscribe(self, node: SubscribedNode | None, now: float) -> list[Event]:
        if node is None:
            return []
        node.failcnt += 1
        # What it announces from now on is a new node to the operator, even if requests still hold this.
        node.drained = node.name in self._withheld
        node.weigh(None)
        return self._mark_gone(node, "unsubscribe", now)

    def _sni_changed(self, key: bytes) -> list[Event]:
        pool = self._pools.get(key)
        if pool is None:
            return []
        sni = pool.announced_sni()
        if sni == pool.sni:
            return []
        pool.sni = sni
        return [SniChanged(pool.key, sni)]

    # --- What an earlier run knew ---

    def restore(
        self,
        subscription: Subscription,
        *,
        source: str | None,
        now: float,
        grant: Grant,
        sni: Sni | None,
        stale: bool,
    ) -> list[Event]:
        """Take in a node that was in the table when the program ended; it gets one tolerance.

        To be called before the first announce comes.

        Args:
            subscription: what it said.
            source: the IP address it came from, None if it came over a UNIX socket.
            now: the time.
            grant: what the gate says of its sender.
            sni: as for :meth:`apply`.
            stale: it was stale: it is the last resort again.

        Raises:
            Refused: as :meth:`apply`.
        """
        events = self.apply(
            subscription, source=source, now=now, grant=grant, sni=sni, restored=True
        )
        for event in events:
            if isinstance(event, NodeAdded):
                self.health.restored(event.node)
                if stale:
                    self._became_stale(event.node)
                    event.node.last_seen = event.node.alive_at = now - self.tolerance
        return events

    def remember(self, key: bytes, since: float, owner: int | None) -> None:
        """Remember a key that has no nodes; to be called with the one first that lost them first.

        Args:
            key: it.
            since: when it lost its last node; may be before the program's start.
            owner: whose node that was.
        """
        if key not in self._pools and key not in self._given_up:
            self._known.add(key, since, owner=owner)

    def remembered(self) -> list[tuple[bytes, float, int | None]]:
        """Return the keys without nodes that are remembered, each as :meth:`remember` takes it."""
        return [
            (key, since, owner if isinstance(owner, int) else None)
            for key, since, owner in self._known.items()
        ]

    def once_expected(self) -> list[bytes]:
        """Return the keys that are expected, and those with nodes that were by an earlier configuration."""
        return sorted(self.expected.union(key for key in self._given_up if key in self._pools))

    def give_up(self, once_expected: Iterable[bytes]) -> None:
        """Forget keys that only an earlier configuration expected, as soon as they have no nodes to choose.

        Args:
            once_expected: of the process with that configuration.
        """
        self._given_up = frozenset(once_expected) - self.expected
        for key in self._given_up:
            self._known.discard(key)

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
            key: the request's key; with mountpoints as :func:`uwsgi_router.subscriptions.keys.mountpoint_key`
                makes it.
            client: the client's address as text, for iphash; empty if there is none.
            tried: nodes that this request has tried.
        """
        return self.choose_any((key,), client=client, tried=tried)

    def choose_exactly(
        self, key: bytes, client: bytes, tried: Collection[Node]
    ) -> SubscribedNode | None:
        """Return the node for a request by exactly this key, which counts as a hit, or None, which does not."""
        pool = self._pools.get(key)
        if pool is None:
            return None
        node = pool.choose(client, tried)
        if node is not None:
            pool.hits += 1
        return node

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

    def has_untried(self, key: bytes, tried: Collection[Node]) -> bool:
        """Return True if :meth:`choose` would return a node; spend no turn and count no hit."""
        for other in (key, *self.related_keys(key)):
            pool = self._pools.get(other)
            if pool is not None and pool.has_untried(tried):
                return True
        return False

    def has_nodes(self, key: bytes) -> bool:
        """Return True if there are nodes for this key, perhaps gone ones."""
        return key in self._pools or any(other in self._pools for other in self.related_keys(key))

    def is_known(self, key: bytes, now: float) -> bool:
        """Return True if a request for this key had better wait for a node than be sent away.

        That is: it has nodes, or had some within an hour, or the program hasn't run long enough to
        have heard of all nodes.
        """
        is_new = now - self._started < self.tolerance and key not in self._given_up
        return is_new or self.was_announced(key, now)

    @property
    def settled_at(self) -> float:
        """Time from which on a key that nobody has announced is taken for an unknown one."""
        return self._started + self._settling

    def settle(self) -> None:
        """Note that the table is whole already: an earlier run saved it a moment ago."""
        self._settling = 0.0

    def was_announced(self, key: bytes, now: float) -> bool:
        """Return True if this key, or one that answers for it, has nodes or had some within an hour."""
        return self.announced_key(key, now) is not None

    def announced_key(self, key: bytes, now: float) -> bytes | None:
        """Return the key whose nodes are this key's: itself, or one that answers for it; see :meth:`was_announced`."""
        if key in self._given_up:
            # Those whose nodes are being drained, too.
            return key if self.has_untried(key, ()) else None
        if key in self._pools or key in self.expected or self._known.contains(key, now):
            return key
        for other in self.related_keys(key):
            if other in self._pools or self._known.contains(other, now):
                return other
        return None

    def related_keys(self, key: bytes) -> Iterator[bytes]:
        """Return the other keys that may answer for ``key`` (dotsplit, mountpoints), best first."""
        if len(key) > MAX_KEY or not (self._dotsplit or self.mountpoints):
            return iter(())
        return other_keys(key, dotsplit=self._dotsplit, mountpoints=self.mountpoints > 0)

    # --- What the operator wants ---

    def named(self, name: str, key: bytes | None = None) -> list[SubscribedNode]:
        """Return the nodes of this name, gone ones too; of all keys if ``key`` is None."""
        if key is not None:
            return [node for node in (self._named(key, name),) if node is not None]
        return [node for pool in self._pools.values() if (node := pool.get(name)) is not None]

    def _named(self, key: bytes, name: str) -> SubscribedNode | None:
        pool = self._pools.get(key)
        return None if pool is None else pool.get(name)

    def drain(self, node: SubscribedNode) -> list[Event]:
        """Choose ``node`` no more, not even as the last resort, however often it announces itself."""
        self._withheld.keep(node.name)
        if node.drained:
            return []
        node.drained = True
        node.rank_changed()
        return [NodeDrained(node.key, node)]

    def enable(self, node: SubscribedNode) -> list[Event]:
        """Take back :meth:`drain`, and :meth:`withhold` of its name."""
        self._withheld.forget(node.name)
        if not node.drained:
            return []
        node.drained = False
        node.rank_changed()
        return [NodeEnabled(node.key, node)]

    def withhold(self, name: str) -> list[Event]:
        """Drain the nodes of this name, and whatever announces itself under it until :meth:`admit`.

        It may be called several times; as many calls of :meth:`admit` end it.
        """
        events: list[Event] = []
        kept = False
        for node in self.named(name):
            kept = kept or node.drained
            if not node.drained:
                events += self.drain(node)
        self._withheld.add(name, kept=kept)
        return events

    def admit(self, name: str) -> list[Event]:
        """Take back :meth:`withhold`; nodes that were drained apart from it stay so."""
        if not self._withheld.remove(name):
            return []
        return [event for node in self.named(name) for event in self.enable(node)]

    def set_weight(self, node: SubscribedNode, weight: int | None) -> list[Event]:
        """Give ``node`` a weight, whatever it announces; None: the announced one counts again.

        Args:
            node: it.
            weight: 1 to :data:`uwsgi_router.protocol.subscription.MAX_WEIGHT`.
        """
        if node.set_weight == weight:
            return []
        node.weigh(weight)
        return [NodeWeighed(node.key, node)]

    # --- Failures and ends of nodes ---

    def connect_failed(self, node: SubscribedNode, now: float, *, timed_out: bool) -> list[Event]:
        """Record a connect to ``node`` that was refused or (``timed_out``) not answered in time: it is gone."""
        node.connect_failed(timed_out=timed_out)
        return self._mark_gone(node, "connect", now)

    def released(self, node: SubscribedNode, now: float) -> list[Event]:
        """Note that an exchange holds ``node`` no more (its ``reference`` has been counted down already)."""
        if node.reference:
            return []
        if node.death_mark and not node.stale:
            return self._remove(node, now)
        return [NodeIdle(node.key, node)] if node.drained else []

    def sweep(self, now: float, *, lossy: bool = False) -> list[Event]:
        """Mark nodes as stale, and remove those that were so for long; to be called about once a second.

        Args:
            now: the time.
            lossy: announces were lost a moment ago: who served requests instead of being heard is not stale.
        """
        events: list[Event] = []
        while self._live:
            node = next(iter(self._live))
            if now - node.alive_at <= self.tolerance:
                break
            if lossy and node.served_since_alive(now):
                self._live.move_to_end(node)
                continue
            self._became_stale(node)
            node.failcnt += 1
            events.append(NodeFailed(node.key, node, "stale"))
        while self._stale:
            node = next(iter(self._stale))
            if now - node.alive_at <= (1 + LAST_RESORT) * self.tolerance:
                break
            del self._stale[node]
            self._leaves(node)
            node.stale = False
            node.rank_changed()
            events += self._sni_changed(node.key)
            events += self.released(node, now)
        for readmitted in self.health.sweep(now):
            self._readmitted(readmitted)
        self._slow_start.advance(now)
        self._known.forget_old(now)
        self._suspects.forget_old(now)
        return events

    def _became_stale(self, node: SubscribedNode) -> None:
        del self._live[node]
        self._stale[node] = None
        node.death_mark = node.stale = True
        node.rank_changed()

    def _mark_gone(self, node: SubscribedNode, reason: FailureReason, now: float) -> list[Event]:
        """Choose ``node`` no more, and remove it if nobody holds it."""
        events: list[Event] = []
        if not node.death_mark or node.stale:
            self._leaves(node)
            self._live.pop(node, None)
            self._stale.pop(node, None)
            node.death_mark, node.stale = True, False
            node.rank_changed()
            events.append(NodeFailed(node.key, node, reason))
            events += self._sni_changed(node.key)
        return events + self.released(node, now)

    def _leaves(self, node: SubscribedNode) -> None:
        """Handle a node that is chosen no more from now on; a hook for tables that several processes use."""

    def _readmitted(self, node: Node) -> None:
        """Handle the end of an ejection; likewise a hook."""

    def _remove(self, node: SubscribedNode, now: float) -> list[Event]:
        if node.removed:
            return []
        node.removed = True
        pool = self._pools[node.key]
        pool.remove(node)
        self.health.removed(node)
        self._room_for_nodes.give_back(node.place)
        owner = node.owner
        quota = None if owner is None else self._shares.remove(owner, pool.key)
        # Nobody's nodes that come and go push out what is remembered of others.
        remembered_for = node.place.source if owner is None else owner
        if node.suspect:
            share = self._remembered_nodes if quota is None else quota.max_nodes
            self._suspects.add((pool.key, node.name), now, owner=remembered_for, share=share)
        events: list[Event] = [NodeRemoved(pool.key, node)]
        if not len(pool):
            del self._pools[pool.key]
            self._room_for_keys.give_back(pool.founder)
            if pool.key not in self._given_up:
                share = self._remembered_keys if quota is None else quota.max_keys
                self._known.add(pool.key, now, owner=remembered_for, share=share)
            events.append(PoolRemoved(pool.key))
        return events


def _user(owner: int | None) -> str:
    return "not one of this machine's" if owner is None else f"user {owner}"
