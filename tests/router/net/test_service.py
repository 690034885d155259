"""Services over real sockets: what their clients may cost, and how connections end."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.router.admin.stats.test_server import everything, loopback_listener, unix_listener
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.net.service import BoundedService, ServiceClient, ServiceLimits


class Echo(BoundedService):
    """Sends back what came first; ``slow``: who was cut off."""

    def __init__(self, listener: BoundSocket, limits: ServiceLimits) -> None:
        super().__init__([listener], asyncio.get_running_loop(), limits)
        self.slow: list[str] = []

    async def serve(self, client: ServiceClient) -> None:
        await client.send(await client.recv(4096))

    def cut_off(self, client: ServiceClient) -> None:
        self.slow.append(str(client))


@asynccontextmanager
async def serving(**limits: float) -> AsyncIterator[tuple[Echo, tuple[str, int]]]:
    listener = loopback_listener()
    address = listener.sock.getsockname()
    echo = Echo(listener, ServiceLimits(**limits))  # type: ignore[arg-type]
    echo.start()
    try:
        yield echo, address
    finally:
        await echo.close()


async def connected(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, address)
    return sock


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[ServiceClient, socket.socket]]:
    """A client as its service sees it, and the other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ServiceClient(asyncio.get_running_loop(), ours, ""), theirs


async def test_an_answer_ends_the_connection_though_the_client_still_sends() -> None:
    async with serving() as (_, address):
        with await connected(address) as client:
            client.send(b"x" * 100_000)
            assert await everything(client) == b"x" * 4096


async def test_a_client_that_does_not_close_is_lingered_for_so_long() -> None:
    async with serving(connections=1, linger=0.05) as (_, address):
        with await connected(address) as first, await connected(address) as second:
            first.send(b"1")
            assert await everything(first) == b"1"
            second.send(b"2")
            assert await everything(second) == b"2"


async def test_a_client_above_the_total_time_is_cut_off_without_lingering() -> None:
    async with serving(total=0.05, linger=3600.0) as (echo, address):
        with await connected(address) as client:
            assert await everything(client) == b""
            assert echo.slow == ["127.0.0.1"]


async def test_the_kernel_names_clients_of_unix_sockets() -> None:
    async with pair() as (client, _):
        assert str(client) == f"user {os.getuid()}, process {os.getpid()}"


async def test_others_get_their_turn_before_every_read_and_write() -> None:
    loop = asyncio.get_running_loop()
    turns: list[str] = []
    async with pair() as (client, other):
        other.send(b"ab")
        loop.call_soon(turns.append, "before a read")
        assert await client.recv(1) == b"a"
        assert turns == ["before a read"]
        loop.call_soon(turns.append, "before a write")
        await client.send(b"c")
        assert turns[1:] == ["before a write"]


async def test_a_client_stalls_if_it_takes_nothing_not_if_it_is_slow() -> None:
    loop = asyncio.get_running_loop()
    async with pair() as (client, other):
        sending = loop.create_task(client.send(b"x" * 2_000_000, stalled=0.5))
        received = 0
        for _ in range(16):
            await asyncio.sleep(0.05)
            received += len(other.recv(100_000))
            assert not sending.done()
        with pytest.raises(TimeoutError):
            await sending
        assert received <= 1_600_000
        assert client.sock.fileno() >= 0


async def test_closing_ends_what_has_only_begun(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = str(tmp_path_factory.mktemp("s") / "s")
    listener = unix_listener(path)
    echo = Echo(listener, ServiceLimits())
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.setblocking(False)
        accepted, _ = listener.sock.accept()
        echo._connected(accepted, ("", 0))
        await echo.close()
        assert client.recv(1) == b""
    os.unlink(path)
