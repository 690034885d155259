"""The cache socket over real sockets: every command in every form, and that nobody can hold it up."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.lab.clients import Peer
from tests.lab.log import Log
from tests.lab.waiting import a_few_turns
from tests.router.admin.stats.test_server import loopback_listener, unix_listener
from uwsgi_router.protocol.cache import CacheCommand, Hit, decode_hit, encode_command
from uwsgi_router.protocol.uwsgi import encode_header
from uwsgi_router.router.admin.cache_server import CacheServer
from uwsgi_router.router.config.model import CacheConfig
from uwsgi_router.router.net.service import ServiceLimits
from uwsgi_router.router.routing.cache_store import Cache, Caches

WALL = 1_700_000_000.0
OK = b"o\x0c\x00\x11\x06\x00status\x02\x00ok"
CONFIGS = (CacheConfig("first", 3, max_key=20, max_value=100_000), CacheConfig("second", 3))


class Served:
    """A cache server's port, and what is behind it."""

    def __init__(self, listener_address: str | tuple[str, int], caches: Caches) -> None:
        self.address = listener_address
        self.caches = caches

    def cache(self, name: bytes = b"") -> Cache:
        cache = self.caches.find(name)
        assert cache is not None
        return cache

    def value(self, key: bytes, name: bytes = b"") -> bytes | None:
        item = self.cache(name).get(key, asyncio.get_running_loop().time())
        return None if item is None else item.value

    async def connect(self) -> Peer:
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        peer = Peer(socket.socket(family))
        await asyncio.get_running_loop().sock_connect(peer.sock, self.address)
        return peer

    async def raw(self, *pieces: bytes) -> bytes:
        """Send pieces, and return everything that comes until the end."""
        peer = await self.connect()
        for piece in pieces:
            await peer.send(piece)
        answer = await peer.rest()
        peer.close()
        return answer

    async def update(self, key: bytes, value: bytes, cache: bytes = b"", expires: int = 0) -> bytes:
        command = CacheCommand("update", key, cache, expires, len(value))
        return await self.raw(encode_command(command) + value)

    async def do(self, name: str, key: bytes = b"", cache: bytes = b"") -> bytes:
        return await self.raw(encode_command(CacheCommand(name, key, cache)))  # type: ignore[arg-type]


@asynccontextmanager
async def serving(
    limits: ServiceLimits | None = None, path: Path | None = None
) -> AsyncIterator[Served]:
    listener = unix_listener(str(path)) if path else loopback_listener()
    served = Served(listener.sock.getsockname(), Caches(CONFIGS))
    loop = asyncio.get_running_loop()
    server = CacheServer(
        [listener], served.caches, loop=loop, wall_clock=lambda: WALL, limits=limits
    )
    server.start()
    try:
        yield served
    finally:
        await server.close()


async def test_every_command_does_what_it_says(log: Log) -> None:
    async with serving() as served:
        assert await served.update(b"k", b"one") == OK
        assert served.value(b"k") == b"one"
        assert await served.do("exists", b"k") == OK
        assert await served.raw(encode_command(CacheCommand("set", b"k", size=3)) + b"two") == b""
        assert served.value(b"k") == b"one"
        assert await served.do("del", b"k") == OK
        assert await served.do("del", b"k") == b""
        assert await served.do("exists", b"k") == b""
        assert await served.do("get", b"k") == b""
        assert await served.raw(encode_command(CacheCommand("set", b"k", size=3)) + b"two") == OK
        assert await served.do("clear") == OK
        assert len(served.cache()) == 0


async def test_get_answers_with_size_end_and_value() -> None:
    async with serving() as served:
        await served.update(b"k", b"value", expires=60)
        answer = await served.do("get", b"k")
        read = decode_hit(answer)
        assert read is not None
        assert read[0].size == 5
        assert WALL + 58 < read[0].expires <= WALL + 60
        assert answer[read[1] :] == b"value"
        await served.update(b"k", b"value")
        read = decode_hit(await served.do("get", b"k"))
        assert read is not None
        assert read[0] == Hit(5)


async def test_reading_does_not_take_the_turn_of_a_node() -> None:
    async with serving() as served:
        await served.update(b"k", b"a|b")
        for _ in range(3):
            await served.do("get", b"k")
        item = served.cache().get(b"k", 0.0)
        assert item is not None
        assert item.turn == 0


async def test_the_cache_that_is_named_else_the_first(log: Log) -> None:
    async with serving() as served:
        await served.update(b"k", b"2", b"second")
        assert (served.value(b"k"), served.value(b"k", b"second")) == (None, b"2")
        assert await served.update(b"k", b"3", b"third") == b""
        assert "there is no cache b'third'" in await log.line("refused a cache command")


async def test_the_plain_forms_and_their_headers() -> None:
    def plain(payload: bytes, form: int) -> bytes:
        return encode_header(111, len(payload), form) + payload

    async with serving() as served:
        assert await served.raw(plain(b"\x01\x00k\x05\x00value", 1)) == b""
        assert served.value(b"k") == b"value"
        assert await served.raw(plain(b"k", 0)) == b"o\x05\x00\x00value"
        assert await served.raw(plain(b"k", 5)) == b"o\x00\x00\x01value"
        assert await served.raw(plain(b"other", 0)) == b""
        assert await served.raw(plain(b"other", 5)) == b"o\x00\x00\x00"
        assert await served.raw(plain(b"k", 2)) == b""
        assert served.value(b"k") is None
        await served.update(b"k", b"v" * 70_000)
        assert await served.raw(plain(b"k", 0)) == b""
        assert await served.raw(plain(b"k", 5)) == b"o\x00\x00\x01" + b"v" * 70_000


async def test_a_command_may_come_byte_by_byte_and_over_unix(tmp_path: Path) -> None:
    async with serving(path=tmp_path / "c") as served:
        data = encode_command(CacheCommand("update", b"k", size=5)) + b"value" + b"and more"
        peer = await served.connect()
        for index in range(len(data)):
            await peer.send(data[index : index + 1])
        assert await peer.rest() == OK
        peer.close()
        assert served.value(b"k") == b"value"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "modifier1 is 71"),
        (b"o\x05\x00\x11\x00", "it ended after 5 bytes, inside the packet"),
        (encode_command(CacheCommand("update", b"k", size=9)) + b"short", "it ended after 5 of 9"),
        (encode_command(CacheCommand("update", b"k", size=100_001)), "at most 100000 fit"),
        (encode_command(CacheCommand("update", b"k" * 21, size=1)) + b"v", "keysize is 20"),
    ],
)
async def test_what_is_refused_leaves_no_trace_but_a_line(
    data: bytes, reason: str, log: Log
) -> None:
    async with serving() as served:
        peer = await served.connect()
        await peer.send(data)
        peer.eof()
        assert (await peer.ending())[0] == b""
        peer.close()
        assert reason in await log.line("refused a cache command from 127.0.0.1")
        assert len(served.cache()) == 0


async def test_a_client_that_leaves_without_a_word_is_no_news(log: Log) -> None:
    async with serving() as served:
        peer = await served.connect()
        peer.eof()
        assert await peer.rest() == b""
        peer.close()
    assert log.lines == []


async def test_a_client_that_trickles_is_cut_off(log: Log) -> None:
    async with serving(ServiceLimits(total=0.2)) as served:
        peer = await served.connect()
        await peer.send(b"o")
        assert (await peer.ending())[0] == b""
        peer.close()
        await log.line("cut off a cache client, 127.0.0.1: not done within 0.2 s")


async def test_half_commands_make_room_for_a_whole_one() -> None:
    async with serving(ServiceLimits(connections=2, total=None)) as served:
        silent = [await served.connect() for _ in range(2)]
        # These two have to be accepted before the third one comes.
        for peer in silent:
            await peer.send(b"o")
        await a_few_turns()
        assert await served.update(b"k", b"v") == OK
        assert (await silent[0].ending())[0] == b""
        for peer in silent:
            peer.close()


async def test_closing_cuts_clients(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with serving() as served:
            peer = await served.connect()
            await peer.send(b"o")
            await served.update(b"k", b"v")
    assert (await peer.ending())[0] == b""
    peer.close()
    assert caplog.records == []
