"""Slow start: nodes that come, or come back, get their share little by little."""

from collections import Counter

import pytest

from tests.subscriptions.table import Table
from uwsgi_router.subscriptions.node import FULL_SHARE

OLD = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]
NEW, NEWER = "10.0.0.8:1", "10.0.0.9:1"


def table_with(algorithm: str = "wrr", *, slow_start: float = 10.0) -> Table:
    """A table whose old nodes have served for long."""
    table = Table(algorithm=algorithm, slow_start=slow_start)
    table.sweep()
    for address in OLD:
        table.announce(address)
    table.choices(1)
    return table


def shares(table: Table) -> dict[str, int]:
    return {name: table.node(name).share for name in table.names()}


def pass_time(table: Table, seconds: int) -> None:
    for _ in range(seconds):
        table.now += 1
        for name in table.names():
            if not table.node(name).death_mark:
                table.announce(name)
        table.sweep()
        table.choices(1)


def test_those_who_fill_the_table_begin_with_all() -> None:
    table = table_with()
    assert set(shares(table).values()) == {FULL_SHARE}


def test_a_node_that_comes_gets_more_from_second_to_second() -> None:
    table = table_with()
    table.announce(NEW)
    table.choices(1)
    seen = []
    for _ in range(12):
        seen.append(table.node(NEW).share)
        pass_time(table, 1)
    assert seen == [10, 10, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert {shares(table)[name] for name in OLD} == {FULL_SHARE}
    assert len(table.registry._slow_start) == 0


@pytest.mark.parametrize("algorithm", ["wrr", "lrc", "wlrc"])
def test_it_gets_the_part_of_its_share(algorithm: str) -> None:
    table = table_with(algorithm)
    table.announce(NEW)
    counted = Counter(table.choices(40 * 10))
    # A tenth of what each other gets.
    assert counted[NEW] == 12
    assert sorted(counted[name] for name in OLD) == [129, 129, 130]


def test_least_gives_it_a_part_of_its_cores() -> None:
    table = table_with("least")
    table.announce(NEW, cores=8)
    table.choices(1)
    assert table.node(NEW).capacity == 80
    pass_time(table, 6)
    assert table.node(NEW).share == 50


def test_the_node_of_a_client_of_iphash_is_its_node_at_once() -> None:
    table = table_with("iphash")
    table.announce(NEW)
    without = table_with("iphash", slow_start=0)
    without.announce(NEW)
    clients = [f"10.1.0.{number}".encode() for number in range(50)]
    assert [table.choose(client=one) for one in clients] == [
        without.choose(client=one) for one in clients
    ]


def test_a_request_that_has_tried_others_goes_wherever_it_can() -> None:
    table = table_with()
    table.announce(NEW)
    tried = [table.node(name) for name in OLD]
    assert [table.choose(*tried) for _ in range(20)] == 20 * [NEW]


@pytest.mark.parametrize("how", ["gone", "unhealthy", "drained", "ejected"])
def test_a_node_that_comes_back_begins_slowly_too(how: str) -> None:
    table = table_with()
    node, registry = table.node(OLD[0]), table.registry
    # So that it stays in the table.
    node.reference = 1
    match how:
        case "gone":
            table.fail(OLD[0])
        case "unhealthy":
            registry.health.unhealthy(node, "why")
        case "drained":
            registry.drain(node)
        case "ejected":
            for _ in range(5):
                registry.health.request_failed(node, table.now)
    table.choices(1)
    assert node.share == FULL_SHARE
    match how:
        case "gone":
            table.announce(OLD[0])
        case "unhealthy":
            registry.health.healthy(node)
        case "drained":
            registry.enable(node)
        case "ejected":
            registry.health.request_answered(node)
    table.choices(1)
    assert node.share == 10


def test_announces_that_were_lost_make_no_node_new() -> None:
    table = table_with()
    table.now += 18
    for name in OLD[1:]:
        table.announce(name)
    table.sweep()
    table.choices(1)
    assert table.node(OLD[0]).stale
    table.announce(OLD[0])
    table.choices(1)
    assert table.node(OLD[0]).share == FULL_SHARE


def test_one_node_does_not_serve_for_two_that_begin_slowly() -> None:
    table = table_with()
    table.announce(NEW)
    table.choices(1)
    assert table.node(NEW).share == 10
    for name in OLD[:2]:
        table.leave(name)
    table.announce(NEWER)
    table.choices(1)
    assert set(shares(table).values()) == {FULL_SHARE}


def test_without_the_option_or_just_after_the_start_nobody_does() -> None:
    table = table_with(slow_start=0)
    table.announce(NEW)
    table.choices(1)
    assert table.node(NEW).share == FULL_SHARE
    filling = Table(slow_start=10, settling=10)
    filling.now = 5.0
    filling.sweep()
    for address in [*OLD, NEW]:
        filling.announce(address)
        filling.choices(1)
    assert set(shares(filling).values()) == {FULL_SHARE}


def test_a_node_that_leaves_while_it_begins_is_forgotten() -> None:
    table = table_with()
    table.announce(NEW)
    table.choices(1)
    assert len(table.registry._slow_start) == 1
    table.leave(NEW)
    assert len(table.registry._slow_start) == 0
    pass_time(table, 2)
