"""The table at work: real datagrams, silence, and who is told."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from protocol.subscription import Subscription, encode
from router import table as module
from router.config import ProcessConfig, SubscriptionConfig
from router.net.activation import Inherited
from router.net.listeners import BoundSocket, bind_datagram
from router.table import Table
from tests.router.engine.nodes import Log, until


class Announcer:
    """A table on a UDP port, and a socket that sends to it."""

    def __init__(self, **options: float) -> None:
        config = SubscriptionConfig(**options)  # type: ignore[arg-type]
        self.bound: list[BoundSocket] = bind_datagram("127.0.0.1:0", ProcessConfig(), Inherited())
        self.table = Table(config, asyncio.get_running_loop())
        self.table.start(self.bound)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(self.bound[0].sock.getsockname())

    def announce(self, address: str, key: bytes = b"example.com") -> None:
        self.sock.send(encode(Subscription("subscribe", key, address)))

    def close(self) -> None:
        self.table.close()
        self.sock.close()
        for bound in self.bound:
            bound.close()


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
    announcer.sock.send(encode(Subscription("unsubscribe", b"example.com", ":3031")))
    await log.line("as failed: it unsubscribed")
    await log.line("no nodes left")


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
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWEEP", 0.02)
    announcer = Announcer(tolerance=0.1)
    announcer.announce("/a")
    assert "no announce for 0.1 s" in await log.line("it fell silent")
    await until(lambda: not announcer.table.registry.pools)
    announcer.close()


async def test_nothing_happens_any_more_after_close(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many routers had the table started."""
    monkeypatch.setattr(module, "SWEEP", 0.01)
    announcer = Announcer(tolerance=0.05)
    announcer.table.start([])
    announcer.announce("/a")
    await log.line("new node")
    announcer.close()
    # Not a wait for something: time in which nothing may happen.
    await asyncio.sleep(0.15)
    assert log.having("silent") == []
