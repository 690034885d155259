"""Where announces are passed on to: names, ways, and what can't be reached."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lab.log import Log
from tests.lab.names import Names
from tests.lab.waiting import until
from uwsgi_router.protocol.address import Address, InetAddress
from uwsgi_router.router.net.destinations import DatagramRoute, Destinations
from uwsgi_router.subscriptions.gate import never_own


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def receiver(
    stack: ExitStack, family: int = socket.AF_INET, address: object = None
) -> socket.socket:
    sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
    sock.bind(address or ("127.0.0.1", 0))  # type: ignore[arg-type]
    sock.settimeout(5)
    return sock


def started(
    stack: ExitStack,
    *texts: str,
    is_own: object = never_own,
    bound: list[socket.socket] | None = None,
    ttl: float = 5.0,
    names: Names | None = None,
) -> Destinations:
    made = Destinations(
        "subscription-tee",
        texts,
        asyncio.get_running_loop(),
        is_own=is_own,  # type: ignore[arg-type]
        bound=bound or [],
        ttl=ttl,
        look_ups=names.look_ups() if names is not None else None,
    )
    made.start()
    stack.callback(made.close)
    return made


def send(destinations: Destinations, datagram: bytes) -> None:
    for destination in destinations:
        for route in destination.routes:
            destinations.send(destination, route, datagram)


async def test_udp_and_unix_from_sockets_that_stay(stack: ExitStack, tmp_path: Path) -> None:
    udp, unix = receiver(stack), receiver(stack, socket.AF_UNIX, str(tmp_path / "s"))
    destinations = started(stack, f"127.0.0.1:{udp.getsockname()[1]}", str(tmp_path / "s"))
    send(destinations, b"1")
    send(destinations, b"2")
    first, second = udp.recvfrom(9), udp.recvfrom(9)
    assert (first[0], second[0]) == (b"1", b"2")
    assert first[1] == second[1]
    assert (unix.recv(9), unix.recv(9)) == (b"1", b"2")
    assert [route.is_here for destination in destinations for route in destination.routes] == [
        True,
        True,
    ]


async def test_from_the_address_that_is_asked_for(stack: ExitStack) -> None:
    udp, source = receiver(stack), receiver(stack)
    destinations = started(stack, f"127.0.0.1:{udp.getsockname()[1]}", bound=[source])
    send(destinations, b"1")
    assert udp.recvfrom(9) == (b"1", source.getsockname())


async def test_the_same_address_twice_is_one(stack: ExitStack) -> None:
    assert len(list(started(stack, "127.0.0.1:9", "127.0.0.1:9"))) == 1


async def test_all_addresses_of_a_name_and_later_others(stack: ExitStack) -> None:
    names = Names({"routers.example": ["127.0.0.1", "127.0.0.2"]})
    (destination,) = started(stack, "routers.example:9", ttl=0.01, names=names)

    def hosts() -> list[object]:
        return [route.endpoint[1][0] for route in destination.routes]

    await until(lambda: hosts() == ["127.0.0.1", "127.0.0.2"])
    names.answers["routers.example"] = ["127.0.0.3"]
    await until(lambda: hosts() == ["127.0.0.3"])


async def test_a_machine_with_addresses_of_both_families_is_told_once(stack: ExitStack) -> None:
    names = Names({"router.example": ["::1", "127.0.0.1"]})
    (destination,) = started(stack, "router.example:9", names=names)
    await until(lambda: bool(destination.routes))
    assert destination.routes == (DatagramRoute((socket.AF_INET, ("127.0.0.1", 9)), "127.0.0.1"),)


async def test_a_name_that_fails_stays_where_it_was_and_is_told_once(
    stack: ExitStack, log: Log
) -> None:
    names = Names({"router.example": ["127.0.0.1"], "marker.example": ["127.0.0.1"]})
    (destination,) = started(stack, "router.example:9", ttl=0.01, names=names)
    await until(lambda: bool(destination.routes))
    names.answers["router.example"] = []
    line = await log.line("can't be resolved")
    assert "subscription-tee = router.example:9: not passed on" in line
    (marker,) = started(stack, "marker.example:9", names=names)
    await until(lambda: bool(marker.routes))
    assert destination.routes
    assert len(log.having("can't be resolved")) == 1


async def test_nothing_is_sent_to_the_router_itself(stack: ExitStack, log: Log) -> None:
    def is_own(address: Address) -> bool:
        return address == InetAddress("127.0.0.1", 9)

    names = Names({"me.example": ["127.0.0.1"], "us.example": ["127.0.0.1", "127.0.0.2"]})
    literal, name, several = started(
        stack, "127.0.0.1:9", "me.example:9", "us.example:9", is_own=is_own, names=names
    )
    await until(lambda: bool(several.routes))
    assert [route.endpoint[1][0] for route in several.routes] == ["127.0.0.2"]
    assert literal.routes == name.routes == ()
    await log.line("subscription-tee = 127.0.0.1:9: not passed on: it is this router itself")
    await log.line("subscription-tee = me.example:9: not passed on: it is this router itself")


async def test_a_socket_that_takes_nothing_never_keeps_us_waiting(
    stack: ExitStack, tmp_path: Path, log: Log
) -> None:
    path = str(tmp_path / "full")
    receiver(stack, socket.AF_UNIX, path)
    destinations = started(stack, path, str(tmp_path / "missing"))
    for _ in range(1000):
        send(destinations, b"x" * 1000)
    lines = log.having("not passed on")
    assert len(lines) == 2
    assert any("missing: not passed on: No such file" in line for line in lines)
