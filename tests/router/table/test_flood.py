"""Floods of datagrams: known senders are heard, losses are told, and who serves requests is not stale."""

import ipaddress
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.lab.log import Log
from tests.lab.messages import KEY
from tests.lab.tables import BoundTable
from tests.lab.waiting import until
from tests.subscriptions.table import Table
from uwsgi_router.protocol.subscription import Subscription, encode
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.table.flood import SHUT_OUT, KnownSenders
from uwsgi_router.router.table.timing import TableTiming
from uwsgi_router.subscriptions.node import SubscribedNode

NODE, FLOOD = "127.0.0.9", "127.0.0.66"
SMALL = ProcessConfig(so_rcvbuf=20_000)


class Flooded:
    """A table whose socket holds a few datagrams only, a node, and somebody who floods it."""

    def __init__(self, **options: Any) -> None:
        self.table = BoundTable(process=SMALL, timing=TableTiming(sweep=0.02), **options)
        self._node = self._from(NODE)
        self._flood = self._from(FLOOD)

    def _from(self, source: str) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((source, 0))
        sock.connect(self.table.where)
        return sock

    def announce(self, weight: int) -> None:
        self._node.send(encode(Subscription("subscribe", KEY, "127.0.0.9:1", weight=weight)))

    def flood(self) -> None:
        """Send more than there is room for; the event loop does not run meanwhile."""
        for _ in range(1000):
            self._flood.send(b"junk")

    @property
    def node(self) -> SubscribedNode | None:
        pool = self.table.table.registry.pools.get(KEY)
        return None if pool is None else pool.get("127.0.0.9:1")

    async def announced(self, weight: int) -> SubscribedNode:
        self.announce(weight)
        await until(lambda: self.node is not None and self.node.weight == weight)
        assert self.node is not None
        return self.node

    async def known(self) -> None:
        """Have the node serve a request, and announce itself again."""
        node = await self.announced(1)
        node.connect_started()
        node.connected()
        await self.announced(2)
        senders = self.table.table._known_senders
        await until(lambda: senders.sources == [NODE] and not senders._changed)

    def close(self) -> None:
        self.table.close()
        self._node.close()
        self._flood.close()


@pytest.fixture
async def flooded() -> AsyncIterator[Flooded]:
    flooded = Flooded()
    yield flooded
    flooded.close()


async def test_a_node_that_served_requests_is_heard_in_a_flood(flooded: Flooded) -> None:
    await flooded.known()
    flooded.flood()
    flooded.announce(3)
    await until(lambda: flooded.node is not None and flooded.node.weight == 3)


async def test_what_is_lost_is_told_and_counted(flooded: Flooded, log: Log) -> None:
    lost: list[int] = []

    class Listener:
        def table_changed(self, events: object) -> None:
            pass

        def datagrams_refused(self, count: int) -> None:
            pass

        def datagrams_lost(self, count: int) -> None:
            lost.append(count)

    flooded.table.table.used_by(Listener())
    flooded.flood()
    assert "datagrams were lost" in await log.line("datagrams were lost")
    assert sum(lost) > 500


async def test_while_datagrams_are_lost_the_kernel_drops_what_may_not_be_said(log: Log) -> None:
    flooded = Flooded(allow_from=(ipaddress.ip_network("127.0.0.9/32"),))
    flooded.flood()
    await log.line("from now on the kernel drops datagrams")
    await flooded.announced(1)
    refused = len(log.having("refused"))
    # Nothing of the second flood takes room: the announce behind it is heard.
    flooded.flood()
    await flooded.announced(5)
    assert len(log.having("refused")) == refused
    flooded.close()


def test_a_known_sender_that_sends_too_many_shares_the_lane_of_the_others() -> None:
    table = Table()
    senders = KnownSenders()
    events = table.announce("10.0.0.1:80", source="10.0.0.1")
    table.node("10.0.0.1:80").requests += 1
    senders.note(events)
    assert senders.sources == []
    senders.note(table.announce("10.0.0.1:80", source="10.0.0.1"))
    assert senders.sources == ["10.0.0.1"]
    senders.sent_too_many("10.0.0.1", 100.0)
    senders.sent_too_many("10.0.0.2", 100.0)
    senders.update(100.0 + SHUT_OUT - 1)
    assert senders.sources == []
    senders.update(100.0 + SHUT_OUT)
    assert senders.sources == ["10.0.0.1"]
    senders.note(table.leave("10.0.0.1:80", source="10.0.0.1"))
    assert senders.sources == []


def test_a_node_that_moves_is_known_at_its_new_address() -> None:
    table = Table()
    senders = KnownSenders()
    table.announce("10.0.0.1:80", source="10.0.0.1")
    table.node("10.0.0.1:80").requests += 1
    for source in ("10.0.0.1", "10.0.0.2"):
        senders.note(table.announce("10.0.0.1:80", source=source))
        assert senders.sources == [source]


# --- silence while datagrams are lost ---


def served(node: SubscribedNode) -> None:
    node.connect_started()
    node.connected()


def test_who_serves_requests_is_not_stale_while_announces_are_lost() -> None:
    table = Table()
    for address in ("10.0.0.1:80", "10.0.0.2:80"):
        table.announce(address)
    busy, idle = table.node("10.0.0.1:80"), table.node("10.0.0.2:80")
    for _ in range(5):
        table.now += 18.0
        served(busy)
        table.registry.sweep(table.now, lossy=True)
    assert (busy.state, idle.removed) == ("ready", True)
    assert busy.last_seen == 1000.0
    # It serves no more, or nothing is lost any more: silence counts again.
    table.now += 18.0
    table.registry.sweep(table.now, lossy=True)
    assert busy.stale
    assert table.names() == ["10.0.0.1:80"]


def test_without_losses_silence_is_silence() -> None:
    table = Table()
    table.announce("10.0.0.1:80")
    served(table.node("10.0.0.1:80"))
    table.now += 18.0
    table.sweep()
    assert table.node("10.0.0.1:80").stale
