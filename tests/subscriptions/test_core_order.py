"""The algorithm least: against its plain definition, and what shares come of it."""

import random
from collections import Counter
from collections.abc import Collection, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.subscriptions.table import KEY, Table
from uwsgi_router.subscriptions.core_order import CoreOrder
from uwsgi_router.subscriptions.node import Node, SubscribedNode

ADDRESSES = [f"10.0.0.{number}:1" for number in range(1, 8)]
NODES = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 3), st.sampled_from([10, 35, 100])),
    min_size=1,
    max_size=len(ADDRESSES),
)
#: (what, of which): a choice without some, an end, a request that was given to a node otherwise.
STEPS = st.lists(st.tuples(st.sampled_from("ccceg"), st.integers(0, 10_000)), max_size=60)


def table_of(cores: Sequence[int], algorithm: str = "least") -> Table:
    table = Table(algorithm=algorithm)
    for address, count in zip(ADDRESSES, cores, strict=False):
        table.announce(address, cores=count)
    return table


def nodes_of(table: Table) -> list[SubscribedNode]:
    return list(table.registry.pools[KEY].nodes)


def units(nodes: Sequence[Node], excluded: Collection[Node] = ()) -> tuple[int, dict[Node, int]]:
    """The lowest level, and what of it is free at each node: by what core_order.py promises."""
    left = [node for node in nodes if node not in excluded]
    levels = {node: 100 * node.reference // node.capacity for node in left}
    lowest = min(levels.values())
    return lowest, {
        node: (lowest + 1) * node.capacity - 100 * node.reference
        for node in left
        if levels[node] == lowest
    }


@given(NODES, STEPS)
@settings(max_examples=300, deadline=None)
def test_each_choice_is_what_the_definition_says(
    plans: list[tuple[int, int, int]], steps: list[tuple[str, int]]
) -> None:
    table = Table()
    for address, (cores, weight, _share) in zip(ADDRESSES, plans, strict=False):
        table.announce(address, cores=cores, weight=weight)
    nodes = nodes_of(table)
    for node, (_cores, _weight, share) in zip(nodes, plans, strict=True):
        node.share = share
    order = CoreOrder(nodes)
    held: list[Node] = []
    for what, number in steps:
        match what:
            case "e" if held:
                held.pop(number % len(held)).let_go()
            case "g":
                node = nodes[number % len(nodes)]
                node.reference += 1
                node.recount()
                held.append(node)
            case "c":
                excluded = [one for i, one in enumerate(nodes) if number >> i & 1 and number % 3]
                left = set(nodes) - set(excluded)
                chosen = order.choose(excluded)
                if not left:
                    assert chosen is None
                    continue
                assert chosen is not None
                assert chosen in units(nodes, excluded)[1]
                chosen.reference += 1
                held.append(chosen)
        level, free = units(nodes)
        assert order.lowest == (level, sum(free.values()))
        places = [order.at(unit) for unit in range(0, sum(free.values()), 5)]
        assert places == [node for node in nodes for _ in range(0, free.get(node, 0), 5)]


def test_a_request_that_nobody_told_of_is_seen_when_its_node_would_be_chosen() -> None:
    nodes = nodes_of(table_of([1, 1]))
    order = CoreOrder(nodes)
    nodes[0].reference = 1
    assert [order.choose(()) for _ in range(20)] == 20 * [nodes[1]]


def test_what_is_excluded_is_not_forgotten() -> None:
    nodes = nodes_of(table_of([1, 2, 4]))
    order = CoreOrder(nodes)
    assert order.choose(nodes) is None
    assert order.lowest == (0, 700)
    assert [order.choose(nodes[1:]) for _ in range(20)] == 20 * [nodes[0]]


class Load:
    """Clients that each have one request after the other, on virtual time."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.requests: Counter[str] = Counter()
        self.draw = random.Random(20)

    def run(self, clients: int, requests: int, slowness: dict[str, float] | None = None) -> None:
        slow = slowness or {}
        running: list[tuple[float, int, SubscribedNode]] = []
        now = 0.0
        for number in range(requests):
            if len(running) == clients:
                running.sort()
                now, _, done = running.pop(0)
                self.table.release(done)
            name = self.table.choose()
            assert name is not None
            node = self.table.node(name)
            node.reference += 1
            # Several requests of one core take turns.
            crowd = max(1.0, node.reference / max(1, node.cores))
            seconds = self.draw.expovariate(1) * slow.get(name, 1.0) * crowd
            running.append((now + seconds, number, node))
            self.requests[name] += 1


@pytest.mark.parametrize("clients", [1, 4, 7, 15, 40])
def test_nodes_get_requests_as_they_have_cores_however_many_run(clients: int) -> None:
    random.seed(clients)
    load = Load(table_of([1, 2, 4, 8]))
    load.run(clients, 15_000)
    for address, cores in zip(ADDRESSES, (1, 2, 4, 8), strict=False):
        assert load.requests[address] == pytest.approx(1000 * cores, rel=0.1)


@pytest.mark.parametrize("clients", [7, 15])
def test_a_slow_node_gets_fewer(clients: int) -> None:
    random.seed(clients)
    load = Load(table_of([4, 4]))
    load.run(clients, 10_000, {ADDRESSES[0]: 4.0})
    slow, other = load.requests[ADDRESSES[0]], load.requests[ADDRESSES[1]]
    assert slow < other / 2


def test_a_node_that_tells_no_cores_has_one_and_a_weight_multiplies() -> None:
    table = Table(algorithm="least")
    table.announce(ADDRESSES[0])
    table.announce(ADDRESSES[1], cores=2)
    table.registry.set_weight(table.node(ADDRESSES[1]), 3)
    assert [node.capacity for node in nodes_of(table)] == [100, 600]


def test_more_cores_count_from_the_announce_on() -> None:
    table = table_of([1, 1])
    for node in nodes_of(table):
        node.reference = 1
    table.choices(1)
    table.announce(ADDRESSES[0], cores=3)
    assert table.choices(10) == 10 * [ADDRESSES[0]]


def test_of_one_node_there_is_no_order() -> None:
    table = table_of([3])
    assert table.choices(2) == 2 * [ADDRESSES[0]]
    assert table.choose(table.node(ADDRESSES[0])) is None
