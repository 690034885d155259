"""The selector loop: descriptors, timers, signals, in the order in which they come."""

import os
import signal
from collections.abc import Iterator

import pytest

from uwsgi_router.router.supervision.loop import SelectorLoop


@pytest.fixture
def loop() -> Iterator[SelectorLoop]:
    one = SelectorLoop()
    yield one
    one.close()


def test_timers_fire_in_the_order_of_their_times(loop: SelectorLoop) -> None:
    seen: list[str] = []
    loop.call_later(0.02, seen.append, "later")
    loop.call_later(0.01, seen.append, "sooner")
    loop.call_later(0.03, loop.stop)
    loop.run()
    assert seen == ["sooner", "later"]


def test_a_cancelled_timer_does_not_fire(loop: SelectorLoop) -> None:
    seen: list[str] = []
    timer = loop.call_later(0.0, seen.append, "no")
    timer.cancel()
    assert timer.cancelled
    loop.call_later(0.01, loop.stop)
    loop.run()
    assert seen == []


def test_a_descriptor_calls_back_until_it_is_removed(loop: SelectorLoop) -> None:
    reader, writer = os.pipe()
    seen: list[bytes] = []

    def read() -> None:
        seen.append(os.read(reader, 1))
        if len(seen) == 2:
            loop.remove_reader(reader)
            loop.remove_reader(reader)
            loop.call_later(0.01, loop.stop)

    loop.add_reader(reader, read)
    assert loop.reads(reader)
    os.write(writer, b"abc")
    loop.run()
    assert seen == [b"a", b"b"]
    assert not loop.reads(reader)
    os.close(reader)
    os.close(writer)


def test_a_callback_may_end_the_wait_for_another_descriptor(loop: SelectorLoop) -> None:
    pipes = [os.pipe() for _ in range(2)]
    seen: list[int] = []

    def read(mine: int, other: int) -> None:
        seen.append(mine)
        loop.remove_reader(other)
        loop.remove_reader(mine)

    (one, _), (two, _) = pipes
    loop.add_reader(one, lambda: read(one, two))
    loop.add_reader(two, lambda: read(two, one))
    for _, writer in pipes:
        os.write(writer, b"x")
    loop.step(1.0)
    assert len(seen) == 1
    for pipe in pipes:
        for end in pipe:
            os.close(end)


def test_signals_are_handled_between_callbacks_and_given_back(loop: SelectorLoop) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    seen: list[int] = []

    def took(number: int) -> None:
        seen.append(number)
        loop.stop()

    loop.on_signals([signal.SIGUSR1], took)
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.run()
    assert seen == [signal.SIGUSR1]
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) == before
