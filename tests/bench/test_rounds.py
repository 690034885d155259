"""Who is measured when, and what happens to one that fails. Nothing here runs a program."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.measure import GIGABYTE, Load, Paced, Run, Setup
from bench.programs import MeasureError
from bench.results import Result
from bench.rounds import Plan, Rounds, reference_in_the_middle

PLAN = Plan(rounds=2, seconds=3, pairs=2, paces=1, pace_seconds=4, warm_up=1)


class Lab:
    """Setups that write down what is asked of them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.said: list[str] = []

    def setup(
        self, name: str, *, count: float = 300, paced: bool = False, breaks_after: int = 99
    ) -> Setup:
        runs = 0

        def run(seconds: int) -> Run:
            nonlocal runs
            runs += 1
            self.asked.append(f"{name} {seconds}s")
            if runs > breaks_after:
                raise MeasureError("it has ended")
            return Run(count, 0, float(seconds), 1e9)

        def pace(rate: int, seconds: int) -> Paced:
            self.asked.append(f"{name} {seconds}s at {rate}")
            return Paced(rate, 0, [1, 2, 3])

        return Setup(
            name, "group", "", os.getpid(), GIGABYTE, run=run, paced=pace if paced else None
        )

    def rounds(self, directory: Path, *setups: Setup) -> Rounds:
        return Rounds(setups, Load(), directory=directory, progress=self.said.append)


def test_setups_are_warmed_up_and_measured_in_turn(tmp_path: Path) -> None:
    lab = Lab()
    results = lab.rounds(tmp_path, lab.setup("A"), lab.setup("B")).measure(PLAN)
    assert lab.asked == ["A 1s", "B 1s", "A 3s", "B 3s", "B 3s", "A 3s"]
    assert [len(result.runs) for result in results] == [2, 2]


def test_a_quick_run_does_not_warm_up(tmp_path: Path) -> None:
    lab = Lab()
    lab.rounds(tmp_path, lab.setup("A")).measure(Plan.quick())
    assert lab.asked == ["A 1s"]


def test_those_that_alternate_do_so_every_second_around_the_reference(tmp_path: Path) -> None:
    lab = Lab()
    setups = [
        replace(lab.setup("A"), alternating=True, reference=True),
        replace(lab.setup("B"), alternating=True),
        replace(lab.setup("C"), alternating=True),
        lab.setup("D"),
    ]
    results = lab.rounds(tmp_path, *setups).measure(PLAN)
    around = ["B 1s", "A 1s", "C 1s", "C 1s", "A 1s", "B 1s"]
    assert lab.asked == ["A 1s", "B 1s", "C 1s", "D 1s", *2 * ["D 3s", *around]]
    assert [len(result.runs) for result in results] == [4, 4, 4, 2]
    assert [result.paired for result in results] == [True, True, True, False]
    assert sum("median so far" in line for line in lab.said) == 2 * 3


def test_those_that_alternate_do_so_within_their_group(tmp_path: Path) -> None:
    lab = Lab()
    setups = [
        replace(lab.setup(name), alternating=True, group=group, reference=name in "AC")
        for name, group in (("A", "one"), ("B", "one"), ("C", "two"), ("D", "two"))
    ]
    lab.rounds(tmp_path, *setups).measure(replace(PLAN, warm_up=0, rounds=1))
    one, two = ["B 1s", "A 1s", "A 1s", "B 1s"], ["D 1s", "C 1s", "C 1s", "D 1s"]
    assert lab.asked == [*one, *two]


def test_a_full_run_has_at_least_thirty_pairs_and_turns_as_often_as_not() -> None:
    plan = Plan()
    assert plan.rounds * plan.pairs >= 30
    assert plan.pairs % 2 == Plan.quick().pairs % 2 == 0


@pytest.mark.parametrize("names", ["A", "BA", "BAC", "CBAD"])
def test_the_reference_is_in_the_middle(names: str) -> None:
    lab = Lab()
    measured = [
        (replace(lab.setup(name), reference=name == "A"), Result("group", name, GIGABYTE))
        for name in sorted(names)
    ]
    assert "".join(setup.name for setup, _ in reference_in_the_middle(measured)) == names


def test_all_of_a_group_get_the_rate_that_the_slowest_can_hold(tmp_path: Path) -> None:
    lab = Lab()
    setups = [lab.setup("A", paced=True), lab.setup("B", count=3000, paced=True), lab.setup("C")]
    results = lab.rounds(tmp_path, *setups).measure(PLAN)
    assert lab.asked[-2:] == ["A 4s at 60", "B 4s at 60"]
    assert [result.rate for result in results] == [60, 60, 0]


def test_one_that_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    lab = Lab()
    rounds = lab.rounds(tmp_path, lab.setup("A", breaks_after=0), lab.setup("B"))
    (result,) = rounds.measure(PLAN)
    assert result.name == "B"
    assert rounds.errors == ["group, A: it has ended"]
    assert lab.asked.count("A 1s") == 1
    assert "A 3s" not in lab.asked
    assert any("FAILED: group, A: it has ended" in line for line in lab.said)


def test_one_that_fails_later_keeps_what_was_measured(tmp_path: Path) -> None:
    lab = Lab()
    rounds = lab.rounds(tmp_path, lab.setup("A", breaks_after=2), lab.setup("B"))
    assert [len(result.runs) for result in rounds.measure(PLAN)] == [1, 2]
    assert rounds.errors


def test_without_h2load_the_other_figures_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("H2LOAD", "/nowhere/h2load")
    monkeypatch.setattr("bench.rounds.ask", lambda *_: Run(300, 0, 3.0, 1e9))
    lab = Lab()
    (result,) = lab.rounds(
        tmp_path, Setup("nginx", "group", "http://127.0.0.1:1/", os.getpid())
    ).measure(PLAN)
    assert (len(result.runs), result.paces) == (2, [])
    assert lab.said[-1] == (
        "left out: latency at a fixed rate: missing h2load (looked for /nowhere/h2load)"
    )
