"""Lanes: a second socket for known senders, which a flood of others does not fill."""

import socket
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.lanes import dropped, second_lane, steer, summed_up
from uwsgi_router.router.net.listeners import BindError, BoundSocket, bind_datagram


@pytest.fixture
def bound() -> Iterator[BoundSocket]:
    (one,) = bind_datagram("127.0.0.1:0", ProcessConfig(so_rcvbuf=10_000), Inherited())
    one.second = second_lane(one)
    yield one
    one.close()


def send(bound: BoundSocket, source: str, data: bytes, count: int = 1) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        for _ in range(count):
            sender.sendto(data, bound.sock.getsockname())


def received(sock: socket.socket | None) -> list[bytes]:
    assert sock is not None
    found = []
    while True:
        try:
            found.append(sock.recv(100))
        except BlockingIOError:
            return found


def test_known_senders_have_the_second_lane(bound: BoundSocket) -> None:
    steer(bound.sock, [ip_network("127.0.0.9/32")])
    for source in ("127.0.0.1", "127.0.0.9", "127.0.0.10"):
        send(bound, source, source.encode())
    assert received(bound.second) == [b"127.0.0.9"]
    assert received(bound.sock) == [b"127.0.0.1", b"127.0.0.10"]
    steer(bound.sock, [])
    send(bound, "127.0.0.9", b"x")
    assert (received(bound.second), received(bound.sock)) == ([], [b"x"])


def test_a_flood_fills_only_its_own_lane(bound: BoundSocket) -> None:
    steer(bound.sock, [ip_network("127.0.0.9/32")])
    send(bound, "127.0.0.1", bytes(1000), 1000)
    send(bound, "127.0.0.9", b"announce")
    assert received(bound.second) == [b"announce"]
    assert dropped(bound.sock) + len(received(bound.sock)) == 1000
    assert dropped(bound.sock) > 900


def test_an_address_in_use_is_still_noticed(bound: BoundSocket) -> None:
    port = bound.sock.getsockname()[1]
    with pytest.raises(BindError, match="in use"):
        bind_datagram(f"127.0.0.1:{port}", ProcessConfig(), Inherited())


@pytest.mark.parametrize("text", ["[::]:0", "[::1]:0"])
def test_ipv6_has_lanes_too(text: str) -> None:
    (one,) = bind_datagram(text, ProcessConfig(), Inherited())
    one.second = second_lane(one)
    try:
        steer(one.sock, [ip_network("::1/128")])
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", ("::1", one.sock.getsockname()[1]))
        assert received(one.second) == [b"x"]
    finally:
        one.close()


def test_multicast_groups_and_unix_sockets_have_one_lane(tmp_path: Path) -> None:
    for text in ("239.1.2.3:20999", f"{tmp_path}/s"):
        (one,) = bind_datagram(text, ProcessConfig(), Inherited())
        assert second_lane(one) is None
        one.close()


def test_many_addresses_are_summed_up() -> None:
    few = ["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2"]
    assert list(map(str, summed_up(few))) == ["10.0.0.1/32", "10.0.0.2/32", "2001:db8::/64"]
    many = [f"10.0.{n // 250}.{n % 250}" for n in range(1000)]
    assert list(map(str, summed_up(many))) == [f"10.0.{n}.0/24" for n in range(4)]
    assert summed_up([f"{n >> 8}.{n & 255}.0.1" for n in range(256, 1000)]) == []
