"""One connection: what the kernel does not take is kept, and whoever must know is told."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from tests.compiled import PLAIN_ONLY
from tests.lab.clients import Peer
from tests.lab.waiting import until
from uwsgi_router.router.net.link import LOW, Link, LinkOwner
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.router.net.read_end import Reader
from uwsgi_router.subscriptions.traffic import Traffic

pytestmark = PLAIN_ONLY


class Owner(LinkOwner):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.touched = 0
        self.woken = 0
        self.broken: list[OSError] = []

    def readable(self) -> None:
        """Nobody reads through it."""

    def touch(self) -> None:
        self.touched += 1

    def wake(self) -> None:
        self.woken += 1

    def link_broken(self, link: Link, error: OSError) -> None:
        self.broken.append(error)


class Calls(Reader):
    """Calls a function for each call of its own."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call

    def readable(self) -> None:
        self.call()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection: the one that was accepted, and the one that connected."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        theirs = socket.create_connection(listener.getsockname())
        return listener.accept()[0], theirs


class Pair:
    """A link and the test's end of its connection."""

    def __init__(self, poller: Poller, *, tcp: bool = False) -> None:
        ours, theirs = tcp_pair() if tcp else socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
        self.owner = Owner()
        self.link = Link(poller, ours, self.owner, Traffic())
        self.peer = Peer(theirs)

    def close(self) -> None:
        self.link.close()
        self.peer.close()


@pytest.fixture
async def poller() -> AsyncIterator[Poller]:
    poller = Poller(asyncio.get_running_loop())
    yield poller
    poller.close()


@pytest.fixture
async def pair(poller: Poller) -> AsyncIterator[Pair]:
    pair = Pair(poller)
    yield pair
    pair.close()


async def test_what_the_kernel_takes_is_sent_at_once(pair: Pair) -> None:
    pair.link.write(b"hello")
    assert pair.link.backlog == 0
    assert await pair.peer.exactly(5) == b"hello"


async def test_the_rest_follows_in_order_and_is_counted_as_backlog(pair: Pair) -> None:
    whole = bytes(range(256)) * 4096
    pair.link.write(whole[:700_000])
    pair.link.write(whole[700_000:])
    assert 0 < pair.link.backlog < len(whole)
    assert await pair.peer.exactly(len(whole)) == whole
    assert pair.link.backlog == 0
    assert pair.owner.touched > 0
    assert pair.owner.woken == 1


async def test_on_low_is_called_once_when_little_is_left(pair: Pair) -> None:
    backlogs: list[int] = []
    pair.link.write(bytes(1_000_000))
    pair.link.on_low = lambda: backlogs.append(pair.link.backlog)
    await pair.peer.exactly(1_000_000)
    assert len(backlogs) == 1
    assert backlogs[0] < LOW


async def test_eof_comes_behind_the_last_byte(pair: Pair) -> None:
    pair.link.write(bytes(500_000))
    pair.link.write_eof()
    assert len(await pair.peer.rest()) == 500_000


async def test_eof_without_a_backlog_is_sent_at_once(pair: Pair) -> None:
    pair.link.write(b"x")
    pair.link.write_eof()
    assert await pair.peer.rest() == b"x"


async def test_a_write_to_a_peer_that_is_gone_raises(pair: Pair) -> None:
    pair.peer.close()
    with pytest.raises(BrokenPipeError):
        pair.link.write(b"x")


async def test_bytes_that_cannot_be_sent_any_more_are_told_and_dropped(pair: Pair) -> None:
    pair.link.write(bytes(1_000_000))
    pair.peer.close()
    await until(lambda: pair.owner.broken)
    assert pair.link.backlog == 0
    assert len(pair.owner.broken) == 1


async def test_the_reader_is_called_until_it_is_paused_and_again_after_that(pair: Pair) -> None:
    got: list[bytes | None] = []

    def read() -> None:
        got.append(pair.link.recv(100))

    pair.link.read_with(Calls(read))
    await pair.peer.send(b"one")
    await until(lambda: got == [b"one"])
    pair.link.pause()
    assert not pair.link.reading
    await pair.peer.send(b"two")
    for _ in range(5):
        await asyncio.sleep(0)
    assert got == [b"one"]
    pair.link.resume()
    await until(lambda: got == [b"one", b"two"])


class Reads(Reader):
    """Reads once, and notes what the link says of the end; pauses it then."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.read: list[bytes | str | None] = []
        link.read_with(self)

    def readable(self) -> None:
        self.link.pause()
        try:
            self.read.append(self.link.recv(100))
        except OSError as exc:
            self.read.append(type(exc).__name__)


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize(
    ("end", "last", "hung_up"),
    [(None, False, False), ("half", True, False), ("whole", True, True)],
)
async def test_the_last_read_is_known_as_such(
    poller: Poller, tcp: bool, end: str | None, last: bool, hung_up: bool
) -> None:
    """A TCP peer that closes says no more than one that half-closes."""
    pair = Pair(poller, tcp=tcp)
    await pair.peer.send(b"x")
    if end == "half":
        pair.peer.eof()
    elif end == "whole":
        pair.peer.close()
    reads = Reads(pair.link)
    await until(lambda: reads.read)
    assert (reads.read, pair.link.last) == ([b"x"], last)
    assert pair.link.hung_up == (hung_up and not tcp)
    pair.close()


async def test_who_has_half_closed_itself_is_not_hung_up_on_by_a_half_close(pair: Pair) -> None:
    pair.link.write_eof()
    pair.peer.eof()
    reads = Reads(pair.link)
    await until(lambda: reads.read)
    assert (reads.read, pair.link.last, pair.link.hung_up) == ([b""], True, False)


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
async def test_a_read_before_a_reset_is_not_the_last(poller: Poller, tcp: bool) -> None:
    pair = Pair(poller, tcp=tcp)
    await pair.peer.send(b"x")
    # A peer that closes with unread bytes resets.
    pair.link.write(b"unread")
    pair.peer.reset()
    reads = Reads(pair.link)
    await until(lambda: reads.read)
    assert (reads.read, pair.link.last) == ([b"x"], False)
    pair.link.read_with(reads)
    await until(lambda: len(reads.read) == 2)
    assert reads.read[1] == "ConnectionResetError"
    pair.close()


async def test_another_reader_takes_over(pair: Pair) -> None:
    calls: list[str] = []

    def reader(name: str) -> Callable[[], None]:
        def read() -> None:
            pair.link.recv(100)
            calls.append(name)

        return read

    pair.link.read_with(Calls(reader("first")))
    pair.link.read_with(Calls(reader("second")))
    await pair.peer.send(b"x")
    await until(lambda: calls == ["second"])


async def test_a_reader_may_close_its_link(pair: Pair) -> None:
    pair.link.write(bytes(1_000_000))
    pair.link.read_with(Calls(pair.link.close))
    await pair.peer.send(b"x")
    await until(lambda: pair.link.closed)


async def test_a_closed_link_does_nothing_more(pair: Pair, poller: Poller) -> None:
    pair.link.read_with(Calls(lambda: None))
    pair.link.close()
    pair.link.close()
    pair.link.pause()
    pair.link.resume()
    assert len(poller) == 0
    assert pair.link.fileno() == -1
    assert "closed" in repr(pair.link)


async def test_a_descriptor_that_is_used_again_belongs_to_its_new_link(poller: Poller) -> None:
    first = Pair(poller)
    number = first.link.fileno()
    first.link.read_with(Calls(lambda: None))
    first.close()
    second = Pair(poller)
    assert second.link.fileno() == number
    got: list[bytes | None] = []
    second.link.read_with(Calls(lambda: got.append(second.link.recv(100))))
    await second.peer.send(b"x")
    await until(lambda: got == [b"x"])
    second.close()


async def test_one_links_bug_does_not_stop_the_others(pair: Pair, poller: Poller) -> None:
    other, bugs, got = Pair(poller), [], []

    def fails() -> None:
        pair.link.recv(100)
        raise ZeroDivisionError

    asyncio.get_running_loop().set_exception_handler(lambda _, context: bugs.append(context))
    pair.link.read_with(Calls(fails))
    other.link.read_with(Calls(lambda: got.append(other.link.recv(100))))
    await pair.peer.send(b"x")
    await other.peer.send(b"y")
    await until(lambda: bugs and got)
    assert isinstance(bugs[0]["exception"], ZeroDivisionError)
    other.close()


async def test_reset_is_seen_as_one_by_a_tcp_peer(poller: Poller) -> None:
    ours, theirs = tcp_pair()
    link, peer = Link(poller, ours, Owner(), Traffic()), Peer(theirs)
    link.write(b"half")
    assert await peer.some() == b"half"
    link.reset()
    link.reset()
    assert await peer.ending() == (b"", "reset")
    peer.close()
