"""Balancing algorithms against their plain definition over all nodes, whatever happens to these."""

from collections.abc import Callable, Collection, Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.subscriptions.table import KEY, Table
from uwsgi_router.subscriptions.node import DRAINED, Node, SubscribedNode
from uwsgi_router.subscriptions.pool import NodePool

ADDRESSES = [f"10.0.0.{number}:1" for number in range(1, 8)]
LOADS: dict[str, Callable[[SubscribedNode], float]] = {
    "wrr": lambda _node: 0.0,
    "lrc": lambda node: node.reference,
    "wlrc": lambda node: node.reference / node.weight,
}

TRAFFIC = st.lists(st.integers(0, 100), min_size=1, max_size=40)
Credits = dict[SubscribedNode, int]


def plainly_chosen(
    nodes: Sequence[SubscribedNode],
    excluded: Collection[Node],
    load: Callable[[SubscribedNode], float],
) -> tuple[SubscribedNode | None, Credits]:
    """The node among some of equal rank, and the credit of all afterwards: by what balancing.py promises."""
    credit = {node: node.wrr for node in nodes}
    left = [node for node in nodes if node not in excluded]
    if not left:
        return None, credit
    tied = [node for node in left if load(node) == min(map(load, left))]
    if not any(credit[node] for node in tied):
        credit = {node: node.weight for node in nodes}

    def turn(node: SubscribedNode) -> tuple[float, int]:
        return 1 - (credit[node] - 0.5) / node.weight, node.order

    first = min((node for node in tied if credit[node]), key=turn)
    credit[first] -= 1
    return first, credit


class BalancingMachine(RuleBasedStateMachine):
    """Requests to the nodes of one key, which come, go, and change their rank, weight and backup level."""

    @initialize(
        algorithm=st.sampled_from(sorted(LOADS)),
        weights=st.lists(st.integers(1, 4), min_size=1, max_size=len(ADDRESSES)),
        equal=st.booleans(),
    )
    def begin(self, algorithm: str, weights: list[int], equal: bool) -> None:
        self.load = LOADS[algorithm]
        self.table = Table(algorithm=algorithm)
        self.held: list[SubscribedNode] = []
        for address, weight in zip(ADDRESSES, weights, strict=False):
            self.table.announce(address, weight=weights[0] if equal else weight)

    @property
    def pool(self) -> NodePool | None:
        return self.table.registry.pools.get(KEY)

    def nodes(self) -> list[SubscribedNode]:
        return [] if self.pool is None else list(self.pool.nodes)

    @rule(
        address=st.sampled_from(ADDRESSES),
        weight=st.integers(1, 4),
        backup=st.sampled_from([0, 0, 1]),
    )
    def announce(self, address: str, weight: int, backup: int) -> None:
        self.table.announce(address, weight=weight, backup=backup)

    @precondition(lambda self: self.nodes())
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.table.leave(data.draw(st.sampled_from(self.nodes())).name)

    @precondition(lambda self: self.nodes())
    @rule(steps=TRAFFIC)
    def traffic(self, steps: list[int]) -> None:
        """Requests that begin (even, with the nodes that they have tried) and end (odd)."""
        for step in steps:
            what, ends = divmod(step, 2)
            if not ends:
                nodes = self.nodes()
                if nodes:
                    tried, which = divmod(what, 4 * len(nodes))
                    self.request([nodes[(which + i) % len(nodes)] for i in range(min(3, tried))])
            elif self.held:
                self.table.release(self.held.pop(what % len(self.held)))

    @precondition(lambda self: self.nodes())
    @rule(steps=TRAFFIC)
    def more_traffic(self, steps: list[int]) -> None:
        """As often again."""
        self.traffic(steps)

    def request(self, excluded: list[SubscribedNode]) -> None:
        """Choose, and hold what was chosen."""
        pool = self.pool
        assert pool is not None
        pool._sort_nodes()
        best: SubscribedNode | None = None
        credit: Credits = {}
        ranks = {(node.rank, node.backup) for node in pool.nodes if node.rank < DRAINED}
        for place in sorted(ranks):
            equals = [node for node in pool.nodes if (node.rank, node.backup) == place]
            best, its_credit = plainly_chosen(equals, excluded, self.load)
            credit |= its_credit
            if best is not None:
                break
        assert pool.choose(b"", excluded) is best
        assert {node: node.wrr for node in credit} == credit
        if best is not None:
            best.reference += 1
            self.held.append(best)

    @precondition(lambda self: self.nodes())
    @rule(
        data=st.data(), what=st.sampled_from(["drain", "enable", "eject", "answer", "ill", "well"])
    )
    def rank_changes(self, data: st.DataObject, what: str) -> None:
        node = data.draw(st.sampled_from(self.nodes()))
        registry = self.table.registry
        match what:
            case "drain":
                registry.drain(node)
            case "enable":
                registry.enable(node)
            case "eject":
                for _ in range(5):
                    registry.health.request_failed(node, self.table.now)
            case "answer":
                registry.health.request_answered(node)
            case "ill":
                registry.health.unhealthy(node, "why")
            case _:
                registry.health.healthy(node)

    @precondition(lambda self: self.nodes())
    @rule(data=st.data(), weight=st.sampled_from([1, 2, 9, None]))
    def weight_changes(self, data: st.DataObject, weight: int | None) -> None:
        self.table.registry.set_weight(data.draw(st.sampled_from(self.nodes())), weight)

    @rule(seconds=st.sampled_from([1, 16.9, 40]))
    def time_passes(self, seconds: float) -> None:
        self.table.now += seconds
        self.table.sweep()

    @invariant()
    def what_is_remembered_is_bounded(self) -> None:
        pool = self.pool
        for candidates in () if pool is None else pool._groups.values():
            loads = candidates.loads
            if loads is not None:
                assert len(loads._heap) <= 3 * len(candidates.nodes) + 16
                assert len(set(loads._spent)) == len(loads._spent)


TestBalancing = BalancingMachine.TestCase
TestBalancing.settings = settings(max_examples=150, stateful_step_count=20, deadline=None)


def test_a_node_that_is_removed_keeps_nothing_of_the_others() -> None:
    table = Table(algorithm="lrc")
    for address in ADDRESSES:
        table.announce(address)
    table.choices(3)
    node = table.node(ADDRESSES[0])
    assert node.freed is not None
    table.leave(ADDRESSES[0])
    assert node.removed
    assert node.freed is None
