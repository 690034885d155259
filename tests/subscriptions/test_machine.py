"""Whatever happens to the table, in whatever order, some things always hold."""

from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from subscriptions.node import DEAD, DOUBTFUL, READY, SILENT, SubscribedNode
from subscriptions.registry import Refused
from tests.subscriptions.table import Table

KEYS = [b"a", b"www.a", b".a", b"b"]
ADDRESSES = [":1", "10.0.0.1:1", "10.0.0.2:1", "/x", "app:1"]
MAX_KEYS, MAX_NODES_PER_KEY, MAX_NODES = 3, 3, 7

Phase = Literal["connecting", "connected"]


class TableMachine(RuleBasedStateMachine):
    """Requests and announces on a small table, with the clock in our hands."""

    @initialize(algorithm=st.sampled_from(["wrr", "lrc", "wlrc", "iphash"]), dotsplit=st.booleans())
    def begin(self, algorithm: str, dotsplit: bool) -> None:
        self.table = Table(
            algorithm=algorithm,
            dotsplit=dotsplit,
            max_keys=MAX_KEYS,
            max_nodes_per_key=MAX_NODES_PER_KEY,
            max_nodes=MAX_NODES,
        )
        self.held: list[tuple[SubscribedNode, Phase]] = []

    def nodes(self) -> list[SubscribedNode]:
        return [node for pool in self.table.registry.pools.values() for node in pool.nodes]

    @rule(
        key=st.sampled_from(KEYS),
        address=st.sampled_from(ADDRESSES),
        weight=st.integers(1, 3),
        backup=st.integers(0, 1),
    )
    def announce(self, key: bytes, address: str, weight: int, backup: int) -> None:
        before = {(node.pool.key, node.name) for node in self.nodes()}
        name = "10.9.9.9:1" if address == ":1" else address
        try:
            self.table.announce(address, key=key, weight=weight, backup=backup)
        except Refused:
            assert (key, name) not in before
            assert {(node.pool.key, node.name) for node in self.nodes()} == before
        else:
            assert not self.table.node(name, key).death_mark

    @rule(key=st.sampled_from(KEYS), address=st.sampled_from(ADDRESSES))
    def leave(self, key: bytes, address: str) -> None:
        self.table.leave(address, key=key)

    @rule(seconds=st.sampled_from([0.5, 1, 10, 16.9, 40, 4000]))
    def wait(self, seconds: float) -> None:
        self.table.now += seconds
        self.table.sweep()
        for node in self.nodes():
            age = self.table.now - node.last_seen
            if node.standing in {READY, DOUBTFUL}:
                assert age <= 17
            elif node.standing == SILENT:
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
            assert best.standing != DEAD
            if best.pool is pool:
                left = [node for node in pool.nodes if node not in excluded]
                place = min((n.standing, n.backup) for n in left if n.standing != DEAD)
                assert (best.standing, best.backup) == place
            excluded.append(best)
        if best is None and pool is not None:
            assert all(node in excluded or node.standing == DEAD for node in pool.nodes)
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
        self.table.release(node)
        if node.standing == DEAD and not node.reference:
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
        assert node.standing == DEAD
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
        assert not node.doubtful
        self.held.append((node, "connected"))

    @precondition(lambda self: any(phase == "connected" for _, phase in self.held))
    @rule(data=st.data())
    def exchange_ends(self, data: st.DataObject) -> None:
        self.release(self.take(data, "connected"))

    @invariant()
    def caps_are_kept(self) -> None:
        pools = self.table.registry.pools
        assert len(pools) <= MAX_KEYS
        assert all(1 <= len(pool) <= MAX_NODES_PER_KEY for pool in pools.values())
        assert len(self.nodes()) <= MAX_NODES

    @invariant()
    def counts_are_true(self) -> None:
        nodes = self.nodes()
        usable = [node for node in nodes if node.standing != DEAD]
        assert len(self.table.registry) == len(usable)
        assert self.table.registry.empty == (not usable)
        for node in nodes:
            held = [phase for holder, phase in self.held if holder is node]
            assert node.reference == len(held)
            assert node.connecting == held.count("connecting")
            assert 0 <= node.wrr <= node.weight or node.pool._sorted is False
            assert node.standing != DEAD or node.reference

    @invariant()
    def what_is_held_is_in_the_table(self) -> None:
        nodes = self.nodes()
        assert all(node in nodes for node, _ in self.held)


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
