"""One encrypted connection: records, ends, and what OpenSSL wants."""

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator

import pytest

from tests.compiled import PLAIN_ONLY
from tests.lab.tls import NAME, Authority, TlsPeer
from tests.lab.waiting import a_few_turns, until
from tests.router.net.test_link import Calls, Owner
from uwsgi_router.router.net.openssl import BareSocket, Maker, accepted, wrapped
from uwsgi_router.router.net.peek_link import RECORD
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.router.net.tls_link import TlsLink
from uwsgi_router.subscriptions.traffic import Traffic

pytestmark = PLAIN_ONLY


@pytest.fixture(params=[accepted, wrapped], ids=["accepted", "wrapped"])
def make(request: pytest.FixtureRequest) -> Maker:
    """OpenSSL's object as this Python has it made for clients, and as every Python can."""
    made: Maker = request.param
    return made


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("tls"))


def server_context(authority: Authority) -> ssl.SSLContext:
    files = authority.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    return context


class Pair:
    """A server's link after its handshake, and the test's end; what is read is kept."""

    def __init__(
        self,
        poller: Poller,
        authority: Authority,
        make: Maker,
        ends: tuple[socket.SocketType, socket.socket] | None = None,
    ) -> None:
        ours, theirs = ends or socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
        self.make = make
        self.owner = Owner()
        self.traffic = Traffic()
        self.link = TlsLink(poller, ours, self.owner, self.traffic)
        self.peer = TlsPeer(theirs, authority.client(), NAME)
        self.got = bytearray()
        self.ended = ""
        self.reader = Calls(self.read)

    async def shake_hands(self, authority: Authority) -> None:
        self.link.secure(server_context(authority), self.make)
        done = asyncio.Event()

        def step() -> None:
            if self.link.handshake():
                self.link.pause()
                done.set()

        self.link.read_with(Calls(step))
        await asyncio.gather(self.peer.handshake(), done.wait())

    def read(self) -> None:
        try:
            data = self.link.recv(1)
        except OSError as error:
            self.ended = str(error)
            self.link.pause()
            return
        if data is None:
            return
        if not data:
            self.ended = "closed"
            self.link.pause()
        self.got += data

    def close(self) -> None:
        self.link.close()
        self.peer.close()


@pytest.fixture
async def poller() -> AsyncIterator[Poller]:
    poller = Poller(asyncio.get_running_loop())
    yield poller
    poller.close()


@pytest.fixture
async def pair(poller: Poller, authority: Authority, make: Maker) -> AsyncIterator[Pair]:
    pair = Pair(poller, authority, make)
    await pair.shake_hands(authority)
    yield pair
    pair.close()


async def test_no_less_than_a_record_is_read_and_nothing_stays_behind(pair: Pair) -> None:
    """A read of one byte would leave the others where epoll does not see them."""
    pair.link.read_with(pair.reader)
    await pair.peer.send(bytes(RECORD) + b"end")
    await until(lambda: pair.got.endswith(b"end"))
    assert len(pair.got) == RECORD + 3
    assert pair.traffic.tx == RECORD + 3


async def test_four_records_are_read_at_once(pair: Pair) -> None:
    sending = asyncio.ensure_future(pair.peer.send(bytes(5 * RECORD)))
    await a_few_turns()
    pair.link.read_with(pair.reader)
    await until(lambda: len(pair.got) == 5 * RECORD)
    await sending


async def test_an_end_behind_bytes_is_told_although_the_kernel_has_nothing_more(
    pair: Pair,
) -> None:
    await pair.peer.send(bytes(RECORD))
    await pair.peer.half_close()
    await a_few_turns()
    pair.link.read_with(pair.reader)
    await until(lambda: pair.ended)
    assert (len(pair.got), pair.ended) == (RECORD, "closed")


async def test_an_end_behind_bytes_waits_for_a_paused_reader(pair: Pair) -> None:
    await pair.peer.send(bytes(RECORD))
    await pair.peer.half_close()
    await a_few_turns()

    def once() -> None:
        pair.read()
        pair.link.pause()

    pair.link.read_with(Calls(once))
    await until(lambda: len(pair.got) == RECORD)
    await a_few_turns()
    assert pair.ended == ""
    pair.link.resume()
    await until(lambda: pair.ended == "closed")


async def test_an_end_without_goodbye_is_an_error(pair: Pair) -> None:
    pair.link.read_with(pair.reader)
    await pair.peer.send(b"all?")
    pair.peer.sock.shutdown(socket.SHUT_WR)
    await until(lambda: pair.ended)
    assert pair.got == b"all?"
    assert "without close_notify" in pair.ended
    assert pair.link.truncated


async def test_nor_is_a_reset_an_end_for_whoever_needs_no_goodbye(
    poller: Poller, authority: Authority, make: Maker
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    for sock in (ours, theirs):
        sock.setblocking(False)
    # What waits for an acknowledgement would be lost by the reset.
    theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pair = Pair(poller, authority, make, (ours, theirs))
    await pair.shake_hands(authority)
    pair.link.lenient = True
    pair.link.read_with(pair.reader)
    await pair.peer.send(b"some of it")
    pair.peer.reset()
    await until(lambda: pair.ended)
    assert (bytes(pair.got), pair.ended) == (b"some of it", "[Errno 104] Connection reset by peer")
    assert not pair.link.truncated
    pair.link.close()


async def test_unless_we_have_said_goodbye(pair: Pair) -> None:
    pair.link.read_with(pair.reader)
    pair.link.write_eof()
    assert await pair.peer.some() == b""
    pair.peer.sock.shutdown(socket.SHUT_WR)
    await until(lambda: pair.ended)
    assert pair.ended == "closed"


async def test_an_end_of_ours_that_crosses_bytes_of_the_peer_loses_none(pair: Pair) -> None:
    """OpenSSL takes data behind its close_notify for an error, if it has not read it before."""
    pair.link.read_with(pair.reader)
    pair.link.pause()
    await pair.peer.send(bytes(1000))
    pair.link.write(b"last")
    pair.link.write_eof()
    assert await pair.peer.ending() == (b"last", "closed")
    pair.link.resume()
    await until(lambda: len(pair.got) == 1000)
    pair.peer.tls.write(b"more")
    await pair.peer.flush()
    await until(lambda: pair.got.endswith(b"more"))
    await pair.peer.half_close()
    await until(lambda: pair.ended == "closed")


async def test_python_by_itself_can_read_no_more_behind_such_an_end(authority: Authority) -> None:
    """Once it can, ``TlsLink`` need not put another socket in the place of its own."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    peer = TlsPeer(theirs, authority.client(), NAME)
    tls = server_context(authority).wrap_socket(
        ours, server_side=True, do_handshake_on_connect=False
    )
    with tls:
        shaking = asyncio.get_running_loop().create_task(peer.handshake())
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await asyncio.sleep(0)
        await shaking
        await peer.send(b"already under way")
        with pytest.raises(ssl.SSLError, match="APPLICATION_DATA_AFTER_CLOSE_NOTIFY"):
            tls.unwrap()
        # As if it had ended, in good order.
        assert tls.recv(100) == b""
    peer.close()


async def test_what_the_kernel_does_not_take_follows_record_by_record(pair: Pair) -> None:
    whole = bytes(range(256)) * 4096
    pair.link.write(whole[:700_001])
    pair.link.write(whole[700_001:])
    assert 0 < pair.link.backlog < len(whole)
    before = pair.link.backlog
    first = await pair.peer.exactly(5 * RECORD)
    await until(lambda: pair.link.backlog < before)
    # Progress is seen long before all of it is out.
    assert pair.owner.touched > 0
    assert first + await pair.peer.exactly(len(whole) - 5 * RECORD) == whole
    await until(lambda: not pair.link.backlog)
    assert pair.owner.woken == 1
    assert pair.traffic.rx == len(whole)
    pair.link.write_eof()
    assert await pair.peer.ending() == (b"", "closed")


async def test_goodbye_comes_behind_the_last_byte(pair: Pair) -> None:
    pair.link.write(bytes(500_000))
    pair.link.write_eof()
    assert await pair.peer.ending() == (bytes(500_000), "closed")


async def test_a_close_says_goodbye_and_a_reset_does_not(
    poller: Poller, authority: Authority, make: Maker
) -> None:
    for reset, expected in ((False, {"closed"}), (True, {"truncated", "reset"})):
        pair = Pair(poller, authority, make)
        await pair.shake_hands(authority)
        pair.link.write(b"x")
        (pair.link.reset if reset else pair.link.close)()
        data, how = await pair.peer.ending()
        assert (data, how in expected) == (b"x", True)
        pair.close()


async def test_a_close_with_unsent_bytes_does_not_say_goodbye(pair: Pair) -> None:
    pair.link.write(bytes(1_000_000))
    assert pair.link.backlog
    pair.link.close()
    assert (await pair.peer.ending())[1] in ("truncated", "reset")


async def test_what_is_thrown_away_is_not_decrypted(pair: Pair) -> None:
    pair.link.write_eof()
    await pair.peer.send(bytes(1000))
    skipped = 0
    async with asyncio.timeout(5):
        while skipped < 1000:
            skipped += pair.link.skip(65_536) or 0
            await asyncio.sleep(0)
    pair.peer.sock.shutdown(socket.SHUT_WR)
    await until(lambda: pair.link.skip(65_536) == 0)


async def test_a_quiet_link_is_quiet_until_a_byte_comes(pair: Pair) -> None:
    assert pair.link.is_quiet()
    await pair.peer.send(b"x")
    assert not pair.link.is_quiet()
    pair.link.read_with(pair.reader)
    await until(lambda: pair.got == b"x")


async def test_a_broken_connection_is_told_to_the_owner(pair: Pair) -> None:
    pair.link.write(bytes(1_000_000))
    pair.peer.close()
    await until(lambda: pair.owner.broken)


async def test_a_handshake_with_garbage_fails_and_tells_the_peer(
    poller: Poller, authority: Authority, make: Maker
) -> None:
    pair = Pair(poller, authority, make)
    pair.link.secure(server_context(authority), pair.make)
    pair.peer.sock.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
    with pytest.raises(ssl.SSLError):
        pair.link.handshake()
    assert pair.peer.sock.recv(100).startswith(b"\x15\x03")
    pair.close()


async def test_a_reset_before_tls_begins_is_an_error(
    poller: Poller, authority: Authority, make: Maker
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    theirs = socket.create_connection(listener.getsockname())
    ours, _ = listener.accept()
    ours.setblocking(False)
    link = TlsLink(poller, ours, Owner(), Traffic())
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    theirs.close()

    def begin() -> None:
        link.secure(server_context(authority), make)
        link.handshake()

    with pytest.raises(OSError, match=r"not connected|reset by peer"):
        begin()
    link.close()
    listener.close()


def test_a_server_needs_no_second_socket_in_cpython() -> None:
    assert (accepted is not wrapped) == (sys.implementation.name == "cpython")


async def test_a_bare_socket_will_do(poller: Poller, authority: Authority, make: Maker) -> None:
    ours, theirs = socket.socketpair()
    bare = BareSocket(ours.family, int(ours.type) | socket.SOCK_NONBLOCK, 0, ours.detach())
    theirs.setblocking(False)
    pair = Pair(poller, authority, make, (bare, theirs))
    await pair.shake_hands(authority)
    pair.link.write(b"hello")
    assert await pair.peer.some() == b"hello"
    pair.close()


async def test_what_has_come_by_the_end_of_a_handshake_is_read_at_once(
    poller: Poller, authority: Authority, make: Maker
) -> None:
    pair = Pair(poller, authority, make)
    pair.link.secure(server_context(authority), make)
    shaking = asyncio.get_running_loop().create_task(pair.peer.handshake())
    await a_few_turns()
    assert not pair.link.handshake()
    await shaking
    await pair.peer.send(b"request")
    assert pair.link.handshake()
    pair.link.read_with(pair.reader)
    pair.link.look()
    assert pair.got == b"request"
    pair.link.pause()
    pair.link.look()
    pair.close()
    pair.link.look()


async def test_a_link_is_watched_once_from_the_handshake_on(
    poller: Poller, authority: Authority, make: Maker
) -> None:
    """Whoever follows the handshake has nothing to tell the kernel."""
    pair = Pair(poller, authority, make)
    pair.link.peek_with(pair.reader)
    assert pair.link.peek(100) is None
    assert len(poller) == 0
    pair.link.await_more()
    assert len(poller) == 1
    pair.link.end_peeking()
    await pair.shake_hands(authority)
    pair.link.read_with(pair.reader)
    pair.link.hand_over()
    assert len(poller) == 1
    pair.link.read_with(pair.reader)
    await pair.peer.send(b"one")
    await until(lambda: pair.got == b"one")
    pair.close()


async def test_a_link_that_nobody_follows_on_is_watched_no_more(pair: Pair, poller: Poller) -> None:
    """Bytes that nobody takes would wake the loop again and again."""
    pair.link.read_with(pair.reader)
    pair.link.hand_over()
    await pair.peer.send(b"one")
    await until(lambda: len(poller) == 0)
    pair.link.read_with(pair.reader)
    await until(lambda: pair.got == b"one")
