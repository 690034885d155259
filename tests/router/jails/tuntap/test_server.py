"""The tuntap router at its sockets; a pair of packet sockets stands where its TUN device is."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.log import Log
from tests.lab.waiting import PATIENCE, a_few_turns, until
from tests.router.jails.tuntap.packets import packet
from uwsgi_router.protocol.tuntap import (
    DENY,
    HELLO,
    MAX_FRAME,
    FrameReader,
    encode_rules,
    frame_header,
)
from uwsgi_router.router.config.model import ProcessConfig, TunTapConfig
from uwsgi_router.router.config.tuntap_values import (
    parse_device_rule,
    parse_firewall_rule,
    parse_tun_route,
)
from uwsgi_router.router.jails.tuntap.client import TunDeviceClient
from uwsgi_router.router.jails.tuntap.server import TunTapServer
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import bind_stream

HOST, ONE, TWO = "10.77.0.1", "10.77.0.2", "10.77.0.3"


class Device(Peer):
    """A device of a test: frames as they are."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._frames = FrameReader()
        self._packets: list[bytes] = []

    async def put(self, *packets: bytes) -> None:
        await self.send(b"".join(frame_header(len(one)) + one for one in packets))

    async def take(self) -> bytes:
        while not self._packets:
            data = await self.some()
            assert data, "the connection has ended"
            self._packets += self._frames.feed(data)
        return self._packets.pop(0)


class Net:
    """A router, its TUN device, and devices."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "tun.sock")
        self.kernel, self._tun = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for sock in (self.kernel, self._tun):
            sock.setblocking(False)
        self.gateway = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.gateway.bind(("127.0.0.1", 0))
        self.gateway.setblocking(False)
        self.devices: list[Device] = []
        self.server: TunTapServer | None = None

    def start(self, *, max_peers: int = 1000, **config: Any) -> TunTapServer:
        self.server = TunTapServer(
            TunTapConfig(**config),
            self._tun.fileno(),
            bind_stream(self.path, ProcessConfig(), Inherited()),
            self.gateway,
            loop=asyncio.get_running_loop(),
            max_peers=max_peers,
        )
        self.server.start()
        return self.server

    def device(self, uid: int | None = None) -> Device:
        sock = socket.socket(socket.AF_UNIX)
        if uid is not None:
            os.seteuid(uid)
        try:
            sock.connect(self.path)
        finally:
            if uid is not None:
                os.seteuid(0)
        self.devices.append(Device(sock))
        return self.devices[-1]

    async def known(self, address: str, uid: int | None = None) -> Device:
        """A device that the router knows by this address."""
        device = self.device(uid)
        await device.put(packet(address, HOST, b"hello"))
        assert await self.from_router() == packet(address, HOST, b"hello")
        return device

    async def from_router(self) -> bytes:
        """The next packet that it wrote to the TUN device."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.get_running_loop().sock_recv(self.kernel, 65_536)

    async def nothing_from_router(self) -> None:
        await a_few_turns()
        with pytest.raises(BlockingIOError):
            self.kernel.recv(65_536)

    def to_router(self, *packets: bytes) -> None:
        for one in packets:
            self.kernel.send(one)

    def peer(self, number: int = 0) -> dict[str, Any]:
        assert self.server is not None
        found: dict[str, Any] = self.server.describe()["peers"][number]
        return found

    def close(self) -> None:
        if self.server is not None:
            self.server.stop()
        for device in self.devices:
            device.close()
        for sock in (self.kernel, self._tun, self.gateway):
            sock.close()


@pytest.fixture
async def net(tmp_path: Path, log: Log) -> AsyncIterator[Net]:
    before = len(os.listdir("/proc/self/fd"))
    made = Net(tmp_path)
    yield made
    made.close()
    assert len(os.listdir("/proc/self/fd")) <= before


# --- packets both ways ---


@pytest.mark.parametrize(("host", "one"), [(HOST, ONE), ("fd00::1", "fd00::2")])
async def test_packets_go_to_the_device_that_sent_from_their_address(
    net: Net, host: str, one: str
) -> None:
    net.start()
    device, other = net.device(), await net.known(TWO)
    await device.put(packet(one, host))
    assert await net.from_router() == packet(one, host)
    net.to_router(packet(host, one), packet(HOST, TWO), packet(host, one, b"more"))
    assert [await device.take(), await device.take()] == [
        packet(host, one), packet(host, one, b"more"),
    ]  # fmt: skip
    assert await other.take() == packet(HOST, TWO)


async def test_many_packets_keep_their_order(net: Net) -> None:
    net.start()
    device = await net.known(ONE)
    sent = [packet(HOST, ONE, bytes([number % 256]) * 100) for number in range(500)]
    for one in sent:
        await until(lambda one=one: _sends(net, one))  # type: ignore[misc]
    assert [await device.take() for _ in sent] == sent
    for number in range(100):
        back = [packet(ONE, HOST, bytes([number, index]) * 50) for index in range(5)]
        await device.put(*back)
        assert [await net.from_router() for _ in back] == back


def _sends(net: Net, one: bytes) -> bool:
    try:
        net.kernel.send(one)
    except BlockingIOError:
        return False
    return True


async def test_what_goes_to_nobody_is_counted(net: Net) -> None:
    server = net.start()
    net.to_router(packet(HOST, ONE), b"x" * 10, b"\x75" * 40)
    await until(lambda: server.describe()["unknown"] == 3)


async def test_a_slow_device_loses_packets_and_stays_in_step(net: Net) -> None:
    server = net.start()
    device = await net.known(ONE)
    fast = await net.known(TWO)
    for number in range(1500):
        one = packet(HOST, ONE, number.to_bytes(2, "big") * 1000)
        await until(lambda one=one: _sends(net, one))  # type: ignore[misc]
        if number % 100 == 0:
            net.to_router(packet(HOST, TWO))
            assert await fast.take() == packet(HOST, TWO)
    await until(lambda: net.peer()["packets_tx"] + net.peer()["dropped"] == 1500)
    dropped = net.peer()["dropped"]
    assert 0 < dropped < 1500
    (stream,) = (peer.stream for peer in server.peers if peer.ipv4[-1] == 2)
    assert stream.queued <= 512 * 1024
    numbers = [int.from_bytes((await device.take())[20:22], "big") for _ in range(1500 - dropped)]
    assert numbers == sorted(numbers)
    net.to_router(packet(HOST, ONE, b"in step"))
    assert await device.take() == packet(HOST, ONE, b"in step")


async def test_counters_are_uwsgis(net: Net) -> None:
    net.start()
    device = await net.known(ONE)
    net.to_router(packet(HOST, ONE))
    await device.take()
    shown = net.peer()
    assert (shown["addr"], shown["addr_32"]) == (ONE, 33_574_154)
    assert (shown["uid"], shown["gid"], shown["pid"]) == (os.geteuid(), os.getegid(), os.getpid())
    assert (shown["rx"], shown["tx"]) == (4 + 25, 4 + 27)
    assert (shown["packets_rx"], shown["packets_tx"]) == (1, 1)


# --- addresses ---


async def test_packets_from_other_addresses_are_dropped(net: Net) -> None:
    """uWSGI lets them pass."""
    net.start()
    device = await net.known(ONE)
    await device.put(packet(TWO, HOST), packet("192.0.2.1", HOST), packet(ONE, HOST, b"own"))
    assert await net.from_router() == packet(ONE, HOST, b"own")
    assert net.peer()["refused"]["spoofed"] == 2


async def test_other_addresses_pass_if_asked_for(net: Net) -> None:
    net.start(allow_spoof=True)
    device = await net.known(ONE)
    await device.put(packet("192.0.2.1", HOST))
    assert await net.from_router() == packet("192.0.2.1", HOST)
    net.to_router(packet(HOST, "192.0.2.1"), packet(HOST, ONE))
    assert await device.take() == packet(HOST, ONE)


@pytest.mark.parametrize("src", ["fe80::1", "::", "0.0.0.0", "224.0.0.1", "ff02::1"])
async def test_an_address_of_no_host_does_not_end_the_connection(net: Net, src: str) -> None:
    """uWSGI closes it for a source of 0.0.0.0, and for any IPv6 that comes first."""
    net.start()
    device = net.device()
    await device.put(packet(src, "ff02::2" if ":" in src else HOST), packet(ONE, HOST))
    assert await net.from_router() == packet(ONE, HOST)
    assert net.peer()["refused"]["local"] == 1
    assert net.peer()["addr"] == ONE


async def test_the_same_owner_may_come_again(net: Net, log: Log) -> None:
    net.start()
    old = await net.known(ONE)
    new = await net.known(ONE)
    assert await old.rest() == b""
    net.to_router(packet(HOST, ONE))
    assert await new.take() == packet(HOST, ONE)
    assert log.having("its owner has connected again")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_another_user_does_not_get_an_address_that_is_taken(
    net: Net, tmp_path: Path, log: Log
) -> None:
    """uWSGI closes the connection that has it."""
    net.path = f"@{tmp_path.name}-{id(net)}"
    server = net.start()
    net.path = "\0" + net.path[1:] + "\0"
    old = await net.known(ONE)
    thief = net.device(uid=1234)
    await thief.put(packet(ONE, HOST))
    await until(lambda: len(server.peers) == 2 and server.peers[1].collision == 1)
    net.to_router(packet(HOST, ONE))
    assert await old.take() == packet(HOST, ONE)
    await log.line("it sends from the address of another device")
    await thief.put(packet(TWO, HOST))
    assert await net.from_router() == packet(TWO, HOST)


async def test_an_address_is_free_when_its_device_has_left(net: Net) -> None:
    server = net.start()
    (await net.known(ONE)).close()
    await until(lambda: not server.peers)
    assert server.switch.by_address == {}
    await net.known(ONE)


# --- firewall, rules, routes ---


async def test_the_firewall_stands_before_everything(net: Net) -> None:
    server = net.start(
        firewall_out=(parse_firewall_rule(f"deny {ONE} 10.77.0.0/24"),),
        firewall_in=(parse_firewall_rule(f"deny 192.0.2.0/24 {ONE}"),),
    )
    device = net.device()
    await device.put(packet(ONE, HOST), packet(ONE, "192.0.2.1"))
    assert await net.from_router() == packet(ONE, "192.0.2.1")
    assert net.peer()["refused"]["firewall"] == 1
    net.to_router(packet("192.0.2.1", ONE), packet(HOST, ONE))
    assert await device.take() == packet(HOST, ONE)
    assert server.describe()["firewall"] == 1


async def test_a_refused_packet_teaches_no_address(net: Net) -> None:
    net.start(firewall_out=(parse_firewall_rule(f"deny {ONE} 0.0.0.0"),))
    device = net.device()
    await device.put(packet(ONE, HOST), packet(TWO, HOST))
    assert await net.from_router() == packet(TWO, HOST)
    assert net.peer()["addr"] == TWO


async def test_a_device_has_rules_of_its_own(net: Net) -> None:
    net.start()
    device = await net.known(ONE)
    texts = ("in 192.0.2.0/24 0.0.0.0 deny", "out 0.0.0.0 192.0.2.0/24 deny")
    await device.send(encode_rules([parse_device_rule(text) for text in texts]))
    await device.put(packet(ONE, "192.0.2.9"), packet(ONE, HOST))
    assert await net.from_router() == packet(ONE, HOST)
    net.to_router(packet("192.0.2.9", ONE), packet(HOST, ONE))
    assert await device.take() == packet(HOST, ONE)
    assert net.peer()["refused"]["rules"] == 2


async def test_routes_and_gateways_lead_to_another_router(net: Net) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.setblocking(False)
        loop = asyncio.get_running_loop()
        target = f"127.0.0.1:{other.getsockname()[1]}"
        net.start(routes=(parse_tun_route(f"0.0.0.0 10.78.0.0/24 {target}"),))
        device = await net.known(ONE)
        await device.put(packet(ONE, "10.78.0.5"))
        assert await loop.sock_recv(other, 9999) == packet(ONE, "10.78.0.5")
        rule = parse_device_rule(f"out 0.0.0.0 10.79.0.0/24 gateway {target}")
        await device.send(encode_rules([rule]))
        await device.put(packet(ONE, "10.79.0.5"))
        assert await loop.sock_recv(other, 9999) == packet(ONE, "10.79.0.5")
        other.sendto(packet("10.78.0.5", ONE), net.gateway.getsockname())
        assert await device.take() == packet("10.78.0.5", ONE)
        # uWSGI does not ask the device's rules here.
        await device.send(encode_rules([parse_device_rule("in 10.78.0.5 0.0.0.0 deny")]))
        await until(lambda: net.server is not None and net.server.peers[0].rules[0].action == DENY)
        for source in ("10.78.0.5", "10.78.0.6"):
            other.sendto(packet(source, ONE), net.gateway.getsockname())
        assert await device.take() == packet("10.78.0.6", ONE)
        await net.nothing_from_router()


# --- what is no packet ---


@pytest.mark.parametrize("size", [0, MAX_FRAME + 1, 65_535])
async def test_a_frame_that_can_t_be_closes_the_connection(net: Net, size: int, log: Log) -> None:
    net.start()
    good, bad = await net.known(ONE), net.device()
    await bad.send(frame_header(size) + b"x")
    assert (await bad.ending())[0] == b""
    await log.line(f"a frame of {size} bytes")
    net.to_router(packet(HOST, ONE))
    assert await good.take() == packet(HOST, ONE)


async def test_a_table_of_too_many_rules_closes_the_connection(net: Net, log: Log) -> None:
    net.start()
    device = await net.known(ONE)
    rule = encode_rules([parse_device_rule("in 192.0.2.0/24 0.0.0.0 deny")])[4:]
    await device.send(bytes((0, 0x18, 6, 1)) + rule * 65)
    assert (await device.ending())[0] == b""
    await log.line("a table of 65 rules")


async def test_garbage_in_frames_is_counted_and_dropped(net: Net) -> None:
    net.start()
    device = await net.known(ONE)
    await device.put(b"x", b"\x45" + bytes(18), b"\x65" + bytes(30), b"\x75" * 60, b"\x60" * 39)
    await device.put(packet(ONE, HOST))
    assert await net.from_router() == packet(ONE, HOST)
    assert net.peer()["refused"]["malformed"] == 5


async def test_many_connections_leave_nothing_behind(net: Net) -> None:
    server = net.start()
    for number in range(500):
        device = net.device()
        await device.put(packet(f"10.78.{number // 250}.{number % 250 + 1}", HOST))
        await net.from_router()
        (device.close if number % 2 else device.reset)()
        net.devices.clear()
        await until(lambda: not server.peers)
    assert server.switch.by_address == {}


async def test_no_more_devices_than_allowed(net: Net) -> None:
    server = net.start(max_peers=2)
    first, _second = await net.known(ONE), await net.known(TWO)
    third = net.device()
    await third.put(packet("10.77.0.4", HOST))
    await net.nothing_from_router()
    assert len(server.peers) == 2
    first.close()
    assert await net.from_router() == packet("10.77.0.4", HOST)


# --- credentials ---


async def test_who_begins_with_credentials_is_let_in(net: Net) -> None:
    net.start(use_credentials=True)
    device = net.device()
    await device.send(HELLO)
    await device.put(packet(ONE, HOST))
    assert await net.from_router() == packet(ONE, HOST)
    assert net.peer()["pid"] == os.getpid()


@pytest.mark.parametrize("said", [b"uwsgi-tunnel", b"x"])
async def test_who_begins_otherwise_is_not(net: Net, said: bytes) -> None:
    net.start(use_credentials=True)
    device = net.device()
    await device.send(said)
    await device.put(packet(ONE, HOST))
    assert (await device.ending())[0] == b""
    await net.nothing_from_router()


async def test_a_device_that_leaves_packets_unread_has_left(net: Net) -> None:
    """The connection is broken then; the packets before its end are read all the same."""
    server = net.start()
    device = await net.known(ONE)
    net.to_router(packet(HOST, ONE, b"unread"))
    await until(lambda: device.now() == "surplus")
    last = packet(ONE, HOST, b"last")
    device.sock.send(frame_header(len(last)) + last)
    device.close()
    assert await net.from_router() == last
    await until(lambda: not server.peers)


# --- our own device ---


async def test_a_device_connects_again(net: Net, log: Log) -> None:
    kernel, tun = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for sock in (kernel, tun):
        sock.setblocking(False)
    loop = asyncio.get_running_loop()
    client = TunDeviceClient(
        tun.fileno(),
        net.path.encode(),
        [parse_device_rule("in 192.0.2.0/24 0.0.0.0 deny")],
        loop=loop,
        use_credentials=True,
        retry=0.02,
    )
    client.start()
    await log.line("cannot connect: No such file or directory")
    server = net.start(use_credentials=True)
    # What concerns the link only is kept back.
    kernel.send(packet("fe80::1", "ff02::2"))
    kernel.send(packet(ONE, HOST))
    assert await net.from_router() == packet(ONE, HOST)
    net.to_router(packet("192.0.2.1", ONE), packet(HOST, ONE))
    assert await loop.sock_recv(kernel, 9999) == packet(HOST, ONE)
    server._close(server.peers[0], "the test")
    kernel.send(packet(ONE, HOST, b"again"))
    assert await net.from_router() == packet(ONE, HOST, b"again")
    client.stop()
    kernel.close()
    tun.close()


async def test_a_device_knows_of_a_router_that_left_packets_unread(net: Net, log: Log) -> None:
    kernel, tun = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for sock in (kernel, tun):
        sock.setblocking(False)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(net.path)
        listener.listen()
        client = TunDeviceClient(tun.fileno(), net.path.encode(), [], loop=loop, retry=60.0)
        client.start()
        router, _ = listener.accept()
        net.devices.append(Device(router))
        # It is watched once a packet has gone each way.
        first, last = packet(HOST, ONE, b"first"), packet(HOST, ONE, b"last")
        router.send(frame_header(len(first)) + first)
        assert await loop.sock_recv(kernel, 9999) == first
        kernel.send(packet(ONE, HOST, b"unread"))
        await until(lambda: net.devices[0].now() == "surplus")
        router.send(frame_header(len(last)) + last)
        router.close()
        assert await loop.sock_recv(kernel, 9999) == last
        await log.line("tried again every 60 s")
    client.stop()
    kernel.close()
    tun.close()
