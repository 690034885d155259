"""Time in the hands of a test."""

import asyncio
from collections.abc import Callable
from typing import Any, cast


class Clock:
    """Stands still unless a test moves it."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Timer:
    """What ``call_later`` of a :class:`TimedLoop` returns."""

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class TimedLoop:
    """A loop of timers only, whose time the test moves.

    Attributes:
        timers: those that wait, cancelled ones too.
        calls: how many were called.
    """

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []
        self.calls = 0

    @property
    def as_loop(self) -> asyncio.AbstractEventLoop:
        return cast("asyncio.AbstractEventLoop", cast("Any", self))

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + delay, call))
        return self.timers[-1]

    def after(self, seconds: float) -> None:
        self.until(self.now + seconds)

    def until(self, time: float) -> None:
        while due := [timer for timer in self.timers if timer.when <= time]:
            timer = min(due, key=lambda timer: timer.when)
            self.timers.remove(timer)
            self.now = timer.when
            if not timer.cancelled:
                self.calls += 1
                timer.call()
        self.now = time


class LoopAhead:
    """The running loop, with a clock that a test may put forward."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        #: Seconds by which the clock is ahead.
        self.ahead = 0.0

    @property
    def as_loop(self) -> asyncio.AbstractEventLoop:
        return cast("asyncio.AbstractEventLoop", cast("Any", self))

    def time(self) -> float:
        return self._loop.time() + self.ahead

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)
