"""Nodes that fail their checks, and nodes that fail requests."""

import pytest

from tests.subscriptions.table import Table, words
from uwsgi_router.subscriptions.health import Health
from uwsgi_router.subscriptions.node import EJECTED, UNHEALTHY

A, B = "a:1", "b:1"


def two_nodes(**options: object) -> Table:
    table = Table(**options)
    table.announce(A)
    table.announce(B)
    return table


def failing(table: Table, name: str, times: int) -> list[str]:
    """What happens when so many requests in a row fail."""
    events = []
    for _ in range(times):
        events += table.registry.health.request_failed(table.node(name), table.now)
    return words(events)


def answering(table: Table, name: str) -> list[str]:
    return words(table.registry.health.request_answered(table.node(name)))


# --- checks ---


def test_an_unhealthy_node_is_never_chosen_until_it_is_healthy() -> None:
    table = two_nodes()
    health, node = table.registry.health, table.node(A)
    assert words(health.unhealthy(node, "connection refused")) == [
        "NodeUnhealthy a:1 connection refused"
    ]
    assert set(table.choices(4)) == {B}
    health.unhealthy(table.node(B), "no answer")
    assert table.choose() is None
    assert words(health.healthy(node)) == ["NodeHealthy a:1"]
    assert set(table.choices(4)) == {A}


def test_what_is_known_already_is_told_once_and_the_reason_is_the_latest() -> None:
    table = two_nodes()
    health, node = table.registry.health, table.node(A)
    assert health.healthy(node) == []
    assert health.unhealthy(node, "one") != []
    assert health.unhealthy(node, "two") == []
    assert node.check_failure == "two"


def test_an_announce_makes_nobody_healthy_and_a_silent_one_that_is_ill_is_no_last_resort() -> None:
    table = Table()
    table.announce(A)
    table.registry.health.unhealthy(table.node(A), "why")
    table.announce(A, weight=2)
    assert table.choose() is None
    table.now += 20
    table.sweep()
    assert table.node(A).stale
    assert table.choose() is None
    table.announce(A)
    assert table.choose() is None
    assert not table.registry.empty


def test_a_node_that_left_comes_back_as_a_new_one() -> None:
    table = two_nodes()
    table.registry.health.unhealthy(table.node(A), "why")
    table.leave(A)
    table.announce(A)
    assert set(table.choices(4)) == {A, B}


def test_first_check_a_new_node_is_not_used_before_a_check_has_succeeded() -> None:
    table = Table(health=Health(checked_first={"uwsgi"}))
    table.announce(A)
    node = table.node(A)
    assert table.choose() is None
    assert words(table.registry.health.healthy(node)) == ["NodeHealthy a:1"]
    assert table.choose() == A
    # A restart while a request still held the old process.
    node.reference += 1
    table.leave(A)
    table.announce(A)
    assert table.node(A) is node
    assert table.choose() is None


def test_first_check_is_only_asked_of_protocols_that_are_checked() -> None:
    table = Table(health=Health(checked_first={"http"}), protocols={"uwsgi", "http"})
    table.announce(A)
    assert table.choose() == A
    table.announce(B, proto="http")
    assert table.node(B).rank == UNHEALTHY


# --- requests ---


def test_five_failures_in_a_row_let_a_node_rest_for_a_second() -> None:
    table = two_nodes()
    assert failing(table, A, 4) == []
    assert failing(table, A, 1) == ["NodeEjected a:1"]
    assert table.node(A).rank == EJECTED
    assert set(table.choices(4)) == {B}
    table.now += 1
    table.sweep()
    assert set(table.choices(4)) == {A, B}


def test_an_answer_in_between_begins_the_count_anew() -> None:
    table = two_nodes()
    failing(table, A, 4)
    assert answering(table, A) == []
    assert failing(table, A, 4) == []
    assert set(table.choices(4)) == {A, B}


def test_each_rest_is_twice_as_long_up_to_a_minute_until_it_answers() -> None:
    table = two_nodes(tolerance=1e6)
    failing(table, A, 4)
    rests = []
    for _ in range(9):
        failing(table, A, 1)
        began = table.now
        while table.node(A).ejected:
            table.now += 1
            table.sweep()
        rests.append(table.now - began)
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert answering(table, A) == ["NodeAnswers a:1"]
    failing(table, A, 5)
    assert table.node(A).ejection == 1


def test_failures_of_requests_that_began_before_the_rest_do_not_lengthen_it() -> None:
    table = two_nodes()
    assert failing(table, A, 100) == ["NodeEjected a:1"]
    table.now += 1
    table.sweep()
    assert set(table.choices(4)) == {A, B}


def test_an_answer_ends_the_rest() -> None:
    table = two_nodes()
    failing(table, A, 5)
    answering(table, A)
    assert set(table.choices(4)) == {A, B}
    table.now += 5
    table.sweep()
    assert set(table.choices(4)) == {A, B}


def test_the_last_one_of_a_pool_is_used_all_the_same() -> None:
    table = two_nodes()
    failing(table, A, 5)
    failing(table, B, 5)
    assert set(table.choices(4)) == {A, B}


def test_one_that_rests_comes_before_one_that_fell_silent_and_after_a_backup() -> None:
    table = Table()
    table.announce(A)
    table.announce("backup:1", backup=1)
    failing(table, A, 5)
    assert table.choose() == "backup:1"
    table.now += 10
    table.announce(A)
    table.now += 10
    table.sweep()
    failing(table, A, 1)
    assert table.node("backup:1").stale
    assert table.node(A).ejected
    assert table.choose() == A


@pytest.mark.parametrize("fails", [0, 2])
def test_how_many_failures_is_configured_and_0_is_never(fails: int) -> None:
    table = two_nodes(health=Health(fails))
    assert failing(table, A, 2) == (["NodeEjected a:1"] if fails else [])


def test_a_node_that_has_left_the_table_leaves_nothing_behind() -> None:
    table = two_nodes()
    node = table.node(A)
    failing(table, A, 5)
    table.leave(A)
    assert table.registry.health.request_failed(node, table.now) == []
    assert "ejected=0" in repr(table.registry.health)
