"""One direction of a relay over real socket pairs: copied, spliced, paused, ended, broken; nothing is lost."""

import asyncio
import os
import socket
import struct
from collections.abc import Iterator

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compiled import PLAIN_ONLY
from tests.lab.waiting import until
from uwsgi_router.router.net.fiber import Fiber
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.net.pipe import PipePool
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.router.proxy.pump import PumpState
from uwsgi_router.router.proxy.relay_pump import RelayEnd, RelayPump, RelaySettings
from uwsgi_router.subscriptions.traffic import Traffic

# A pump and its ends are made here without what makes them otherwise.
pytestmark = PLAIN_ONLY

BULK = 200_000
PIPE = 131_072
DATA = os.urandom(1 << 20)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    return one, other


class Direction:
    """Somebody who writes, a pump, and somebody who reads."""

    def __init__(self, *, unix: bool = False, most_pipes: int = 2) -> None:
        loop = asyncio.get_running_loop()
        self.poller = Poller(loop)
        make = socket.socketpair if unix else tcp_pair
        self.writer, source = make()
        self.reader, target = make()
        for sock in (self.writer, source, self.reader, target):
            sock.setblocking(False)
        self.pipes = PipePool(most_pipes, PIPE)
        relays = RelaySettings(
            65_536,
            timeout=0,
            client_timeout=0,
            backend_timeout=0,
            keepalive=0,
            xclient=False,
            pipes=self.pipes,
            bulk=BULK,
        )
        self.fiber = Fiber(loop, self.poller, 60)
        self.came, self.went = Traffic(), Traffic()
        holder = RelayPump.__new__(RelayPump)
        self.source = Link(self.poller, source, RelayEnd(holder), self.came)
        self.target = Link(self.poller, target, RelayEnd(holder), self.went)
        self.pump = RelayPump(self.source, self.fiber, relays)
        for link in (self.source, self.target):
            link.owned_by(RelayEnd(self.pump))
        self.states: set[PumpState] = set()
        self.sent, self.received = 0, 0
        self.pump.start()
        self.pump.pass_to(self.target)

    def write(self, size: int) -> int:
        """What the kernel takes of so many bytes."""
        start = self.sent % len(DATA)
        try:
            sent = self.writer.send(DATA[start : start + size])
        except BlockingIOError:
            return 0
        self.sent += sent
        return sent

    def read(self, size: int) -> int:
        """What is there, of so many bytes; compared with what was written."""
        try:
            data = self.reader.recv(size)
        except BlockingIOError:
            return 0
        start = self.received % len(DATA)
        expected = (DATA[start:] + DATA)[: len(data)]
        assert data == expected
        self.received += len(data)
        self.states.add(self.pump.state)
        return len(data)

    async def turn(self) -> None:
        self.states.add(self.pump.state)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def write_all(self, size: int, *, read: int = 65_536) -> None:
        until_sent = self.sent + size
        while self.sent < until_sent:
            self.write(min(65_536, until_sent - self.sent))
            await self.turn()
            if read:
                self.read(read)
        await self.turn()

    async def read_all(self) -> None:
        async with asyncio.timeout(20):
            while self.received < self.sent:
                if not self.read(65_536):
                    await self.turn()

    async def splicing(self) -> None:
        """Be bulk: a pipe is used, or was."""
        async with asyncio.timeout(20):
            while not len(self.pipes):
                await self.write_all(6 * 65_536)

    async def full(self) -> None:
        """Write until nobody takes anything any more."""
        quiet = 0
        while quiet < 50:
            quiet = 0 if self.write(65_536) else quiet + 1
            await self.turn()

    def close(self) -> None:
        if self.pump.state is not PumpState.STOPPED:
            self.pump.leave()
        self.pipes.close_unused()
        assert len(self.pipes) == 0
        self.source.close()
        self.target.close()
        self.poller.close()
        self.writer.close()
        self.reader.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    before = descriptors()
    yield
    # The loop's own are closed with it, later.
    assert descriptors() <= before + 10


@pytest.mark.parametrize("unix", [False, True])
async def test_bulk_is_spliced_and_nothing_is_lost(unix: bool) -> None:
    direction = Direction(unix=unix)
    await direction.splicing()
    await direction.write_all(20_000_000)
    await direction.read_all()
    pump = direction.pump
    assert pump.count == direction.sent == direction.came.tx == direction.went.rx
    assert direction.target.written == direction.sent
    await until(lambda: pump.unsent == 0)
    direction.close()


async def test_small_messages_are_copied() -> None:
    direction = Direction()
    for _ in range(1000):
        await direction.write_all(100)
    await direction.read_all()
    assert direction.states == {PumpState.PASSING}
    assert len(direction.pipes) == 0
    assert direction.source.heavy is None
    direction.close()


async def test_after_bulk_small_messages_are_copied_again() -> None:
    direction = Direction()
    await direction.splicing()
    await direction.read_all()
    for _ in range(4):
        await direction.write_all(100)
        await direction.read_all()
    taken = [direction.pipes.take() for _ in range(2)]
    assert None not in taken, "it uses none"
    for pipe in taken:
        assert pipe is not None
        direction.pipes.give_back(pipe)
    assert direction.source.heavy is None, "it needs no more than its share"
    direction.close()


async def test_a_pipe_is_given_back_while_the_source_is_silent() -> None:
    direction = Direction()
    await direction.splicing()
    await direction.read_all()
    await until(lambda: direction.pump.state is PumpState.PASSING)
    taken = [direction.pipes.take() for _ in range(2)]
    assert None not in taken, "others may have all of them"
    await direction.write_all(1_000_000)
    await direction.read_all()
    for pipe in taken:
        assert pipe is not None
        direction.pipes.give_back(pipe)
    direction.close()


async def test_without_a_pipe_bytes_are_copied() -> None:
    direction = Direction(most_pipes=0)
    await direction.write_all(5_000_000)
    await direction.read_all()
    assert direction.states == {PumpState.PASSING}
    direction.close()


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_reader_that_stops_stops_the_writer(bulk: bool) -> None:
    direction = Direction(unix=True)
    if bulk:
        await direction.splicing()
    await direction.full()
    assert not direction.source.reading
    assert direction.pump.unsent > 0
    assert direction.pump.state is (PumpState.SPLICING if bulk else PumpState.PASSING)
    assert direction.sent - direction.received < 4_000_000
    await direction.read_all()
    await direction.write_all(1_000_000)
    await direction.read_all()
    direction.close()


@pytest.mark.parametrize("bulk", [False, True])
async def test_the_end_comes_behind_the_last_byte(bulk: bool) -> None:
    direction = Direction(unix=True)
    if bulk:
        await direction.splicing()
    await direction.full()
    direction.writer.close()
    assert not direction.pump.ended
    await direction.read_all()
    await until(lambda: direction.pump.ended)
    assert direction.pump.unsent == 0
    assert direction.pump.error is None
    direction.close()


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_reader_that_leaves_stops_it(bulk: bool) -> None:
    direction = Direction(unix=True)
    if bulk:
        await direction.splicing()
    await direction.full()
    direction.reader.close()
    await until(lambda: direction.pump.state is PumpState.STOPPED)
    assert not direction.source.reading
    direction.close()


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_writer_that_resets_is_no_end(bulk: bool) -> None:
    direction = Direction()
    if bulk:
        await direction.splicing()
    await direction.read_all()
    direction.writer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    direction.writer.close()
    await until(lambda: direction.pump.ended)
    assert isinstance(direction.pump.error, ConnectionResetError)
    direction.close()


async def test_urgent_data_is_no_obstacle() -> None:
    """The kernel splices nothing as long as an urgent byte is in the way; reading passes it."""
    direction = Direction()
    await direction.splicing()
    await direction.read_all()
    direction.writer.send(b"!", socket.MSG_OOB)
    await direction.write_all(1_000_000)
    await direction.read_all()
    direction.close()


STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "read", "turn"]), st.integers(1, 200_000)), max_size=60
)


@settings(max_examples=60, deadline=None)
@given(st.booleans(), st.booleans(), st.booleans(), STEPS)
def test_any_order_of_writes_and_reads(
    unix: bool, bulk: bool, on_uvloop: bool, steps: list[tuple[str, int]]
) -> None:
    async def play() -> None:
        direction = Direction(unix=unix)
        if bulk:
            await direction.splicing()
        for step, size in steps:
            if step == "write":
                direction.write(size)
            elif step == "read":
                direction.read(size)
            else:
                await direction.turn()
        direction.writer.shutdown(socket.SHUT_WR)
        await direction.read_all()
        async with asyncio.timeout(20):
            while not direction.pump.ended:
                await direction.turn()
        assert direction.pump.count == direction.sent
        assert direction.pump.unsent == 0
        direction.close()

    if on_uvloop:
        uvloop.run(play())
    else:
        asyncio.run(play())
