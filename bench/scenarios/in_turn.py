"""Setups that differ by a few per cent: measured a second each in turn.

A machine that others use is slower in one second than in the next by more than that: the shorter
the turns, the more alike is what each of them suffers.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.measure import Run, Setup


def in_turn(setups: Sequence[Setup], second: Callable[[Setup], Run]) -> list[Setup]:
    """Return setups whose runs are made together.

    Whichever is to run first lets all of them run, a second each in turn; the others then have their runs
    already.

    Args:
        setups: of one group.
        second: measures a setup for a second.
    """
    made: dict[int, Run] = {}

    def run(number: int, seconds: int) -> Run:
        if number not in made:
            runs: list[list[Run]] = [[] for _ in setups]
            for _ in range(seconds):
                for setup, several in zip(setups, runs, strict=True):
                    several.append(second(setup))
            made.update(enumerate(map(together, runs)))
        return made.pop(number)

    return [
        replace(setup, run=lambda seconds, number=number: run(number, seconds))  # type: ignore[misc]
        for number, setup in enumerate(setups)
    ]


def together(runs: Sequence[Run]) -> Run:
    """Return several runs as one."""
    return Run(
        sum(run.count for run in runs),
        sum(run.failed for run in runs),
        sum(run.seconds for run in runs),
        sum(run.spent for run in runs),
    )
