"""Packet filters: programs over source addresses, by an interpreter of our own and by the kernel."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.router.net.packet_filter import (
    MOST,
    SO_ATTACH_FILTER,
    Instruction,
    Network,
    attach,
    by_source,
    detach,
    only_from,
)

IN, OUT = 7, 3


def run(program: list[Instruction], packet: bytes) -> int:
    """What a program returns for a packet that begins with its IP header."""
    accumulator = at = 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        offset = value - 0xFFF0_0000
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("!I", packet, offset)
            case 0x30:
                accumulator = packet[offset]
            case 0x54:
                accumulator &= value
            case 0x74:
                accumulator >>= value
            case 0x05:
                at += value
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x06:
                return value


def header(source: IPv4Address | IPv6Address) -> bytes:
    """An IP header as far as the source address."""
    if source.version == 4:
        return bytes([0x45]) + bytes(11) + source.packed
    return bytes([0x60]) + bytes(7) + source.packed


def networks() -> st.SearchStrategy[Network]:
    v4 = st.builds(
        lambda number, prefix: ip_network((number, prefix), strict=False),
        st.integers(0, 2**32 - 1),
        st.integers(0, 32),
    )
    v6 = st.builds(
        lambda number, prefix: ip_network((number << 64, prefix), strict=False),
        st.integers(2**32, 2**64 - 1),
        st.integers(0, 128),
    )
    return v4 | v6


@given(st.lists(networks(), max_size=20), st.data())
def test_a_program_says_what_ipaddress_says(nets: list[Network], data: st.DataObject) -> None:
    near = [net.network_address for net in nets] + [net.broadcast_address for net in nets]
    some = st.ip_addresses()
    if near:
        moved = st.sampled_from(near).flatmap(
            lambda one: st.integers(-2, 2).map(
                lambda by: type(one)((int(one) + by) % 2**one.max_prefixlen)
            )
        )
        some = some | moved
    source = data.draw(some)
    inside = any(source in net for net in nets if net.version == source.version)
    assert run(by_source(nets, IN, OUT), header(source)) == (IN if inside else OUT)


@contextmanager
def receiver(family: int, host: str) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.setblocking(False)
        yield sock


def comes(sock: socket.socket, source: str) -> bool:
    """Whether a datagram from this address of the loopback comes."""
    v4 = "." in source
    with socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        port = sock.getsockname()[1]
        sender.sendto(b"x", ("127.0.0.1" if v4 else "::1", port))
    try:
        return sock.recv(10) == b"x"
    except BlockingIOError:
        return False


def test_the_kernel_drops_what_comes_from_elsewhere() -> None:
    with receiver(socket.AF_INET, "127.0.0.1") as sock:
        attach(sock, SO_ATTACH_FILTER, only_from([ip_network("127.0.1.0/24")]))
        assert [comes(sock, f"127.0.{n}.9") for n in (0, 1, 2)] == [False, True, False]
        detach(sock)
        assert comes(sock, "127.0.0.9")


@pytest.mark.parametrize(
    ("net", "v4", "v6"), [("127.0.0.0/8", True, False), ("::1/128", False, True)]
)
def test_a_socket_for_both_families_tells_them_apart(net: str, v4: bool, v6: bool) -> None:
    with receiver(socket.AF_INET6, "::") as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        attach(sock, SO_ATTACH_FILTER, only_from([ip_network(net)]))
        assert (comes(sock, "127.0.0.1"), comes(sock, "::1")) == (v4, v6)


@pytest.mark.parametrize("first", ["10.0.0.0", "2001:db8::"])
def test_the_kernel_takes_as_many_networks_as_there_may_be(first: str) -> None:
    start = ip_address(first)
    step = 1 if start.version == 4 else 2**64
    prefix = 32 if start.version == 4 else 64
    nets: list[Network] = [
        ip_network((int(start) + number * step, prefix)) for number in range(MOST)
    ]
    with receiver(socket.AF_INET, "127.0.0.1") as sock:
        attach(sock, SO_ATTACH_FILTER, only_from(nets))
        assert not comes(sock, "127.0.0.1")
