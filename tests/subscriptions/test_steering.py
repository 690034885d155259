"""What an operator sets of a node: how long it stays, and what it does to choices."""

from collections import Counter

import pytest

from tests.subscriptions.table import KEY, Table
from uwsgi_router.subscriptions.events import (
    NodeDrained,
    NodeEnabled,
    NodeIdle,
    NodeRemoved,
    NodeWeighed,
)

A, B, C = "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"


@pytest.fixture
def table() -> Table:
    table = Table()
    table.announce(A)
    table.announce(B)
    return table


def test_a_drained_node_is_never_chosen_not_even_as_the_last_resort(table: Table) -> None:
    assert table.registry.drain(table.node(A)) == [NodeDrained(KEY, table.node(A))]
    assert table.choices(4) == [B] * 4
    table.fail(B)
    assert table.choose() is None
    table.now += 20
    table.sweep()
    assert table.node(A).stale
    assert table.choose() is None


def test_it_outlives_announces_until_it_is_enabled(table: Table) -> None:
    node = table.node(A)
    table.registry.drain(node)
    table.announce(A)
    assert (node.state, table.choices(2)) == ("drained", [B, B])
    assert table.registry.drain(node) == []
    assert table.registry.enable(node) == [NodeEnabled(KEY, node)]
    assert table.registry.enable(node) == []
    assert A in table.choices(2)


def test_a_node_that_left_and_comes_back_is_a_new_one(table: Table) -> None:
    """Whether or not a request still held it meanwhile."""
    for held in (0, 1):
        node = table.node(A)
        node.reference += held
        table.registry.drain(node)
        table.registry.set_weight(node, 9)
        table.leave(A)
        assert (node.state, node.weight) == ("gone", 1)
        table.announce(A)
        assert (table.node(A) is node) == bool(held)
        assert (table.node(A).state, table.node(A).weight) == ("ready", 1)


def test_a_drained_node_whose_connect_fails_stays_drained_as_long_as_it_is_held(
    table: Table,
) -> None:
    node = table.node(A)
    node.reference += 1
    table.registry.drain(node)
    table.fail(A)
    assert node.state == "gone"
    table.announce(A)
    assert node.state == "drained"


def test_the_end_of_its_last_request_is_told(table: Table) -> None:
    node = table.node(A)
    node.reference = 2
    table.registry.drain(node)
    assert table.release(node) == []
    assert table.release(node) == [NodeIdle(KEY, node)]


def test_of_a_node_that_left_it_is_told_by_its_removal(table: Table) -> None:
    node = table.node(A)
    node.reference = 1
    table.leave(A)
    assert table.registry.named(A) == [node]
    assert table.release(node) == [NodeRemoved(KEY, node)]
    assert table.registry.named(A) == []


def test_of_a_node_in_service_it_is_nobody_s_business(table: Table) -> None:
    node = table.node(A)
    node.reference = 1
    assert table.release(node) == []


def test_a_weight_is_exact_over_a_round_whatever_is_announced(table: Table) -> None:
    table.announce(C, weight=2)
    node = table.node(A)
    assert table.registry.set_weight(node, 5) == [NodeWeighed(KEY, node)]
    assert table.registry.set_weight(node, 5) == []
    for _ in range(sum(table.node(name).wrr for name in (A, B, C)) or 1):
        table.choose()
    while any(table.node(name).wrr for name in (A, B, C)):
        table.choose()
    table.announce(A, weight=3)
    assert (node.weight, node.announced_weight, node.set_weight) == (5, 3, 5)
    assert Counter(table.choices(8)) == {A: 5, B: 1, C: 2}
    table.registry.set_weight(node, None)
    assert Counter(table.choices(6)) == {A: 3, B: 1, C: 2}


def test_nodes_are_found_by_name_in_one_key_or_in_all(table: Table) -> None:
    table.announce(A, b"other")
    assert [node.key for node in table.registry.named(A)] == [KEY, b"other"]
    assert [node.key for node in table.registry.named(A, b"other")] == [b"other"]
    assert table.registry.named(A, b"none") == []
    assert table.registry.named("10.0.0.9:1") == []


def test_a_table_of_drained_nodes_is_not_empty(table: Table) -> None:
    """Requests are told that there is nobody, they don't wait in the backlog as in cheap mode."""
    for name in (A, B):
        table.registry.drain(table.node(name))
    assert not table.registry.empty


def test_a_withheld_name_is_drained_also_when_its_node_leaves_and_comes_back(table: Table) -> None:
    old = table.node(A)
    assert table.registry.withhold(A) == [NodeDrained(KEY, old)]
    table.leave(A)
    table.announce(A)
    table.announce(A, b"other")
    new = table.node(A)
    assert new is not old
    assert (new.state, table.choices(2)) == ("drained", [B, B])
    others = table.registry.named(A, b"other")
    assert table.registry.admit(A) == [NodeEnabled(KEY, new), NodeEnabled(b"other", others[0])]
    assert A in table.choices(2)


def test_a_name_may_be_withheld_before_anybody_announces_it(table: Table) -> None:
    assert table.registry.withhold(C) == []
    table.announce(C)
    assert table.node(C).state == "drained"
    assert table.registry.admit(C) == [NodeEnabled(KEY, table.node(C))]
    assert table.registry.admit(C) == []


def test_it_is_withheld_until_the_last_one_who_did_takes_that_back(table: Table) -> None:
    table.registry.withhold(A)
    table.registry.withhold(A)
    assert table.registry.admit(A) == []
    assert table.node(A).drained
    assert table.registry.admit(A) == [NodeEnabled(KEY, table.node(A))]


@pytest.mark.parametrize("before", [True, False])
def test_a_drain_apart_from_that_stays(table: Table, before: bool) -> None:
    if before:
        table.registry.drain(table.node(A))
    table.registry.withhold(A)
    if not before:
        table.registry.drain(table.node(A))
    assert table.registry.admit(A) == []
    assert table.node(A).state == "drained"


def test_an_operator_s_enable_ends_it(table: Table) -> None:
    table.registry.withhold(A)
    assert table.registry.enable(table.node(A)) == [NodeEnabled(KEY, table.node(A))]
    table.leave(A)
    table.announce(A)
    assert table.node(A).state == "ready"
    assert table.registry.admit(A) == []
