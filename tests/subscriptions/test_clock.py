"""Jumps of the wall clock are told from its run, and from a machine that is busy."""

import pytest

from uwsgi_router.subscriptions.clock import WallClock


class Clocks:
    """Both clocks, which the test sets."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.monotonic = 50.0
        # Seconds that pass whenever the monotonic clock is read.
        self.busy = 0.0
        self.jumps: list[tuple[float, float]] = []
        self.watched = WallClock(
            lambda: self.wall, self._read, lambda by, now: self.jumps.append((by, now))
        )

    def _read(self) -> float:
        self.pass_by(self.busy)
        return self.monotonic

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


def test_time_that_passes_is_no_jump() -> None:
    clocks = Clocks()
    for _ in range(100):
        clocks.pass_by(3600.0)
        assert clocks.watched() == clocks.wall
    assert clocks.jumps == []


def test_a_clock_that_is_slewed_does_not_jump() -> None:
    clocks = Clocks()
    for _ in range(1000):
        clocks.pass_by(1.0)
        clocks.wall -= 0.5
        clocks.watched()
    assert clocks.jumps == []


@pytest.mark.parametrize("by", [-3600.0, 3600.0, -3.0])
def test_a_jump_is_told_once_and_before_the_time_is(by: float) -> None:
    clocks = Clocks()
    clocks.pass_by(5.0)
    clocks.wall += by
    assert clocks.watched() == clocks.wall
    assert clocks.jumps == [(by, clocks.wall)]
    clocks.watched()
    assert len(clocks.jumps) == 1


def test_a_machine_that_is_busy_between_two_looks_does_not_look_like_a_jump() -> None:
    clocks = Clocks()
    clocks.busy = 5.0
    clocks.watched()
    clocks.busy = 0.0
    clocks.watched()
    assert clocks.jumps == []
