"""One timer for all sessions: nobody is missed, nobody is called too early, none runs for nothing."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from uwsgi_router.router.net.deadlines import Deadlines

TICK = 0.25


class Handle:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """A loop whose time the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timer: tuple[float, Handle] | None = None

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> Handle:
        handle = Handle(call)
        assert self.timer is None
        self.timer = (self.now + delay, handle)
        return handle

    def until(self, time: float) -> None:
        while self.timer is not None and self.timer[0] <= time:
            self.now, handle = self.timer
            self.timer = None
            if not handle.cancelled:
                handle.call()
        self.now = time


class Timed:
    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.calls = 0

    def expired(self) -> None:
        self.calls += 1


def deadlines(loop: Loop) -> Deadlines:
    return Deadlines(cast("asyncio.AbstractEventLoop", cast("Any", loop)), TICK)


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
    assert loop.timer is None
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
