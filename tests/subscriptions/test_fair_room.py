"""A table that fills up: nobody fills it alone, and nobody who is in it has to go."""

from contextlib import suppress

import pytest

from tests.subscriptions.table import Table
from uwsgi_router.subscriptions.events import NodeRefreshed
from uwsgi_router.subscriptions.fair_room import place_of
from uwsgi_router.subscriptions.refusal import Refused

FLOOD, OTHER = "10.0.0.1", "192.0.2.1"


def fill(table: Table, source: str, count: int, first: int = 0) -> int:
    """Announce so many keys from one source; return how many were taken."""
    before = len(table.registry)
    for number in range(first, first + count):
        with suppress(Refused):
            table.announce("10.9.9.9:1", key=b"%s-%d" % (source.encode(), number), source=source)
    return len(table.registry) - before


def test_one_source_fills_three_quarters_and_others_still_come() -> None:
    table = Table(max_keys=10_000)
    assert fill(table, FLOOD, 12_000) == 7_500
    assert fill(table, OTHER, 200) == 10_000 // 64
    with pytest.raises(Refused, match="its sender has 7500 keys, and the last quarter of 10000"):
        table.announce("10.9.9.9:1", key=b"another", source=FLOOD)


def test_one_network_leaves_the_last_eighth_to_others() -> None:
    table = Table(max_keys=10_000)
    assert sum(fill(table, f"10.0.0.{number}", 300) for number in range(1, 200)) == 8_750
    assert fill(table, OTHER, 100) == 100
    with pytest.raises(Refused, match="its sender's network has 8750 keys, and the last eighth"):
        table.announce("10.9.9.9:1", key=b"another", source="10.0.0.201")


def test_who_is_in_the_table_stays_and_may_come_back() -> None:
    table = Table(max_keys=128)
    table.announce("10.0.0.7:80", key=b"mine", source="10.0.0.7")
    fill(table, FLOOD, 1_000)
    (event,) = table.announce("10.0.0.7:80", key=b"mine", source="10.0.0.7")
    assert isinstance(event, NodeRefreshed)
    # What the flood loses it does not get again beyond its share, and others get it.
    table.leave("10.9.9.9:1", key=b"10.0.0.1-0", source=FLOOD)
    assert fill(table, FLOOD, 3, first=2_000) == 1
    assert fill(table, OTHER, 3) == 2


def test_a_key_keeps_its_last_quarter_of_nodes_for_others() -> None:
    table = Table(max_nodes_per_key=1_000)
    for port in range(1, 751):
        table.announce(f"10.0.0.1:{port}", source=FLOOD)
    with pytest.raises(Refused, match="its sender has 15 of the key's nodes"):
        table.announce("10.0.0.1:751", source=FLOOD)
    table.announce("192.0.2.1:80", source=OTHER)


def test_the_table_keeps_its_last_quarter_of_nodes_for_others() -> None:
    table = Table(max_nodes=128, max_keys=1_000)
    assert fill(table, FLOOD, 200) == 96
    assert fill(table, OTHER, 5) == 2


def test_keys_that_come_and_go_do_not_push_out_what_is_remembered_of_others() -> None:
    """A key that lost its last node is known for an hour: its requests get 503 or wait, and no 404."""
    table = Table(max_keys=100)
    table.announce("10.0.0.7:80", key=b"mine", source="10.0.0.7")
    table.leave("10.0.0.7:80", key=b"mine", source="10.0.0.7")
    for number in range(1_000):
        table.announce("10.9.9.9:1", key=b"%d" % number, source=FLOOD)
        table.leave("10.9.9.9:1", key=b"%d" % number, source=FLOOD)
    assert table.registry.was_announced(b"mine", table.now)
    assert sum(table.registry.was_announced(b"%d" % n, table.now) for n in range(1_000)) == 25


def test_small_tables_are_filled_by_whoever_comes_first() -> None:
    table = Table(max_keys=10)
    assert fill(table, FLOOD, 20) == 10


@pytest.mark.parametrize(
    ("one", "other", "source", "network"),
    [
        ("10.0.0.1", "10.0.0.1", True, True),
        ("10.0.0.1", "::ffff:10.0.0.1", True, True),
        ("10.0.0.1", "10.0.0.2", False, True),
        ("10.0.0.1", "10.0.1.1", False, False),
        ("127.0.0.1", "127.9.9.9", False, True),
        ("127.0.0.1", "::1", False, True),
        ("2001:db8::1", "2001:db8::2", True, True),
        ("2001:db8::1", "2001:db8:0:1::1", False, True),
        ("2001:db8::1", "2001:db8:1::1", False, False),
    ],
)
def test_what_is_one_source_and_one_network(
    one: str, other: str, source: bool, network: bool
) -> None:
    first, second = place_of(one, None), place_of(other, None)
    assert (first.source == second.source, first.network == second.network) == (source, network)


def test_users_of_this_machine_are_sources_of_their_own() -> None:
    assert place_of(None, 1) == place_of(None, 1)
    assert place_of(None, 1).network != place_of(None, 2).network
