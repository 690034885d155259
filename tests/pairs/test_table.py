"""The table itself: each value and each reason belongs to a combination."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest

from tests.pairs import cases, relays
from tests.pairs.__main__ import lines

#: Of each table: its combinations, values of each axis, and reasons that keep combinations out.
TABLES: dict[
    str,
    tuple[
        tuple[Any, ...],
        Mapping[str, Collection[str]],
        Mapping[str, object],
        Callable[[Any], str],
    ],
] = {
    "requests": (cases.TABLE, cases.AXES, cases.SENSELESS, cases.senseless),
    "relays": (relays.TABLE, relays.AXES, relays.SENSELESS, relays.senseless),
}


@pytest.mark.parametrize(
    ("name", "axis", "value"),
    [
        (name, axis, value)
        for name, (_, axes, _, _) in TABLES.items()
        for axis, values in axes.items()
        for value in values
    ],
)
def test_every_value_is_tested(name: str, axis: str, value: str) -> None:
    table, _, _, senseless = TABLES[name]
    assert any(getattr(case, axis) == value for case in table if not senseless(case))


@pytest.mark.parametrize(
    ("name", "why"), [(name, why) for name, (_, _, reasons, _) in TABLES.items() for why in reasons]
)
def test_every_reason_keeps_a_combination_out(name: str, why: str) -> None:
    table, _, _, senseless = TABLES[name]
    assert why in map(senseless, table)


@pytest.mark.parametrize("name", TABLES)
def test_no_two_combinations_have_one_name(name: str) -> None:
    table = TABLES[name][0]
    assert len(set(map(str, table))) == len(table)


def test_the_table_can_be_read() -> None:
    found = list(lines(["http", "expect-chunked", "two", "router"]))
    head, row = (line.split() for line in found[:2])
    assert head[:4] == ["front", "back", "body", "pool"]
    assert row[:6] == ["http", "uwsgi", "expect-chunked", "two", "length", "router"]
