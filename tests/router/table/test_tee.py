"""Copies of announces for another router."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.lab.log import Log
from tests.lab.tables import BoundTable
from tests.lab.waiting import until
from uwsgi_router.protocol.subscription import Subscription, encode, plain_datagram
from uwsgi_router.protocol.uwsgi import encode_packet
from uwsgi_router.router.table.timing import TableTiming

SUBSCRIBE = encode(Subscription("subscribe", b"example.com", ":3031"))
UNSUBSCRIBE = encode(Subscription("unsubscribe", b"example.com", ":3031"))


def router(port: int, *tee: int, timing: TableTiming | None = None) -> BoundTable:
    """A table that sends to ``tee``."""
    return BoundTable(port=port, timing=timing, tee=tuple(f"127.0.0.1:{to}" for to in tee))


def knows(router: BoundTable) -> bool:
    return bool(router.table.registry.pools)


@pytest.fixture
async def routers() -> AsyncIterator[list[BoundTable]]:
    routers: list[BoundTable] = []
    yield routers
    for router in routers:
        router.close()


@pytest.fixture
def second() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


def free_ports(count: int) -> list[int]:
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for sock in socks:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def say(port: int, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for datagram in datagrams:
            sock.sendto(datagram, ("127.0.0.1", port))


def arrived(sock: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(sock.recv(65_536))
        except BlockingIOError:
            return found


async def test_what_is_accepted_goes_on_byte_for_byte_and_what_is_refused_does_not(
    routers: list[BoundTable], second: socket.socket, log: Log
) -> None:
    (port,) = free_ports(1)
    routers.append(router(port, second.getsockname()[1]))
    strange = SUBSCRIBE[:1] + (len(SUBSCRIBE) + 5).to_bytes(2, "little") + SUBSCRIBE[3:]
    strange += b"\x03\x00new\x02\x00ok"  # a variable that we don't know
    forbidden = encode(Subscription("subscribe", b"k", ":1", modifier1=22))
    say(port, b"garbage", forbidden, SUBSCRIBE, strange, UNSUBSCRIBE)
    await log.line("no nodes left")
    assert arrived(second) == [SUBSCRIBE, strange, UNSUBSCRIBE]


async def test_each_datagram_goes_on_once_to_each_however_often_it_comes(
    routers: list[BoundTable], second: socket.socket, log: Log
) -> None:
    (port,) = free_ports(1)
    routers.append(router(port, second.getsockname()[1]))
    say(port, *[SUBSCRIBE] * 20, UNSUBSCRIBE)
    await log.line("no nodes left")
    assert arrived(second) == [SUBSCRIBE, UNSUBSCRIBE]


async def test_said_again_later_it_goes_on_again(
    routers: list[BoundTable],
    second: socket.socket,
    log: Log,
) -> None:
    (port,) = free_ports(1)
    routers.append(router(port, second.getsockname()[1], timing=TableTiming(tee=0.01)))
    say(port, SUBSCRIBE)
    await log.line("new node")
    # Not a wait for something: the time that has to pass.
    await asyncio.sleep(0.03)
    say(port, SUBSCRIBE, UNSUBSCRIBE)
    await log.line("no nodes left")
    assert arrived(second) == [SUBSCRIBE, SUBSCRIBE, UNSUBSCRIBE]


@pytest.mark.parametrize("count", [2, 3])
async def test_routers_that_send_to_each_other_in_a_circle_stop(
    routers: list[BoundTable], count: int, second: socket.socket
) -> None:
    ports = free_ports(count)
    for number, port in enumerate(ports):
        watcher = [second.getsockname()[1]] if number == 0 else []
        routers.append(router(port, ports[(number + 1) % count], *watcher))
    say(ports[0], SUBSCRIBE)
    await until(lambda: all(knows(router) for router in routers))
    say(ports[0], UNSUBSCRIBE)
    await until(lambda: not any(knows(router) for router in routers))
    # A marker through all of them: whatever went round and round is now behind us.
    marker = encode(Subscription("subscribe", b"marker", ":1"))
    say(ports[0], marker)
    await until(lambda: all(knows(router) for router in routers))
    assert arrived(second) == [SUBSCRIBE, UNSUBSCRIBE, marker]


async def test_a_scheme_is_written_as_plain_address_and_protocol(
    routers: list[BoundTable], second: socket.socket
) -> None:
    (port,) = free_ports(1)
    first = router(port, second.getsockname()[1])
    routers.append(first)
    variables = [(b"key", b"k"), (b"address", b"http://10.0.0.1:8000"), (b"other", b"x")]
    say(port, encode_packet(variables, 224, 0))
    await until(lambda: knows(first))
    plain = [
        (b"key", b"k"),
        (b"address", b"10.0.0.1:8000"),
        (b"other", b"x"),
        (b"proto", b"http"),
    ]
    assert second.recv(4096) == encode_packet(plain, 224, 0)


@pytest.mark.parametrize(
    "variables",
    [
        [(b"key", b"k"), (b"address", b"http://10.0.0.1:8000"), (b"sign", b"x")],
        [(b"key", b"k:/"), (b"address", b"10.0.0.1:8000")],
        [(b"key", b"k"), (b"address", b"unix:8000")],
    ],
)
def test_what_is_signed_or_plain_stays_as_it_is(variables: list[tuple[bytes, bytes]]) -> None:
    datagram = encode_packet(variables, 224, 1)
    assert plain_datagram(datagram) == datagram
