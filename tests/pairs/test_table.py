"""The table itself: each value and each reason belongs to a combination."""

import pytest

from tests.pairs.__main__ import lines
from tests.pairs.cases import AXES, SENSELESS, TABLE, senseless

TESTED = [case for case in TABLE if not senseless(case)]


@pytest.mark.parametrize(
    ("axis", "value"), [(axis, value) for axis, values in AXES.items() for value in values]
)
def test_every_value_is_tested(axis: str, value: str) -> None:
    assert any(getattr(case, axis) == value for case in TESTED)


@pytest.mark.parametrize("why", SENSELESS)
def test_every_reason_keeps_a_combination_out(why: str) -> None:
    assert why in map(senseless, TABLE)


def test_no_two_combinations_have_one_name() -> None:
    assert len(set(map(str, TABLE))) == len(TABLE)


def test_the_table_can_be_read() -> None:
    found = list(lines(["http", "expect-chunked", "two", "router"]))
    head, row = (line.split() for line in found[:2])
    assert head[:4] == ["front", "back", "body", "pool"]
    assert row[:6] == ["http", "uwsgi", "expect-chunked", "two", "length", "router"]
