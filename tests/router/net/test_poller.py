"""Turns of connections: who uses more than a share waits in a queue, behind all others."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from tests.compiled import PLAIN_ONLY
from tests.lab.waiting import a_few_turns, until
from uwsgi_router.router.net.fiber import Fiber
from uwsgi_router.router.net.link import Link, LinkOwner
from uwsgi_router.router.net.poller import SHARE, Poller, Resumable
from uwsgi_router.subscriptions.traffic import Traffic

pytestmark = PLAIN_ONLY


class Reading(LinkOwner):
    """Reads so much at once, and notes it under its name."""

    def __init__(self, poller: Poller, name: str, order: list[str], size: int = 65_536) -> None:
        ours, self.peer = socket.socketpair()
        for sock in (ours, self.peer):
            sock.setblocking(False)
        self.name = name
        self.order = order
        self.size = size
        self.link = Link(poller, ours, self, Traffic())
        self.link.read_with(self)

    def readable(self) -> None:
        if self.link.recv(self.size):
            self.order.append(self.name)

    def touch(self) -> None:
        """Nothing is written."""

    def wake(self) -> None:
        """Likewise."""

    def link_broken(self, link: Link, error: OSError) -> None:
        """Likewise."""

    def close(self) -> None:
        self.link.close()
        self.peer.close()


class Noting(Resumable):
    def __init__(self, name: str, order: list[str]) -> None:
        self.name = name
        self.order = order

    def resume(self) -> None:
        self.order.append(self.name)


@pytest.fixture
async def poller() -> AsyncIterator[Poller]:
    poller = Poller(asyncio.get_running_loop())
    yield poller
    poller.close()


@pytest.fixture
def order() -> list[str]:
    return []


async def test_who_has_read_a_share_is_behind_the_others_from_then_on(
    poller: Poller, order: list[str]
) -> None:
    heavy = Reading(poller, "heavy", order, SHARE)
    others = [Reading(poller, "other", order, 10) for _ in range(3)]
    heavy.peer.send(bytes(3 * SHARE))
    await until(lambda: order == ["heavy"])
    assert heavy.link.heavy is not None
    for other in others:
        other.peer.send(b"x")
    await until(lambda: len(order) == 6)
    assert order == ["heavy", "other", "other", "other", "heavy", "heavy"]
    for reading in (heavy, *others):
        assert len(poller) > 0
        reading.close()
    assert len(poller) == 0


class Waking(Reading):
    """Has something of its own resumed when it has read."""

    def readable(self) -> None:
        super().readable()
        self._poller.resume_soon(Noting(f"{self.name} goes on", self.order))

    def __init__(self, poller: Poller, name: str, order: list[str]) -> None:
        self._poller = poller
        super().__init__(poller, name, order, 10)


async def test_those_that_are_ready_at_once_are_handled_in_batches(
    poller: Poller, order: list[str]
) -> None:
    """The first request goes on before the last one is read; each is read once."""
    everybody = [Waking(poller, str(number), order) for number in range(50)]
    for one in everybody:
        one.peer.send(b"x")
    await until(lambda: len(order) == 100)
    assert sorted(order) == sorted(
        f"{number}{what}" for number in range(50) for what in ("", " goes on")
    )
    first = next(place for place, what in enumerate(order) if what.endswith("goes on"))
    assert first == 16
    for one in everybody:
        one.close()


async def test_a_poller_may_be_closed_inside_a_full_batch(poller: Poller, order: list[str]) -> None:
    bugs: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: bugs.append(context))

    class Closing(Reading):
        def readable(self) -> None:
            super().readable()
            poller.close()

    everybody = [Closing(poller, str(number), order, 10) for number in range(50)]
    for one in everybody:
        one.peer.send(b"x")
    await until(lambda: order)
    await a_few_turns()
    assert bugs == []
    for one in everybody:
        one.close()


async def test_who_has_read_less_is_not(poller: Poller, order: list[str]) -> None:
    reading = Reading(poller, "it", order)
    reading.peer.send(bytes(SHARE - 1))
    await until(lambda: order)
    assert reading.link.heavy is None
    reading.close()


async def test_a_busy_one_can_be_paused_and_made_one_of_all_again(
    poller: Poller, order: list[str]
) -> None:
    reading = Reading(poller, "it", order)
    reading.link.set_heavy()
    reading.link.pause()
    reading.peer.send(b"x")
    await a_few_turns()
    assert order == []
    reading.link.resume()
    await until(lambda: order == ["it"])
    reading.link.set_light()
    reading.peer.send(b"x")
    await until(lambda: order == ["it", "it"])
    # Once more, while it waits for its turn.
    reading.link.set_heavy()
    reading.peer.send(b"x")
    await until(lambda: len(order) == 3)
    reading.close()


async def test_one_that_is_closed_while_it_waits_is_not_called(
    poller: Poller, order: list[str]
) -> None:
    first, second = Reading(poller, "first", order), Reading(poller, "second", order)
    both = (first, second)
    for reading in both:
        reading.link.set_heavy()
        reading.peer.send(b"x")
    poller.resume_in_turn(Noting("before them", order))
    for reading in both:
        reading.close()
    await a_few_turns()
    assert order == ["before them"]


async def test_those_in_the_queue_have_their_turns_one_after_the_other(
    poller: Poller, order: list[str]
) -> None:
    for name in "abc":
        poller.resume_in_turn(Noting(name, order))
    await until(lambda: len(order) == 3)
    assert order == ["a", "b", "c"]


async def test_one_that_fails_does_not_stop_the_queue(poller: Poller, order: list[str]) -> None:
    errors: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))

    class Failing(Resumable):
        def resume(self) -> None:
            raise ValueError

    poller.resume_in_turn(Failing())
    poller.resume_in_turn(Noting("next", order))
    await until(lambda: order == ["next"])
    assert len(errors) == 1


async def test_a_coroutine_that_gives_way_goes_on_behind_the_others(
    poller: Poller, order: list[str]
) -> None:
    fibers = [Fiber(asyncio.get_running_loop(), poller, 60.0) for _ in range(2)]

    async def working(fiber: Fiber, name: str) -> None:
        for step in range(3):
            order.append(f"{name}{step}")
            await fiber.give_way()

    for fiber, name in zip(fibers, "ab", strict=True):
        fiber.run(working(fiber, name), lambda error: order.append(f"ended: {error}"))
    await until(lambda: len(order) == 8)
    assert order == ["a0", "b0", "a1", "b1", "a2", "b2", "ended: None", "ended: None"]


async def test_one_may_go_first_in_a_turn_if_nobody_waits(poller: Poller, order: list[str]) -> None:
    assert poller.goes_first()
    assert not poller.goes_first()
    # Those behind it have their turn, and then it is another one's.
    poller.resume_in_turn(Noting("waits", order))
    await until(lambda: order == ["waits"])
    await a_few_turns()
    poller.resume_in_turn(Noting("waits, too", order))
    assert not poller.goes_first()
    await until(lambda: len(order) == 2)
    await a_few_turns()
    assert poller.goes_first()
