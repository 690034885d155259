"""When nodes are checked, and what follows."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.log import Log
from tests.lab.scripts import Script, held_by_the_test
from tests.lab.waiting import a_few_turns, until
from tests.subscriptions.table import Table, words
from uwsgi_router.protocol.uwsgi import PONG
from uwsgi_router.router.certificates.nodes import NodeTls
from uwsgi_router.router.config.health_checks import Checks
from uwsgi_router.router.config.model import RouterConfig
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.table import prober as module
from uwsgi_router.router.table.probe import probe
from uwsgi_router.router.table.prober import Prober
from uwsgi_router.router.table.timing import TableTiming
from uwsgi_router.subscriptions.events import Event, NodeHealthy, NodeUnhealthy
from uwsgi_router.subscriptions.health import Health
from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.registry import Registry

SOON = 0.01
NODE_TLS = NodeTls(RouterConfig())


@dataclass
class Mood:
    """A node that answers its pings, or not, as the test says."""

    well: bool = True
    pings: int = 0

    async def __call__(self, peer: Peer) -> None:
        await peer.exactly(4)
        self.pings += 1
        if self.well:
            await peer.send(PONG)


@dataclass
class Checked:
    """A table whose nodes are checked every hundredth of a second."""

    lab: Lab
    options: dict[str, Any]
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        options = {"interval": SOON, "timeout": 5.0, "rise": 2, "fall": 3, **self.options}
        timing = options.pop("timing", None)
        checks = Checks(ping=options.pop("ping", True), **options)
        self.table = Table(
            health=Health(checked_first=checks.checked_first), protocols={"uwsgi", "http"}
        )
        loop = asyncio.get_running_loop()
        self.resolver = Resolver(loop)
        self.prober = Prober(
            checks, self.registry, self._report, self.resolver, NODE_TLS, loop, timing
        )

    @property
    def registry(self) -> Registry:
        return self.table.registry

    def _report(self, events: list[Event]) -> None:
        self.told += words(
            [event for event in events if isinstance(event, NodeHealthy | NodeUnhealthy)]
        )
        self.prober.note(events)

    def announce(self, address: str, key: bytes = b"example.com", **fields: Any) -> SubscribedNode:
        self._report(self.table.announce(address, key, **fields))
        return self.table.node(address, key)

    def leave(self, address: str) -> None:
        self._report(self.table.leave(address))

    async def close(self) -> None:
        await self.prober.close()
        self.resolver.close()


@pytest.fixture
async def checked(lab: Lab) -> Any:
    made: list[Checked] = []

    def make(**options: Any) -> Checked:
        made.append(Checked(lab, options))
        return made[-1]

    yield make
    for one in made:
        await one.close()


Make = Callable[..., Checked]


async def test_a_node_becomes_unhealthy_after_fall_failures_and_healthy_after_rise_successes(
    checked: Make, lab: Lab
) -> None:
    one, mood = checked(fall=3, rise=2), Mood()
    address = lab.node(mood).address
    node = one.announce(address)
    await until(lambda: mood.pings >= 4)
    assert one.told == []
    mood.well = False
    before = mood.pings
    await until(lambda: one.told)
    assert mood.pings >= before + 3 - 1  # one answer may still have been under way
    why = "it ended the connection without an answer to the ping"
    assert one.told == [f"NodeUnhealthy {address} {why}"]
    assert one.table.choose() is None
    mood.well = True
    before = mood.pings
    await until(lambda: len(one.told) == 2)
    assert mood.pings >= before + 2 - 1
    assert one.told[1] == f"NodeHealthy {address}"
    assert one.table.choose() == node.name


async def test_it_is_told_once_while_nothing_changes(checked: Make, lab: Lab) -> None:
    one, mood = checked(fall=1), Mood(well=False)
    one.announce(lab.node(mood).address)
    await until(lambda: mood.pings > 10)
    assert len(one.told) == 1


async def test_failures_have_to_be_in_a_row(checked: Make, lab: Lab) -> None:
    one, count = checked(fall=2), 0

    async def every_other(peer: Peer) -> None:
        nonlocal count
        count += 1
        await peer.exactly(4)
        if count % 2:
            await peer.send(PONG)

    one.announce(lab.node(every_other).address)
    await until(lambda: count > 10)
    assert one.told == []


async def test_a_new_node_is_used_at_once_unless_it_has_to_be_checked_first(
    checked: Make, lab: Lab
) -> None:
    at_once, first = checked(interval=1000.0), checked(interval=1000.0, first=True)
    at_once.announce("127.0.0.1:9")
    assert at_once.table.choose() is not None
    mood = Mood()
    node = first.announce(lab.node(mood).address)
    assert first.table.choose() is None
    # Not after the interval: at once, and once is enough.
    await until(lambda: first.told)
    assert mood.pings == 1
    assert first.table.choose() == node.name


async def test_a_node_that_is_not_up_yet_is_asked_again_soon(checked: Make, lab: Lab) -> None:
    one, mood = (
        checked(timing=TableTiming(first_check=SOON), interval=1000.0, rise=5, first=True),
        Mood(well=False),
    )
    one.announce(lab.node(mood).address)
    await until(lambda: mood.pings > 4)
    assert [line.split()[0] for line in one.told] == ["NodeUnhealthy"]
    mood.well = True
    await until(lambda: len(one.told) == 2)
    assert one.table.choose() is not None


async def test_a_node_that_left_and_came_back_is_checked_first_again(
    checked: Make, lab: Lab
) -> None:
    one, mood = checked(interval=1000.0, first=True), Mood()
    address = lab.node(mood).address
    node = one.announce(address)
    await until(lambda: one.told)
    node.reference += 1  # a request holds it
    one.leave(address)
    one.announce(address)
    assert one.table.choose() is None
    await until(lambda: len(one.told) == 2)
    assert one.table.choose() == address


async def test_nodes_that_were_there_before_are_checked_too(lab: Lab) -> None:
    one = Checked(lab, {})
    await one.prober.close()
    mood = Mood()
    one.table.announce(lab.node(mood).address)
    loop = asyncio.get_running_loop()
    one.prober = Prober(
        Checks(ping=True, interval=SOON), one.registry, one._report, one.resolver, NODE_TLS, loop
    )
    await until(lambda: mood.pings > 2)
    await one.close()


async def test_nodes_of_a_protocol_that_is_not_checked_are_left_alone(
    checked: Make, lab: Lab
) -> None:
    one, asked, pinged = checked(path=None), Mood(), Mood()
    one.announce(lab.node(asked).address, proto="http")
    one.announce(lab.node(pinged).address)
    await until(lambda: pinged.pings > 5)
    assert asked.pings == 0


async def test_a_node_that_now_speaks_what_is_not_checked_is_not_ill_for_ever(
    checked: Make, lab: Lab
) -> None:
    one = checked(fall=1, rise=1)
    address = lab.node(Mood(well=False)).address
    one.announce(address)
    await until(lambda: one.told)
    one.announce(address, proto="http")
    await until(lambda: len(one.told) == 2)
    assert one.table.choose() == address


async def test_only_so_many_checks_run_at_once(checked: Make, lab: Lab) -> None:
    one, node = checked(timing=TableTiming(checks_at_once=3)), lab.held()
    for number in range(10):
        one.announce(node.address, b"key%d" % number)
    await until(lambda: node.connections == 3)
    for _ in range(5):
        await a_few_turns()
    assert node.connections == 3
    # One that ends makes place for the next.
    (await node.next()).close()
    await until(lambda: node.connections == 4)


async def test_checks_begin_no_faster_than_their_number_in_a_second(
    checked: Make, lab: Lab
) -> None:
    timing = TableTiming(checks_a_second=20, checks_in_a_row=1)
    one, mood = checked(interval=0.001, timing=timing), Mood()
    loop = asyncio.get_running_loop()
    address = lab.node(mood).address
    for number in range(10):
        one.announce(address, b"key%d" % number)
    began = loop.time()
    await until(lambda: mood.pings >= 8)
    assert loop.time() - began >= 7 / 20 - 0.1


async def test_every_node_gets_its_turn_when_there_are_too_many(checked: Make, lab: Lab) -> None:
    one, moods = (
        checked(interval=0.001, timing=TableTiming(checks_at_once=1)),
        [Mood() for _ in range(8)],
    )
    for number, mood in enumerate(moods):
        one.announce(lab.node(mood).address, b"key%d" % number)
    await until(lambda: all(mood.pings >= 3 for mood in moods))


async def test_nodes_that_come_together_are_not_checked_together(checked: Make) -> None:
    one = checked(interval=1000.0)
    now = asyncio.get_running_loop().time()
    for number in range(100):
        one.announce("127.0.0.1:9", b"key%d" % number)
    due = sorted(record.due - now for record in one.prober._records.values())
    assert due[0] >= 0
    assert due[-1] <= 1000 + 1
    # Never more than twice as far apart as they would be at best.
    assert max(after - before for before, after in pairwise(due)) < 2 * 1000 / 100


async def test_nodes_that_have_left_are_forgotten_however_many_come_and_go(checked: Make) -> None:
    one = checked(interval=1000.0)
    for number in range(1000):
        address = f"127.0.0.1:{number + 1}"
        one.announce(address)
        one.leave(address)
    assert len(one.prober._records) == 0
    assert len(one.prober._queue) < 100


async def test_a_verdict_on_a_node_that_left_meanwhile_is_nothing(checked: Make, lab: Lab) -> None:
    one, node = checked(fall=1), lab.held()
    one.announce(node.address)
    peer = await node.next()
    one.leave(node.address)
    peer.close()
    await until(lambda: not one.prober._running)
    assert one.told == []


async def test_a_bug_in_a_check_stops_neither_the_others_nor_itself(
    checked: Make, lab: Lab, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    async def broken(*_arguments: object) -> str:
        raise RuntimeError("broken")

    monkeypatch.setattr(module, "probe", broken)
    one, mood = checked(), Mood()
    one.announce(lab.node(mood).address)
    await log.line("the check of 127.0.0.1")
    monkeypatch.setattr(module, "probe", probe)
    await until(lambda: mood.pings > 2)
    assert one.told == []
    log.lines.clear()


async def test_nothing_is_asked_any_more_after_close(checked: Make, lab: Lab) -> None:
    one, mood = checked(), Mood()
    silent: Script = held_by_the_test
    one.announce(lab.node(mood).address)
    held = lab.node(silent)
    one.announce(held.address)
    peer = await held.next()
    await until(lambda: mood.pings > 1)
    await one.prober.close()
    assert await peer.rest() == bytes((100, 0, 0, 0))
    before = mood.pings
    # Not a wait for something: time in which nothing may happen.
    await asyncio.sleep(5 * SOON)
    assert mood.pings == before
