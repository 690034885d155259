"""One timer for all sessions: nobody is missed, nobody is called too early, none runs for nothing."""

from collections.abc import Callable

from tests.lab.clock import TimedLoop, Timer
from uwsgi_router.router.net.deadlines import Deadlines

TICK = 0.25


class Loop(TimedLoop):
    """With one timer at a time."""

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        assert self.timers == []
        return super().call_later(delay, call)


class Timed:
    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.calls = 0

    def expired(self) -> None:
        self.calls += 1


def deadlines(loop: Loop) -> Deadlines:
    return Deadlines(loop.as_loop, TICK)


def test_a_deadline_is_met_within_a_tick_and_never_early() -> None:
    loop = Loop()
    watch, timed = deadlines(loop), Timed(101.1)
    watch.add(timed)
    loop.until(101.09)
    assert timed.calls == 0
    loop.until(101.1 + TICK)
    assert timed.calls == 1


def test_it_calls_again_until_the_deadline_moves() -> None:
    loop = Loop()
    watch, timed = deadlines(loop), Timed(100.1)
    watch.add(timed)
    loop.until(101.0)
    assert timed.calls > 1
    timed.deadline, timed.calls = 200.0, 0
    loop.until(150.0)
    assert timed.calls == 0


def test_the_discarded_are_forgotten_and_the_timer_stops_with_the_last() -> None:
    loop = Loop()
    watch, timed = deadlines(loop), Timed(100.1)
    watch.add(timed)
    watch.discard(timed)
    loop.until(110.0)
    assert timed.calls == 0
    assert loop.timers == []
    assert len(watch) == 0
    watch.add(timed)
    loop.until(111.0)
    assert timed.calls > 0


def test_close_ends_everything() -> None:
    loop = Loop()
    watch, timed = deadlines(loop), Timed(100.1)
    watch.add(timed)
    watch.close()
    loop.until(110.0)
    assert timed.calls == 0
