"""Routers that announce themselves to each other, over real sockets; datagrams are counted on their way."""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.log import Log
from tests.lab.messages import KEY
from tests.lab.tables import BoundTable
from tests.lab.waiting import until
from uwsgi_router.protocol.address import Address, InetAddress, UnixAddress
from uwsgi_router.protocol.subscription import Subscription, decode, encode
from uwsgi_router.router.config.model import ProcessConfig, SubscriptionConfig
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.destinations import DatagramRoute
from uwsgi_router.router.net.listeners import bind_stream
from uwsgi_router.router.table.resubscription import Announced, announced_by
from uwsgi_router.router.table.table import Table
from uwsgi_router.router.table.timing import TableTiming


class Wire:
    """Where a router sends to: passes each datagram on to another, and counts it."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setblocking(False)
        self.to: Any = None
        self.passed: list[Subscription] = []
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.sock.fileno(), self._readable)

    @property
    def text(self) -> str:
        return f"127.0.0.1:{self.sock.getsockname()[1]}"

    def _readable(self) -> None:
        datagram = self.sock.recv(65_536)
        self.passed.append(decode(datagram))
        if self.to is not None:
            self.sock.sendto(datagram, self.to)

    def commands(self) -> list[str]:
        return [one.command for one in self.passed]

    def close(self) -> None:
        self._loop.remove_reader(self.sock.fileno())
        self.sock.close()


class Router(BoundTable):
    """A table that tells other routers, and a listener that nobody connects to."""

    def __init__(self, *wires: Wire, **config: Any) -> None:
        super().__init__(resubscribe=tuple(wire.text for wire in wires), **config)
        self.listeners = bind_stream("127.0.0.1:0", ProcessConfig(), Inherited())
        self.table.resubscribe(Announced.of(self.listeners, "uwsgi"), [])

    def close(self) -> None:
        super().close()
        for bound in self.listeners:
            bound.close()


@pytest.fixture
async def things() -> AsyncIterator[list[Any]]:
    things: list[Any] = []
    yield things
    for thing in reversed(things):
        thing.close()


async def test_what_is_announced(things: list[Any], log: Log) -> None:
    things.append(wire := Wire())
    things.append(router := Router(wire))
    router.say("subscribe", modifier1=5, modifier2=6, weight=3, load=9, cores=8)
    router.say("subscribe", "127.0.0.1:4002", modifier1=5, modifier2=6, weight=4)
    await until(lambda: bool(wire.passed))
    (told,) = wire.passed
    assert told == Subscription(
        "subscribe",
        KEY,
        router.listeners[0].address,
        modifier1=5,
        modifier2=6,
        weight=7,
        backup=1,
        via=told.via,
    )
    assert len(told.via) == 1


async def test_one_of_two_nodes_leaves_unseen_and_the_last_takes_the_router_out(
    things: list[Any], log: Log
) -> None:
    things.append(wire := Wire())
    things.append(above := Router())
    wire.to = above.where
    things.append(router := Router(wire))
    router.say("subscribe")
    router.say("subscribe", "127.0.0.1:4002")
    await until(lambda: above.nodes() == [router.listeners[0].address])
    router.say("unsubscribe")
    await until(lambda: router.nodes() == ["127.0.0.1:4002"])
    router.say("unsubscribe", "127.0.0.1:4002")
    await until(lambda: above.nodes() == [])
    assert wire.commands() == ["subscribe", "unsubscribe"]


async def test_what_is_refused_is_not_announced(things: list[Any], log: Log) -> None:
    """uWSGI passes on what it refused, even what it could not read."""
    things.append(wire := Wire())
    things.append(router := Router(wire, own_address=True))
    router.sock.send(b"garbage")
    router.say("subscribe", "10.0.0.1:1")
    router.say("subscribe", modifier1=22)
    router.say("unsubscribe", "127.0.0.1:4009")
    await log.line("runs code")
    router.sock.send(encode(Subscription("subscribe", b"marker", "127.0.0.1:1")))
    await until(lambda: bool(wire.passed))
    assert [one.key for one in wire.passed] == [b"marker"]


async def test_a_router_that_ends_says_so(things: list[Any], log: Log) -> None:
    things.append(wire := Wire())
    things.append(router := Router(wire))
    router.say("subscribe")
    await until(lambda: wire.commands() == ["subscribe"])
    await router.table.withdraw()
    await until(lambda: wire.commands() == ["subscribe", "unsubscribe"])


@pytest.mark.parametrize("count", [2, 3])
async def test_routers_in_a_circle_send_no_more_than_their_refresh(
    things: list[Any], log: Log, count: int
) -> None:
    """In uWSGI one datagram becomes 20,000 a second here."""
    interval = 0.2
    loop = asyncio.get_running_loop()
    wires = [Wire() for _ in range(count)]
    things += wires
    routers = [Router(wire, timing=TableTiming(announce=interval)) for wire in wires]
    things += routers
    for number, wire in enumerate(wires):
        wire.to = routers[(number + 1) % count].where
    began = loop.time()
    routers[0].say("subscribe")
    await until(lambda: all(router.nodes() for router in routers))
    # Not a wait for something: time in which not more than this may happen.
    await asyncio.sleep(1)
    elapsed = loop.time() - began
    for wire in wires:
        assert 3 <= len(wire.passed) <= elapsed / interval + 1
    # Each router's key has one way, and nobody believes to reach its own nodes through others.
    assert routers[0].nodes() == ["127.0.0.1:4001"]
    for wire in wires:
        wire.passed.clear()
    routers[0].say("unsubscribe")
    await until(lambda: not any(router.nodes() for router in routers))
    await asyncio.sleep(2 * interval)
    assert [Counter(wire.commands())["unsubscribe"] for wire in wires] == [1] * count
    for wire in wires:
        wire.passed.clear()
    await asyncio.sleep(2 * interval)
    assert [wire.passed for wire in wires] == [[]] * count


async def test_two_routers_with_nodes_of_their_own_keep_to_them(
    things: list[Any], log: Log
) -> None:
    wires = [Wire(), Wire()]
    things += wires
    one, two = (Router(wire) for wire in wires)
    things += [one, two]
    wires[0].to, wires[1].to = two.where, one.where
    one.say("subscribe", "127.0.0.1:4001")
    two.say("subscribe", "127.0.0.1:4002")
    await until(lambda: len(one.nodes()) == len(two.nodes()) == 2)
    registry = one.table.registry
    chosen = {getattr(registry.choose(KEY), "name", None) for _ in range(10)}
    assert chosen == {"127.0.0.1:4001"}
    one.say("unsubscribe", "127.0.0.1:4001")
    await until(lambda: one.nodes() == [two.listeners[0].address])
    await until(lambda: two.nodes() == ["127.0.0.1:4002"])


async def test_certificates_and_the_bound_address(
    things: list[Any], log: Log, tmp_path: Path
) -> None:
    for name in ("a.key", "a.crt"):
        (tmp_path / name).touch()
    key, crt = os.fsencode(tmp_path / "a.key"), os.fsencode(tmp_path / "a.crt")
    things.append(wire := Wire())
    things.append(router := Router(wire, sni_allow_dirs=(str(tmp_path),)))
    router.say("subscribe", sni_key=key, sni_crt=crt, sni_ca=b"!" + crt)
    line = await log.line("its certificate is in")
    assert "nothing here terminates TLS yet" in line
    await until(lambda: bool(wire.passed))
    told = wire.passed[0]
    assert (told.sni_key, told.sni_crt, told.sni_ca) == (key, crt, b"!" + crt)
    router.say("subscribe", sni_key=b"/etc/passwd", sni_crt=crt)
    await log.line("is not taken: sni_key b'/etc/passwd' is in no directory of sni-allow-dir")
    assert router.table.registry.pools[KEY].sni is None


HERE4 = DatagramRoute((socket.AF_INET, ("127.0.0.1", 5)), "127.0.0.1")
OWN4 = DatagramRoute((socket.AF_INET, ("10.0.0.1", 5)), "10.0.0.1")
FAR4 = DatagramRoute((socket.AF_INET, ("10.0.0.9", 5)), "10.0.0.1")
FAR6 = DatagramRoute((socket.AF_INET6, ("fd00::9", 5)), "fd00::1")
UNIX = DatagramRoute((socket.AF_UNIX, b"/s"), None)


@pytest.mark.parametrize(
    ("listeners", "route", "address"),
    [
        ([InetAddress("127.0.0.1", 1)], HERE4, "127.0.0.1:1"),
        ([InetAddress("127.0.0.1", 1)], UNIX, "127.0.0.1:1"),
        ([InetAddress("127.0.0.1", 1)], FAR4, None),
        ([InetAddress("::1", 1)], FAR6, None),
        ([InetAddress("127.0.0.1", 1), InetAddress("10.0.0.1", 2)], FAR4, "10.0.0.1:2"),
        ([InetAddress("0.0.0.0", 1)], FAR4, "10.0.0.1:1"),
        ([InetAddress("0.0.0.0", 1)], OWN4, "10.0.0.1:1"),
        ([InetAddress("0.0.0.0", 1)], UNIX, "127.0.0.1:1"),
        ([InetAddress("0.0.0.0", 1)], FAR6, None),
        ([InetAddress("::", 1)], FAR6, "[fd00::1]:1"),
        ([InetAddress("::", 1)], FAR4, "10.0.0.1:1"),
        ([InetAddress("10.0.0.1", 1)], FAR6, "10.0.0.1:1"),
        ([UnixAddress(b"/run/r")], HERE4, "/run/r"),
        ([UnixAddress(b"\0r\0")], UNIX, "@r"),
        ([UnixAddress(b"/run/r")], FAR4, None),
        ([UnixAddress(b"/run/r"), InetAddress("10.0.0.1", 2)], FAR4, "10.0.0.1:2"),
        ([UnixAddress(b"/run/r"), InetAddress("10.0.0.1", 2)], HERE4, "/run/r"),
    ],
)
def test_the_address_that_leads_here_from_there(
    listeners: list[Address], route: DatagramRoute, address: str | None
) -> None:
    """uWSGI tells its first address as it is configured, ``:3031`` too, which leads to nobody."""
    assert Announced(tuple(listeners)).address_for(route) == address


async def test_a_fastrouter_is_told_rather_than_an_http_router(things: list[Any]) -> None:
    fast, http = (bind_stream("127.0.0.1:0", ProcessConfig(), Inherited()) for _ in range(2))
    things += [*fast, *http]
    assert announced_by([("http", http), ("uwsgi", fast)]) == Announced.of(fast, "uwsgi")
    assert announced_by([("http", http), ("uwsgi", [])]) == Announced.of(http, "http")
    assert announced_by([]) is None


async def test_a_router_that_can_not_be_reached_from_there_says_so(
    things: list[Any], log: Log, tmp_path: Path
) -> None:
    things.append(wire := Wire())
    things.append(router := Router())
    router.table.close()
    unreachable = Announced((InetAddress("0.0.0.0", 1),))
    assert unreachable.address_for(FAR6) is None
    table = Table(SubscriptionConfig(resubscribe=(wire.text,)), asyncio.get_running_loop())
    things.append(table)
    table.resubscribe(Announced(()), [])
    table.report(table.registry.apply(Subscription("subscribe", KEY, "/a"), source=None, now=0.0))
    line = await log.line("no address that this router listens on")
    assert f"fastrouter-resubscribe = {wire.text}: not passed on" in line
