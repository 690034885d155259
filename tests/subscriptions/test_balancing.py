"""Who is next: shares, ties, and stability."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.subscriptions.balancing import (
    ALGORITHMS,
    MAX_HOMES,
    Candidates,
    iphash,
    lrc,
    wlrc,
    wrr,
)
from uwsgi_router.subscriptions.fair_room import place_of
from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.pool import NodePool

WEIGHTS = st.lists(st.integers(1, 30), min_size=1, max_size=12)


def candidates(*weights: int) -> Candidates:
    pool = NodePool(b"k", "wrr", place_of(None, None))
    nodes = []
    for order, weight in enumerate(weights):
        node = SubscribedNode(
            chr(65 + order),
            InetAddress("10.0.0.1", 80),
            pool.key,
            pool.resort,
            order=order,
            place=pool.founder,
        )
        node.announced(Subscription("subscribe", b"k", ":80", weight=weight), 0.0)
        nodes.append(node)
    return Candidates(nodes)


def chosen(node: SubscribedNode | None) -> SubscribedNode:
    assert node is not None
    return node


def turns(among: Candidates, count: int) -> str:
    return "".join(chosen(wrr(among, b"", ())).name for _ in range(count))


@given(WEIGHTS, st.integers(1, 4))
def test_over_each_full_round_each_node_gets_exactly_its_weight(
    weights: list[int], rounds: int
) -> None:
    among = candidates(*weights)
    expected = Counter({chr(65 + i): weight for i, weight in enumerate(weights)})
    for _ in range(rounds):
        assert Counter(turns(among, sum(weights))) == expected


@given(WEIGHTS)
def test_within_a_round_nobody_is_more_than_a_turn_ahead_or_behind_its_share(
    weights: list[int],
) -> None:
    among = candidates(*weights)
    total = sum(weights)
    sequence = turns(among, total)
    for taken in range(1, total + 1):
        counts = Counter(sequence[:taken])
        for i, weight in enumerate(weights):
            assert abs(counts[chr(65 + i)] - weight * taken / total) <= len(weights) / 2 + 0.5


@pytest.mark.parametrize(
    ("weights", "sequence"),
    [
        ((1, 1, 1), "ABCABC"),
        ((3, 1), "AABAAABA"),
        ((5, 1, 1), "AAABCAA"),
        ((3, 2), "ABABA"),
        ((1_000_000,), "AAAA"),
    ],
)
def test_turns_are_spread_over_the_round(weights: tuple[int, ...], sequence: str) -> None:
    assert turns(candidates(*weights), len(sequence)) == sequence


def test_credit_is_what_is_left_of_the_round() -> None:
    among = candidates(2, 1)
    assert [node.wrr for node in among.nodes] == [2, 1]
    turns(among, 2)
    assert sum(node.wrr for node in among.nodes) == 1
    turns(among, 1)
    assert [node.wrr for node in among.nodes] == [0, 0]
    turns(among, 1)
    assert [node.wrr for node in among.nodes] == [1, 1]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(weights=WEIGHTS, data=st.data())
def test_excluded_nodes_are_never_chosen_and_others_always_are(
    algorithm: str, weights: list[int], data: st.DataObject
) -> None:
    among = candidates(*weights)
    for _ in range(2 * len(weights)):
        excluded = data.draw(st.lists(st.sampled_from(list(among.nodes)), unique=True))
        node = ALGORITHMS[algorithm](among, b"10.0.0.1", excluded)
        if len(excluded) == len(weights):
            assert node is None
        else:
            assert chosen(node) not in excluded
        assert all(0 <= node.wrr <= node.weight for node in among.nodes)


def test_a_node_that_comes_gets_no_burst() -> None:
    before = candidates(100, 100)
    turns(before, 190)
    newcomer = candidates(100).nodes[0]
    newcomer.name, newcomer.order = "N", 9
    among = Candidates([*before.nodes, newcomer], before)
    assert newcomer.wrr == 5
    assert Counter(turns(among, 15)) == {"A": 5, "B": 5, "N": 5}
    assert Counter(turns(among, 300)) == {"A": 100, "B": 100, "N": 100}


def test_a_node_that_comes_at_the_end_of_a_round_need_not_wait_for_the_next() -> None:
    before = candidates(1, 1)
    turns(before, 2)
    newcomer = candidates(1).nodes[0]
    newcomer.name = "N"
    assert turns(Candidates([*before.nodes, newcomer], before), 1) == "N"


@given(WEIGHTS)
def test_idle_nodes_share_by_weight_under_lrc_and_wlrc(weights: list[int]) -> None:
    for algorithm in (lrc, wlrc):
        plain, among = candidates(*weights), candidates(*weights)
        names = "".join(chosen(algorithm(among, b"", ())).name for _ in range(2 * sum(weights)))
        assert names == turns(plain, 2 * sum(weights))


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=9), st.data())
def test_the_least_loaded_node_is_chosen(nodes: list[tuple[int, int]], data: st.DataObject) -> None:
    among = candidates(*(weight for weight, _ in nodes))
    for node, (_, references) in zip(among.nodes, nodes, strict=True):
        node.reference = references
    for _ in range(20):
        node = chosen(lrc(among, b"", ()))
        assert node.reference == min(other.reference for other in among.nodes)
        node = chosen(wlrc(among, b"", ()))
        assert node.reference / node.weight == min(n.reference / n.weight for n in among.nodes)
        busier = data.draw(st.sampled_from(list(among.nodes)))
        busier.reference += 1


def test_held_requests_spread_by_weight_under_wlrc() -> None:
    among = candidates(3, 1)
    for _ in range(40):
        chosen(wlrc(among, b"", ())).reference += 1
    assert [node.reference for node in among.nodes] == [30, 10]


CLIENTS = [b"10.0.%d.%d" % divmod(i, 256) for i in range(600)]


def homes(among: Candidates) -> dict[bytes, str]:
    return {client: chosen(iphash(among, client, ())).name for client in CLIENTS}


def test_iphash_gives_a_client_the_same_node_and_each_node_its_share() -> None:
    among = candidates(1, 1, 1)
    first = homes(among)
    assert homes(among) == first
    assert homes(candidates(1, 1, 1)) == first
    assert all(150 < count < 250 for count in Counter(first.values()).values())


def test_iphash_is_the_same_in_every_process_and_version() -> None:
    # Pinned: workers, and the next release, must send a client where it was sent before.
    found = homes(candidates(1, 1, 1))
    assert "".join(found[client] for client in CLIENTS[:12]) == "BBCCCACABCBA"


@given(st.integers(2, 9), st.data())
def test_iphash_moves_only_the_clients_of_a_node_that_left(count: int, data: st.DataObject) -> None:
    among = candidates(*[1] * count)
    before = homes(among)
    gone = data.draw(st.sampled_from(list(among.nodes)))
    after = homes(Candidates([node for node in among.nodes if node is not gone]))
    assert all(after[client] == name for client, name in before.items() if name != gone.name)
    # A request that has tried the node goes where it would go if the node were gone.
    for client in CLIENTS[:20]:
        assert chosen(iphash(among, client, [gone])).name == after[client]


def test_iphash_without_a_client_is_round_robin() -> None:
    among = candidates(1, 1)
    assert "".join(chosen(iphash(among, b"", ())).name for _ in range(4)) == "ABAB"


def test_iphash_remembers_a_bounded_number_of_clients() -> None:
    among = candidates(1, 1, 1)
    for i in range(3 * MAX_HOMES):
        iphash(among, b"%d" % i, ())
        assert len(among.homes) <= MAX_HOMES


def test_repr_is_one_line() -> None:
    among = candidates(2, 1)
    turns(among, 1)
    assert repr(among) == "<Candidates A:1/2 B:1/1>"
