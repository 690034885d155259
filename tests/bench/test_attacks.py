"""Attacks: what is told of an innocent's waits, and one attack for real."""

import pytest

from bench.attacks.__main__ import run
from bench.attacks.attack import ATTACKS
from bench.attacks.attackers import KINDS
from bench.attacks.innocent import Waits
from bench.attacks.report import Row, markdown, terminal
from bench.attacks.targets import TARGETS
from bench.programs import MeasureError


def waits(median: float, failed: int = 0) -> Waits:
    return Waits(100, median, 10 * median, failed)


def test_the_middle_and_the_last_hundredth_are_told() -> None:
    assert Waits.of([float(number) for number in range(201, 0, -1)], 3) == Waits(201, 101, 199, 3)
    with pytest.raises(MeasureError):
        Waits.of([], 0)


def test_every_attack_is_of_a_kind_that_there_is() -> None:
    assert {attack.kind for attack in ATTACKS.values()} == {*KINDS, "datagrams"}


@pytest.mark.parametrize(
    ("attack", "router", "suits"),
    [
        ("frames-2", "haproxy", True),
        ("chunks-2", "nginx", True),
        ("chunks-2", "haproxy", False),
        ("scrapers-8", "plain", True),
        ("scrapers-8", "nginx", False),
        ("datagrams", "nginx", False),
    ],
)
def test_others_are_attacked_where_they_have_the_same(
    attack: str, router: str, suits: bool
) -> None:
    assert ATTACKS[attack].suits(router) is suits


def test_the_table_shows_who_waits_and_how_many_times_as_long_as_with_nginx() -> None:
    rows = [
        Row("frames-2", "plain", waits(0.5), waits(3.0), 0),
        Row("frames-2", "nginx", waits(0.4), waits(2.0), 0),
        Row("scrapers-8", "plain", waits(0.6), waits(5.0, failed=2), 0),
    ]
    assert markdown(rows).splitlines()[2:] == [
        "| none | 0.60 / 6.00 | 0.40 / 4.00 | |",
        "| frames-2 | 3.00 / 30.00 | 2.00 / 20.00 | plain: 1.5 |",
        "| scrapers-8 | 5.00 / 50.00 (2 of 100 failed) |  |  |",
    ]
    assert "attacked     3.00" in terminal(rows[0])


def test_an_innocent_is_served_while_frames_are_checked() -> None:
    row = run(ATTACKS["frames-2"], "plain", TARGETS["plain"], 0.6)
    assert row.during.failed == row.quiet.failed == 0
    assert row.during.count > 1
