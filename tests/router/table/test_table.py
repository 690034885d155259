"""The table at work: real datagrams, silence, and who is told."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.log import Log
from tests.lab.messages import KEY
from tests.lab.tables import BoundTable
from tests.lab.waiting import until
from tests.subscriptions.signing import NOW, ec_key, publish, signed
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import SubscriptionConfig
from uwsgi_router.router.table.table import Table
from uwsgi_router.router.table.timing import TableTiming
from uwsgi_router.subscriptions.signature import SignCheck


class Announcer(BoundTable):
    """A table on a UDP port, and a socket that sends to it."""

    def announce(self, address: str, key: bytes = KEY, **fields: Any) -> None:
        self.say("subscribe", address, key, **fields)


@pytest.fixture
async def announcer() -> AsyncIterator[Announcer]:
    announcer = Announcer()
    yield announcer
    announcer.close()


async def test_announces_and_leaves_are_logged(announcer: Announcer, log: Log) -> None:
    announcer.announce(":3031")
    line = await log.line("new node")
    assert "[example.com]" in line
    assert "127.0.0.1:3031" in line  # the datagram's source address
    await log.line("new pool example.com (wrr)")
    announcer.say("unsubscribe", ":3031")
    assert await log.line("leaves") == "info [example.com] 127.0.0.1:3031 leaves: it unsubscribed"
    await log.line("no nodes left")
    assert log.having("as failed") == []


async def test_a_bad_datagram_is_refused_with_sender_and_reason_and_changes_nothing(
    announcer: Announcer, log: Log
) -> None:
    announcer.announce("/a")
    await log.line("new node")
    announcer.sock.send(b"garbage")
    assert "127.0.0.1" in await log.line("refused a subscription datagram")
    assert [pool.get("/a") is not None for pool in announcer.table.registry.pools.values()] == [
        True
    ]


async def test_many_bad_datagrams_make_one_line_a_second(announcer: Announcer, log: Log) -> None:
    for _ in range(50):
        announcer.sock.send(b"garbage")
    announcer.announce("/a")
    await log.line("new node")
    assert len(log.having("refused")) < 3


async def test_a_silent_node_is_noticed_without_any_request(
    log: Log,
) -> None:
    announcer = Announcer(timing=TableTiming(sweep=0.02), tolerance=0.1)
    announcer.announce("/a")
    assert "no announce for 0.1 s" in await log.line("it is stale")
    await until(lambda: not announcer.table.registry.pools)
    announcer.close()


async def test_a_silent_node_that_announces_itself_again_is_a_line(log: Log) -> None:
    announcer = Announcer(timing=TableTiming(sweep=0.02), tolerance=1.0)
    announcer.announce("/a")
    announcer.announce("/a")
    await log.line("it is stale")
    assert log.having("again") == []
    announcer.announce("/a")
    assert await log.line("again") == "info [example.com] /a announces itself again"
    announcer.close()


async def test_nothing_happens_any_more_after_close(
    log: Log,
) -> None:
    """However many routers had the table started."""
    announcer = Announcer(timing=TableTiming(sweep=0.01), tolerance=0.05)
    announcer.table.start([])
    announcer.announce("/a")
    await log.line("new node")
    announcer.close()
    # Not a wait for something: time in which nothing may happen.
    await asyncio.sleep(0.15)
    assert log.having("stale") == []


async def test_each_cause_is_logged_once_with_sender_and_key(
    announcer: Announcer, log: Log
) -> None:
    for _ in range(20):
        announcer.announce("/a", modifier1=173)
        announcer.announce("/a", b"other.example", modifier1=173)
        announcer.announce("/a", proto="scgi")
    announcer.announce("/end", b"end.example")
    await log.line("new node")
    one, two, three = log.having("refused a subscription datagram")
    assert "from 127.0.0.1 for example.com: modifier1 173 calls functions" in one
    assert "for other.example: modifier1 173" in two
    assert "for example.com: /a speaks scgi" in three


async def test_what_a_configuration_asks_for_is_checked(log: Log) -> None:
    announcer = Announcer(allow_from=(ipaddress.ip_network("10.0.0.0/8"),))
    announcer.announce("/a")
    await log.line("subscriptions-allow-from does not name this sender's network")
    announcer.close()
    announcer = Announcer(own_address=True, max_rate=1)
    announcer.announce("10.0.0.1:80")
    await log.line("10.0.0.1:80 is not an address of the sender's")
    for _ in range(20):
        announcer.announce("/a")
    await log.line("it sends too many datagrams")
    announcer.close()


async def test_signatures_that_can_not_be_checked_stop_the_start(tmp_path: Path) -> None:
    check = SignCheck("SHA256", str(tmp_path / "none"))
    with pytest.raises(StartError, match="is no directory that we may look into"):
        Table(SubscriptionConfig(sign_check=check), asyncio.get_running_loop())


async def test_old_signatures_are_forgotten_now_and_then(log: Log, tmp_path: Path) -> None:
    timing = TableTiming(sweep=0.01, forget=0.01)
    publish(tmp_path, ec_key())
    wall = float(NOW)
    check = SignCheck("SHA256", str(tmp_path))
    announcer = Announcer(
        timing=timing, wall_clock=lambda: wall, sign_check=check, sign_tolerance=60.0
    )
    announcer.sock.send(signed(ec_key()))
    await log.line("new node")
    gate = announcer.table.gate
    assert "remembered=1" in repr(gate)
    wall += 61
    await until(lambda: "remembered=0" in repr(gate))
    announcer.close()


async def test_a_clock_that_was_ahead_for_a_moment_locks_no_signed_node_out(
    log: Log, tmp_path: Path
) -> None:
    timing = TableTiming(sweep=0.01)
    publish(tmp_path, ec_key())
    wall, monotonic = float(NOW), 10.0
    announcer = Announcer(
        timing=timing,
        wall_clock=lambda: wall,
        monotonic=lambda: monotonic,
        sign_check=SignCheck("SHA256", str(tmp_path)),
    )
    announcer.sock.send(signed(ec_key()))
    await log.line("new node")
    wall += 3600.0
    await log.line("the clock jumped ahead by 3600 s")
    recorded = signed(ec_key(), NOW + 3605)
    wall, monotonic = wall + 5.0, monotonic + 5.0
    announcer.sock.send(recorded)
    used = announcer.table.used_times
    assert used is not None
    await until(lambda: [one.floor for one in used.items()] == [NOW + 3605])
    # A recorded packet, or one of a node whose clock is still ahead, does have our clock forgiven.
    announcer.sock.send(recorded)
    assert "was used before" in await log.line("refused")
    assert log.having("the clock went back") == []
    wall -= 3600.0
    await log.line("the clock went back by 3600 s")
    assert len(log.having("(1 nodes)")) == 1
    wall, monotonic = wall + 10.0, monotonic + 10.0
    announcer.sock.send(signed(ec_key(), NOW + 15))
    await until(lambda: [one.floor for one in used.items()] == [NOW + 15])
    # Far ahead of us is the future, whatever was used there.
    announcer.sock.send(recorded)
    await log.line("ahead: the client's clock or ours is wrong")
    wall, monotonic = wall + 3590.0, monotonic + 3590.0
    announcer.sock.send(recorded)
    announcer.sock.send(signed(ec_key(), NOW + 3606))
    await until(lambda: [one.floor for one in used.items()] == [NOW + 3606])
    assert len(log.having("the clock went back")) == 1
    announcer.close()


async def test_a_node_that_can_not_be_told_is_taken_in_all_the_same(
    announcer: Announcer, log: Log
) -> None:
    for _ in range(3):
        announcer.announce("/a", notify=b"/nonexistent")
    await log.line("new node")
    assert "no answer was sent to /nonexistent: No such file" in await log.line("no answer")
