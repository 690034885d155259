"""Accepting, on both event loops."""

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.net.acceptor import Acceptor, Peer
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.connect import to_socket
from uwsgi_router.router.net.listeners import BoundSocket, bind_stream
from uwsgi_router.router.net.openssl import BareSocket


class Door:
    """An acceptor on one address, and who came in."""

    def __init__(self, text: str, inherited: Inherited | None = None) -> None:
        process = ProcessConfig(defer_accept=False)
        self.bound: list[BoundSocket] = bind_stream(text, process, inherited or Inherited())
        self.address = self.bound[0].sock.getsockname()
        self.family = self.bound[0].sock.family
        self.came: asyncio.Queue[tuple[socket.SocketType, Peer]] = asyncio.Queue()
        self.clients: list[socket.socket] = []
        self.taken: list[socket.SocketType] = []
        self.acceptor = Acceptor(asyncio.get_running_loop(), self.bound, self._connected)

    def _connected(self, sock: socket.SocketType, peer: Peer) -> None:
        self.taken.append(sock)
        self.came.put_nowait((sock, peer))

    def knock(self) -> socket.socket:
        client = socket.socket(self.family)
        self.clients.append(client)
        client.connect(self.address)
        return client

    async def next(self) -> tuple[socket.SocketType, Peer]:
        async with asyncio.timeout(10):
            return await self.came.get()

    def close(self) -> None:
        self.acceptor.stop(drain=False)
        for sock in (*self.clients, *self.taken):
            sock.close()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door("127.0.0.1:0")
    yield door
    door.close()


async def a_few_turns() -> None:
    """Let the loop look at its descriptors several times: nothing may happen meanwhile."""
    for _ in range(5):
        await asyncio.sleep(0.001)


async def test_connections_are_handed_on_with_their_peer(door: Door) -> None:
    door.acceptor.start()
    client = door.knock()
    sock, peer = await door.next()
    assert peer == client.getsockname()
    with pytest.raises(BlockingIOError):
        sock.recv(1, socket.MSG_DONTWAIT)


async def test_an_accepted_socket_can_be_made_a_non_blocking_one(door: Door) -> None:
    door.acceptor.start()
    door.knock()
    with to_socket((await door.next())[0]) as sock, pytest.raises(BlockingIOError):
        sock.recv(1)


async def test_an_ipv4_client_of_an_ipv6_listener_has_an_ipv4_address() -> None:
    door = Door("[::]:0")
    door.acceptor.start()
    port = door.address[1]
    with socket.create_connection(("127.0.0.1", port)) as client:
        assert (await door.next())[1] == client.getsockname()
    with socket.create_connection(("::1", port)) as client:
        assert (await door.next())[1] == client.getsockname()[:2]
    door.close()


async def test_a_unix_client_has_no_address(tmp_path: Path) -> None:
    door = Door(str(tmp_path / "s"))
    door.acceptor.start()
    door.knock()
    assert (await door.next())[1] == ("", 0)
    door.close()


async def test_a_crowd_is_taken_whole(door: Door) -> None:
    for _ in range(90):
        door.knock()
    door.acceptor.start()
    peers = {(await door.next())[1] for _ in range(90)}
    assert peers == {client.getsockname() for client in door.clients}


async def test_a_crowd_behind_one_that_came_alone_is_taken_whole(door: Door) -> None:
    """Who came alone has the next wake-ups take one connection each; with the crowd it ends."""
    door.acceptor.start()
    door.knock()
    await door.next()
    for _ in range(60):
        door.knock()
    peers = {(await door.next())[1] for _ in range(60)}
    assert peers == {client.getsockname() for client in door.clients[1:]}


async def test_the_class_of_sockets_can_be_another_one(door: Door) -> None:
    acceptor = Acceptor(asyncio.get_running_loop(), door.bound, door._connected, make=BareSocket)
    acceptor.start()
    door.knock()
    sock, _peer = await door.next()
    assert type(sock) is BareSocket
    acceptor.stop(drain=False)


async def test_paused_clients_wait_in_the_backlog(door: Door) -> None:
    door.acceptor.start()
    door.acceptor.pause()
    door.acceptor.pause()
    door.knock()
    await a_few_turns()
    assert door.came.empty()
    door.acceptor.resume()
    door.acceptor.resume()
    await door.next()


async def test_a_pause_from_within_a_connection_holds_at_once(door: Door) -> None:
    def connected(sock: socket.SocketType, peer: Peer) -> None:
        door.acceptor.pause()
        door._connected(sock, peer)

    door.acceptor = Acceptor(asyncio.get_running_loop(), door.bound, connected)
    door.knock()
    door.knock()
    door.acceptor.start()
    await door.next()
    await a_few_turns()
    assert door.came.empty()
    door.acceptor.resume()
    await door.next()


async def test_clients_in_our_backlog_are_served_at_a_graceful_stop(door: Door) -> None:
    for _ in range(70):
        door.knock()
    assert door.acceptor.stop(drain=True) == 70
    for _ in range(70):
        sock, _ = await door.next()
        sock.sendall(b"x")
    assert all(client.recv(1) == b"x" for client in door.clients)
    with pytest.raises(ConnectionRefusedError):
        door.knock()


async def test_a_stop_at_once_takes_nobody_in(door: Door) -> None:
    door.knock()
    door.acceptor.start()
    assert door.acceptor.stop(drain=False) == 0
    await a_few_turns()
    assert door.came.empty()


async def test_clients_on_an_inherited_socket_stay_for_the_next_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as systemd:
        mine = systemd.dup()
        door = Door(f"127.0.0.1:{systemd.getsockname()[1]}", Inherited([mine]))
        door.acceptor.start()
        door.acceptor.pause()
        client = door.knock()
        assert door.acceptor.stop(drain=True) == 0
        accepted, peer = systemd.accept()
        with accepted:
            assert peer == client.getsockname()
        door.close()


async def test_a_unix_listener_takes_its_file_along(tmp_path: Path) -> None:
    path = tmp_path / "s"
    door = Door(str(path))
    door.acceptor.start()
    door.knock()
    assert door.acceptor.stop(drain=True) == 1
    assert not path.exists()
    door.close()


@pytest.fixture
def few_descriptors() -> Iterator[list[int]]:
    """A limit that is nearly reached; the test fills the rest and frees it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))
    filled: list[int] = []
    yield filled
    for fd in filled:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def fill(filled: list[int]) -> None:
    try:
        while True:
            filled.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return


def free(filled: list[int]) -> None:
    while filled:
        os.close(filled.pop())


async def test_without_descriptors_clients_wait_the_log_says_why_and_the_cpu_is_idle(
    door: Door, few_descriptors: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    attempts = 0
    listener = door.bound[0].sock

    class Counting(socket.socket):
        def _accept(self) -> tuple[int, Peer]:
            nonlocal attempts
            attempts += 1
            fd, peer = super()._accept()  # type: ignore[misc]
            return int(fd), peer

    door.bound[0].sock = Counting(fileno=listener.detach())
    door.acceptor = Acceptor(loop, door.bound, door._connected)
    clients = [door.knock() for _ in range(3)]
    fill(few_descriptors)
    door.acceptor.start()
    # Longer than two rests: what is counted is how often it tried meanwhile.
    await asyncio.sleep(0.25)
    assert door.came.empty()
    assert 1 <= attempts <= 4
    lines = [record.getMessage() for record in caplog.records]
    reason = "the limit of 256 open files is reached; raise LimitNOFILE= or ulimit -Hn"
    assert lines == [f"127.0.0.1:0: new connections wait: {reason}"]
    free(few_descriptors)
    for client in clients:
        assert (await door.next())[1] == client.getsockname()


async def test_a_pause_while_out_of_descriptors_stays_a_pause(
    door: Door, few_descriptors: list[int]
) -> None:
    door.knock()
    fill(few_descriptors)
    door.acceptor.start()
    await a_few_turns()
    door.acceptor.pause()
    free(few_descriptors)
    await asyncio.sleep(0.15)
    assert door.came.empty()
    door.acceptor.resume()
    await door.next()


async def test_a_drain_without_descriptors_ends_and_tells(
    door: Door, few_descriptors: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    door.knock()
    fill(few_descriptors)
    assert door.acceptor.stop(drain=True) == 0
    assert "closed with clients in its backlog, which are reset" in caplog.text


async def test_a_client_that_is_gone_before_it_is_accepted_harms_nobody(door: Door) -> None:
    gone = door.knock()
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    gone.close()
    stays = door.knock()
    door.acceptor.start()
    peers = [(await door.next())[1]]
    if peers[0] != stays.getsockname():
        peers.append((await door.next())[1])
    assert peers[-1] == stays.getsockname()


async def test_an_aborted_connection_and_an_unknown_error_neither_spin_nor_stop_it(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    errors = [OSError(103, "Software caused connection abort"), OSError(22, "Invalid argument")]

    class Failing(socket.socket):
        def _accept(self) -> tuple[int, Peer]:
            if errors:
                raise errors.pop(0)
            fd, peer = super()._accept()  # type: ignore[misc]
            return int(fd), peer

    door.bound[0].sock = Failing(fileno=door.bound[0].sock.detach())
    door.acceptor = Acceptor(asyncio.get_running_loop(), door.bound, door._connected)
    door.acceptor.start()
    client = door.knock()
    assert (await door.next())[1] == client.getsockname()
    assert [record.getMessage() for record in caplog.records] == [
        "127.0.0.1:0: new connections wait: accept failed: Invalid argument"
    ]


async def test_a_rest_lasts_until_there_is_room(door: Door) -> None:
    asked: list[bool] = []

    def room() -> bool:
        asked.append(len(asked) == 2)
        return asked[-1]

    door.acceptor.start()
    door.acceptor.rest(until=room)
    door.knock()
    await door.next()
    assert asked == [False, False, True]
