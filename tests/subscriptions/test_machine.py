"""Whatever happens to the table, in whatever order, some things always hold."""

from collections import Counter
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.subscriptions.table import Table, user
from uwsgi_router.subscriptions.events import NodeIdle
from uwsgi_router.subscriptions.grant import ANYBODY, Grant
from uwsgi_router.subscriptions.node import (
    DRAINED,
    EJECTED,
    GONE,
    READY,
    SLOW_CONNECT,
    STALE,
    SubscribedNode,
)
from uwsgi_router.subscriptions.refusal import Refused

KEYS = [b"a", b"www.a", b".a", b"b"]
ADDRESSES = [":1", "10.0.0.1:1", "10.0.0.2:1", "/x", "app:1"]
MAX_KEYS, MAX_NODES_PER_KEY, MAX_NODES = 3, 3, 7
#: Somebody elsewhere, and two users who don't trust each other.
ALICE, BOB = user(1, max_keys=2, max_nodes=3), user(2, max_keys=1, max_nodes=1)
SENDERS = [ANYBODY, ALICE, BOB]

Phase = Literal["connecting", "connected"]


class TableMachine(RuleBasedStateMachine):
    """Requests and announces on a small table, with the clock in our hands."""

    @initialize(algorithm=st.sampled_from(["wrr", "lrc", "wlrc", "iphash"]), dotsplit=st.booleans())
    def begin(self, algorithm: str, dotsplit: bool) -> None:
        self.algorithm = algorithm
        self.table = Table(
            algorithm=algorithm,
            dotsplit=dotsplit,
            max_keys=MAX_KEYS,
            max_nodes_per_key=MAX_NODES_PER_KEY,
            max_nodes=MAX_NODES,
        )
        self.held: list[tuple[SubscribedNode, Phase]] = []
        self.drained: set[SubscribedNode] = set()
        self.weights: dict[SubscribedNode, int | None] = {}

    def nodes(self) -> list[SubscribedNode]:
        return [node for pool in self.table.registry.pools.values() for node in pool.nodes]

    @rule(
        key=st.sampled_from(KEYS),
        address=st.sampled_from(ADDRESSES),
        weight=st.integers(1, 3),
        backup=st.integers(0, 1),
        sender=st.sampled_from(SENDERS),
    )
    def announce(self, key: bytes, address: str, weight: int, backup: int, sender: Grant) -> None:
        before = self.looks()
        name = "10.9.9.9:1" if address == ":1" else address
        owner = self.owner(key, name)
        try:
            self.table.announce(address, key=key, weight=weight, backup=backup, grant=sender)
        except Refused:
            assert owner != sender
            assert self.looks() == before
        else:
            assert owner in {None, sender}
            assert not self.table.node(name, key).death_mark
            assert self.owner(key, name) == sender

    @rule(
        key=st.sampled_from(KEYS),
        address=st.sampled_from(ADDRESSES),
        sender=st.sampled_from(SENDERS),
    )
    def leave(self, key: bytes, address: str, sender: Grant) -> None:
        before = self.looks()
        name = "10.9.9.9:1" if address == ":1" else address
        owner = self.owner(key, name)
        try:
            node = self.table.registry.named(name, key)
            self.table.leave(address, key=key, grant=sender)
            # It may still be there, for requests hold it; but it has left.
            self.drained -= set(node)
            self.weights = {n: w for n, w in self.weights.items() if n not in node}
        except Refused:
            assert owner not in {None, sender}
            assert self.looks() == before
        else:
            assert owner in {None, sender}

    def looks(self) -> list[tuple[bytes, str, int, int, int | None]]:
        """All that an announce could change of the nodes."""
        return [(n.key, n.name, n.rank, n.weight, n.owner) for n in self.nodes()]

    def owner(self, key: bytes, name: str) -> Grant | None:
        """Whose node it is, None if there is none."""
        pool = self.table.registry.pools.get(key)
        node = None if pool is None else pool.get(name)
        if node is None:
            return None
        return next(sender for sender in SENDERS if sender.owner == node.owner)

    @precondition(lambda self: self.algorithm == "wrr")
    @rule(key=st.sampled_from(KEYS))
    def full_round(self, key: bytes) -> None:
        """From the end of one round to the end of the next each node gets exactly its weight."""
        pool = self.table.registry.pools.get(key)
        best = None if pool is None else pool.choose(b"", ())
        if pool is None or best is None:
            return
        place = (best.rank, best.backup)
        equals = [node for node in pool.nodes if (node.rank, node.backup) == place]
        for _ in range(sum(node.wrr for node in equals)):
            pool.choose(b"", ())
        got = Counter(pool.choose(b"", ()) for _ in range(sum(node.weight for node in equals)))
        assert got == {node: node.weight for node in equals}

    @rule(seconds=st.sampled_from([0.5, 1, 10, 16.9, 40, 4000]))
    def wait(self, seconds: float) -> None:
        self.table.now += seconds
        self.table.sweep()
        for node in self.nodes():
            age = self.table.now - node.last_seen
            if node.rank in {READY, SLOW_CONNECT, EJECTED}:
                assert age <= 17
            elif node.rank == STALE:
                assert 17 < age <= 68

    @rule(
        key=st.sampled_from(KEYS),
        client=st.sampled_from([b"", b"10.0.0.1", b"::1"]),
        tried=st.integers(0, 2),
    )
    def request(self, key: bytes, client: bytes, tried: int) -> None:
        registry = self.table.registry
        pool = registry.pools.get(key)
        best: SubscribedNode | None = None
        excluded: list[SubscribedNode] = []
        for _ in range(tried + 1):
            best = registry.choose(key, client=client, tried=excluded)
            if best is None:
                break
            assert best not in excluded
            assert best.rank < DRAINED
            if pool is not None and best.key == pool.key:
                left = [node for node in pool.nodes if node not in excluded]
                place = min((n.rank, n.backup) for n in left if n.rank < DRAINED)
                assert (best.rank, best.backup) == place
            excluded.append(best)
        if best is None and pool is not None:
            assert all(node in excluded or node.rank >= DRAINED for node in pool.nodes)
        if best is not None:
            best.reference += 1
            best.connect_started()
            self.held.append((best, "connecting"))

    def take(self, data: st.DataObject, phase: Phase) -> SubscribedNode:
        held = data.draw(st.sampled_from([i for i in self.held if i[1] == phase]))
        self.held.remove(held)
        return held[0]

    def connecting(self) -> bool:
        return any(phase == "connecting" for _, phase in self.held)

    def release(self, node: SubscribedNode) -> None:
        idle = any(isinstance(event, NodeIdle) for event in self.table.release(node))
        assert idle == (node.drained and not node.reference and node.rank != GONE)
        if node.rank == GONE and not node.reference:
            assert node not in self.nodes()

    @precondition(lambda self: self.connecting())
    @rule(data=st.data())
    def slow(self, data: st.DataObject) -> None:
        node = self.take(data, "connecting")
        node.connect_slow()
        self.held.append((node, "connecting"))

    @precondition(lambda self: self.connecting())
    @rule(data=st.data(), timed_out=st.booleans())
    def connect_fails(self, data: st.DataObject, timed_out: bool) -> None:
        node = self.take(data, "connecting")
        self.table.registry.connect_failed(node, self.table.now, timed_out=timed_out)
        assert node.rank == GONE
        self.release(node)

    @precondition(lambda self: self.connecting())
    @rule(data=st.data())
    def client_goes_away(self, data: st.DataObject) -> None:
        node = self.take(data, "connecting")
        node.connect_abandoned()
        self.release(node)

    @precondition(lambda self: self.connecting())
    @rule(data=st.data())
    def connects(self, data: st.DataObject) -> None:
        node = self.take(data, "connecting")
        node.connected()
        assert not node.connecting_slowly
        self.held.append((node, "connected"))

    @precondition(lambda self: any(phase == "connected" for _, phase in self.held))
    @rule(data=st.data())
    def exchange_ends(self, data: st.DataObject) -> None:
        self.release(self.take(data, "connected"))

    @precondition(lambda self: self.nodes())
    @rule(data=st.data(), well=st.booleans())
    def is_checked(self, data: st.DataObject, well: bool) -> None:
        node = data.draw(st.sampled_from(self.nodes()))
        health, failed = self.table.registry.health, bool(node.check_failure)
        events = health.healthy(node) if well else health.unhealthy(node, "why")
        assert bool(events) == (failed == well)
        assert well or node.rank >= DRAINED

    @precondition(lambda self: any(phase == "connected" for _, phase in self.held))
    @rule(data=st.data(), times=st.sampled_from([1, 4, 5]))
    def requests_fail(self, data: st.DataObject, times: int) -> None:
        node = self.take(data, "connected")
        for _ in range(times):
            self.table.registry.health.request_failed(node, self.table.now)
        assert times < 5 or node.ejected
        self.held.append((node, "connected"))

    @precondition(lambda self: any(phase == "connected" for _, phase in self.held))
    @rule(data=st.data())
    def request_is_answered(self, data: st.DataObject) -> None:
        node = self.take(data, "connected")
        self.table.registry.health.request_answered(node)
        assert not node.ejected
        self.held.append((node, "connected"))

    @precondition(lambda self: self.nodes())
    @rule(data=st.data())
    def is_drained(self, data: st.DataObject) -> None:
        node = data.draw(st.sampled_from(self.nodes()))
        events = self.table.registry.drain(node)
        assert bool(events) == (node not in self.drained)
        self.drained.add(node)
        assert node.rank >= DRAINED
        assert self.table.registry.drain(node) == []

    @precondition(lambda self: self.nodes())
    @rule(data=st.data())
    def is_enabled(self, data: st.DataObject) -> None:
        node = data.draw(st.sampled_from(self.nodes()))
        events = self.table.registry.enable(node)
        assert bool(events) == (node in self.drained)
        self.drained.discard(node)

    @precondition(lambda self: self.nodes())
    @rule(data=st.data(), weight=st.sampled_from([1, 2, 5, None]))
    def is_weighed(self, data: st.DataObject, weight: int | None) -> None:
        node = data.draw(st.sampled_from(self.nodes()))
        self.table.registry.set_weight(node, weight)
        self.weights[node] = weight

    @invariant()
    def what_the_operator_set_stays(self) -> None:
        """Until the node leaves; an announce of the same name is a new node's then."""
        nodes = self.nodes()
        self.drained &= set(nodes)
        self.weights = {node: weight for node, weight in self.weights.items() if node in nodes}
        for node in nodes:
            assert node.drained == (node in self.drained)
            weight = self.weights.get(node)
            assert node.weight == (node.announced_weight if weight is None else weight)

    @invariant()
    def rests_end(self) -> None:
        for node in self.nodes():
            assert not node.ejected or 1 <= node.ejection <= 60

    @invariant()
    def caps_are_kept(self) -> None:
        pools = self.table.registry.pools
        assert len(pools) <= MAX_KEYS
        assert all(1 <= len(pool) <= MAX_NODES_PER_KEY for pool in pools.values())
        assert len(self.nodes()) <= MAX_NODES

    @invariant()
    def nobody_has_more_than_granted(self) -> None:
        for sender in (ALICE, BOB):
            assert sender.quota is not None
            mine = [node for node in self.nodes() if node.owner == sender.owner]
            assert len(mine) <= sender.quota.max_nodes
            assert len({node.key for node in mine}) <= sender.quota.max_keys

    @invariant()
    def counts_are_true(self) -> None:
        nodes = self.nodes()
        usable = [node for node in nodes if node.rank != GONE]
        assert len(self.table.registry) == len(usable)
        assert self.table.registry.empty == (not usable)
        for node in nodes:
            held = [phase for holder, phase in self.held if holder is node]
            assert node.reference == len(held)
            assert node.connecting == held.count("connecting")
            # Whoever may not be chosen has no part in rounds; it gets a new one when it is back.
            unused = node.rank >= DRAINED or not self.table.registry.pools[node.key]._sorted
            assert 0 <= node.wrr <= node.weight or unused
            assert node.rank != GONE or node.reference

    @invariant()
    def what_is_held_is_in_the_table(self) -> None:
        nodes = self.nodes()
        assert all(node in nodes for node, _ in self.held)


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
