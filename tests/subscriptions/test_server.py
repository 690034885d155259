"""The datagram server on real sockets, on both event loops."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.subscriptions.table import words
from uwsgi_router.protocol.subscription import Subscription, encode
from uwsgi_router.subscriptions.events import Event
from uwsgi_router.subscriptions.gate import Gate
from uwsgi_router.subscriptions.notify import Notifier
from uwsgi_router.subscriptions.refusal import Refusal
from uwsgi_router.subscriptions.registry import Registry
from uwsgi_router.subscriptions.sender import Credentials, Sender
from uwsgi_router.subscriptions.server import (
    BATCH,
    SubscriptionServer,
    peer_name,
    sender_of,
    source_address,
)

ANNOUNCE = encode(Subscription("subscribe", b"example.com", ":3031"))
LEAVE = encode(Subscription("unsubscribe", b"example.com", ":3031"))


def announce(port: int) -> bytes:
    return encode(Subscription("subscribe", b"example.com", f"10.0.0.1:{port}"))


class Seen:
    """What servers reported, and a way to wait for more."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.refused: list[tuple[str, str]] = []
        self.refusals: list[Refusal] = []
        self.unheard: list[tuple[bytes, str]] = []
        self.changed = asyncio.Event()

    def on_events(self, events: list[Event]) -> None:
        self.events += words(events)
        self.changed.set()

    def on_refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)
        self.refused.append((refusal.sender, refusal.reason))
        self.changed.set()

    def on_unheard(self, path: bytes, reason: str) -> None:
        self.unheard.append((path, reason))

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()


class Place:
    """One table that any number of servers feed."""

    def __init__(self, stack: ExitStack) -> None:
        self.loop = asyncio.get_running_loop()
        self.registry = Registry(started=self.loop.time())
        self.seen = Seen()
        self.stack = stack
        self.gate = Gate()
        self.notifier = Notifier()
        stack.callback(self.notifier.close)

    def serve(
        self,
        family: int,
        address: Any,
        on_events: Callable[[list[Event]], None] | None = None,
    ) -> tuple[SubscriptionServer, socket.socket]:
        sock = self.stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
        server = self.server(sock, on_events)
        server.start()
        self.stack.callback(server.close)
        return server, sock

    def server(
        self, sock: socket.socket, on_events: Callable[[list[Event]], None] | None = None
    ) -> SubscriptionServer:
        return SubscriptionServer(
            sock,
            self.registry,
            on_events or self.seen.on_events,
            self.seen.on_refused,
            self.loop,
            gate=self.gate,
            wall_clock=time.time,
            notifier=self.notifier,
            unheard=self.seen.on_unheard,
        )

    def client(self, family: int) -> socket.socket:
        return self.stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    with ExitStack() as stack:
        yield Place(stack)


async def test_udp_announces_and_leaves(place: Place) -> None:
    _, sock = place.serve(socket.AF_INET, ("127.0.0.1", 0))
    client = place.client(socket.AF_INET)
    client.sendto(ANNOUNCE, sock.getsockname())
    client.sendto(LEAVE, sock.getsockname())
    await place.seen.until(lambda: "PoolRemoved example.com" in place.seen.events)
    assert place.seen.events == [
        "PoolAdded example.com",
        "NodeAdded 127.0.0.1:3031",
        "NodeFailed 127.0.0.1:3031 unsubscribe",
        "NodeRemoved 127.0.0.1:3031",
        "PoolRemoved example.com",
    ]
    assert place.seen.refused == []


async def test_ipv4_and_ipv6_senders_on_one_socket(place: Place) -> None:
    _, sock = place.serve(socket.AF_INET6, ("::", 0))
    port = sock.getsockname()[1]
    place.client(socket.AF_INET6).sendto(ANNOUNCE, ("::1", port))
    place.client(socket.AF_INET).sendto(ANNOUNCE, ("127.0.0.1", port))
    await place.seen.until(lambda: len(place.registry) == 2)
    names = [node.name for node in place.registry.pools[b"example.com"].nodes]
    assert sorted(names) == ["127.0.0.1:3031", "[::1]:3031"]


async def test_unix_datagrams_and_several_servers_with_one_table(
    place: Place, tmp_path: Path
) -> None:
    path = str(tmp_path / "subscriptions.sock")
    place.serve(socket.AF_UNIX, path)
    _, udp = place.serve(socket.AF_INET, ("127.0.0.1", 0))
    place.client(socket.AF_UNIX).sendto(ANNOUNCE, path)
    await place.seen.until(lambda: len(place.registry) == 1)
    place.client(socket.AF_INET).sendto(ANNOUNCE, udp.getsockname())
    await place.seen.until(lambda: len(place.seen.events) == 3)
    assert place.seen.events[-1] == "NodeRefreshed 127.0.0.1:3031"


async def test_what_is_refused_is_told_with_sender_and_reason(place: Place, tmp_path: Path) -> None:
    path = str(tmp_path / "subscriptions.sock")
    place.serve(socket.AF_UNIX, path)
    _, udp = place.serve(socket.AF_INET, ("127.0.0.1", 0))
    named = place.client(socket.AF_UNIX)
    named.bind(str(tmp_path / "client.sock"))
    named.sendto(b"x", path)
    place.client(socket.AF_UNIX).sendto(b"", path)
    foreign = encode(Subscription("subscribe", b"k", ":1", proto="http"))
    place.client(socket.AF_INET).sendto(foreign, udp.getsockname())
    await place.seen.until(lambda: len(place.seen.refused) == 3)
    assert sorted(place.seen.refused) == [
        ("127.0.0.1", "127.0.0.1:1 speaks http; the routers here speak uwsgi"),
        (f"unix (pid {os.getpid()}, uid {os.getuid()})", "0 bytes are no packet header"),
        (
            f"unix {tmp_path}/client.sock (pid {os.getpid()}, uid {os.getuid()})",
            "1 bytes are no packet header",
        ),
    ]
    assert place.registry.empty


async def test_a_datagram_that_would_be_cut_off_is_refused_whole(place: Place) -> None:
    """uWSGI reads 4,096 bytes and takes what came before the cut for the whole."""
    _, sock = place.serve(socket.AF_INET, ("127.0.0.1", 0))
    client = place.client(socket.AF_INET)
    client.sendto(ANNOUNCE + b"x" * 60_000, sock.getsockname())
    client.sendto(ANNOUNCE, sock.getsockname())
    await place.seen.until(lambda: bool(place.seen.events))
    assert place.seen.refused == [("127.0.0.1", "the datagram is longer than 4096 bytes")]


async def test_a_flood_leaves_the_loop_its_turn(place: Place) -> None:
    server, sock = place.serve(socket.AF_INET, ("127.0.0.1", 0))
    server.close()
    client = place.client(socket.AF_INET)
    for port in range(1, 2 * BATCH + 1):
        client.sendto(announce(port), sock.getsockname())
    between: list[int] = []

    def look() -> None:
        between.append(len(place.registry))
        if len(place.registry) < 2 * BATCH:
            place.loop.call_soon(look)

    server.start()
    look()
    await place.seen.until(lambda: len(place.registry) == 2 * BATCH)
    assert BATCH in between


async def test_a_bug_in_one_datagram_does_not_stop_the_server(place: Place) -> None:
    reported: list[str] = []
    place.loop.set_exception_handler(
        lambda _loop, context: reported.append(str(context["exception"]))
    )

    def buggy(events: list[Event]) -> None:
        if "NodeAdded 10.0.0.1:1" in words(events):
            raise RuntimeError("a bug")
        place.seen.on_events(events)

    _, sock = place.serve(socket.AF_INET, ("127.0.0.1", 0), buggy)
    client = place.client(socket.AF_INET)
    client.sendto(announce(1), sock.getsockname())
    client.sendto(announce(2), sock.getsockname())
    await place.seen.until(lambda: bool(place.seen.events))
    assert place.seen.events == ["NodeAdded 10.0.0.1:2"]
    assert reported == ["a bug"]


async def test_a_server_that_is_closed_by_what_it_reports_reads_no_more(place: Place) -> None:
    server, sock = place.serve(socket.AF_INET, ("127.0.0.1", 0))
    server.close()
    client = place.client(socket.AF_INET)
    for port in (1, 2):
        client.sendto(announce(port), sock.getsockname())

    def close(_events: list[Event]) -> None:
        closing.close()
        place.seen.changed.set()

    closing = place.server(sock, close)
    closing.start()
    await place.seen.until(lambda: len(place.registry) > 0)
    assert len(place.registry) == 1
    assert sock.recv(4096) == announce(2)
    closing.close()
    assert repr(closing) == f"<SubscriptionServer fd={sock.fileno()} stopped>"


async def test_an_error_of_the_socket_is_told_and_not_repeated_in_one_turn(place: Place) -> None:
    seen = place.seen
    sock = place.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    gone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    gone.bind(("127.0.0.1", 0))
    target = gone.getsockname()
    gone.close()
    # A connected UDP socket hears of an ICMP refusal: a real error from recvfrom.
    sock.setblocking(False)
    sock.connect(target)
    server = place.server(sock)
    server.start()
    place.stack.callback(server.close)
    sock.send(b"x")
    await seen.until(lambda: bool(seen.refused))
    assert seen.refused == [("socket", "reading failed: Connection refused")]


@pytest.mark.parametrize(
    ("sender", "source", "name"),
    [
        (("10.0.0.1", 5), "10.0.0.1", "unix"),
        (("fd00::1", 5, 0, 0), "fd00::1", "unix"),
        (("::ffff:10.0.0.1", 5, 0, 0), "10.0.0.1", "unix"),
        (("fe80::1", 5, 0, 2), "fe80::1%2", "unix"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::1%eth0", "unix"),
        (None, None, "unix"),
        ("", None, "unix"),
        ("/run/a", None, "unix /run/a"),
        (b"\0abs\0", None, "unix @abs"),
    ],
)
def test_who_sent_it(sender: object, source: str | None, name: str) -> None:
    assert source_address(sender) == source
    assert peer_name(sender) == name


def test_a_sender_with_and_without_a_process() -> None:
    me = Credentials(5, 6, 7)
    assert sender_of("/run/a", me) == Sender("unix /run/a (pid 5, uid 6)", None, me)
    assert sender_of(None, None) == Sender("unix")
    assert sender_of(("10.0.0.1", 5), None) == Sender("10.0.0.1", "10.0.0.1")


class Answers:
    """A client that wants to be answered."""

    def __init__(self, place: Place, directory: Path) -> None:
        self.path = str(directory / "notify").encode()
        self.sock = place.client(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.setblocking(False)
        self.loop = place.loop

    async def next(self) -> str:
        async with asyncio.timeout(10):
            return (await self.loop.sock_recv(self.sock, 4096)).decode()

    def announce(self, address: str, **fields: Any) -> bytes:
        return encode(
            Subscription("subscribe", b"example.com", address, notify=self.path, **fields)
        )

    def more(self) -> bool:
        try:
            return bool(self.sock.recv(4096))
        except BlockingIOError:
            return False


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
async def test_a_new_node_is_told_once_as_uwsgi_does(
    place: Place, tmp_path: Path, family: int
) -> None:
    answers = Answers(place, tmp_path)
    local = family == socket.AF_UNIX
    _, sock = place.serve(family, str(tmp_path / "server") if local else ("127.0.0.1", 0))
    client = place.client(family)
    for _ in range(3):
        client.sendto(answers.announce("/a"), sock.getsockname())
    assert await answers.next() == "[subscription ack] example.com => new node: /a"
    await place.seen.until(lambda: len(place.seen.events) == 4)
    assert not answers.more()


async def test_a_refusal_is_told_only_to_who_asks_for_it(place: Place, tmp_path: Path) -> None:
    answers = Answers(place, tmp_path)
    _, sock = place.serve(socket.AF_UNIX, str(tmp_path / "server"))
    client = place.client(socket.AF_UNIX)
    client.sendto(answers.announce("/a", modifier1=22), sock.getsockname())
    client.sendto(answers.announce("/b", modifier1=22, report=True), sock.getsockname())
    assert await answers.next() == (
        "[subscription refused] example.com => /b: modifier1 22 runs code, so no node may announce it"
    )
    assert not answers.more()
    assert [r.cause for r in place.seen.refusals] == ["modifier", "modifier"]
    assert place.seen.refusals[0].key == b"example.com"


async def test_who_sends_too_many_is_not_answered(place: Place, tmp_path: Path) -> None:
    place.gate = Gate(rate=1)
    answers = Answers(place, tmp_path)
    _, sock = place.serve(socket.AF_INET, ("127.0.0.1", 0))
    client = place.client(socket.AF_INET)
    for _ in range(40):
        client.sendto(answers.announce("/a", modifier1=22, report=True), sock.getsockname())
    # One line for those that come in a row.
    await place.seen.until(lambda: sum(r.count for r in place.seen.refusals) == 40)
    count = 0
    while answers.more():
        count += 1
    # A unix socket's queue holds ten or eleven datagrams.
    assert 1 <= count <= 11
    assert sum(r.count for r in place.seen.refusals if r.cause == "rate") == 30


async def test_what_can_not_be_answered_is_told(place: Place) -> None:
    _, sock = place.serve(socket.AF_INET, ("127.0.0.1", 0))
    datagram = encode(Subscription("subscribe", b"k", "/a", notify=b"/nonexistent"))
    place.client(socket.AF_INET).sendto(datagram, sock.getsockname())
    await place.seen.until(lambda: bool(place.seen.unheard))
    assert place.seen.unheard == [(b"/nonexistent", "No such file or directory")]
    assert len(place.registry) == 1
