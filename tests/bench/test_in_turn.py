"""Setups that run a second each in turn, and get their own numbers."""

from bench.measure import Run, Setup
from bench.scenarios.in_turn import in_turn

SETUPS = [Setup("a", "group", "", 1), Setup("b", "group", "", 2)]


def test_they_run_in_turn_and_each_gets_the_sum_of_its_own_runs() -> None:
    order: list[str] = []

    def second(setup: Setup) -> Run:
        order.append(setup.name)
        return Run(10 * setup.pid, 1, 1.0, 1000 * setup.pid + len(order))

    first, other = (setup.run for setup in in_turn(SETUPS, second))
    assert first
    assert other
    assert first(2) == Run(20, 2, 2.0, 1001 + 1003)
    assert order == ["a", "b", "a", "b"]
    assert other(2) == Run(40, 2, 2.0, 2002 + 2004)
    assert len(order) == 4
    # The next round is measured anew.
    assert first(1) == Run(10, 1, 1.0, 1005)
    assert len(order) == 6


def test_what_else_they_are_stays() -> None:
    (setup, _other) = in_turn(SETUPS, lambda _setup: Run(1, 0, 1.0, 1.0))
    assert (setup.name, setup.group, setup.pid) == ("a", "group", 1)
