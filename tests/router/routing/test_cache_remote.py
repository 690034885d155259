"""Another server's cache: asked once, remembered for a moment, never waited for too long."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.clock import LoopAhead
from tests.lab.lab import Lab
from tests.lab.log import Log
from tests.lab.nodes import BlackHole
from tests.lab.scripts import plays
from tests.router.routing.requests import asking
from uwsgi_router.protocol.cache import Hit, decode_command, encode_hit
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.routing import cache_remote as module
from uwsgi_router.router.routing.cache import RemoteCacheForwarder
from uwsgi_router.router.routing.cache_remote import NoAnswer, RemoteCache
from uwsgi_router.router.routing.cache_store import Item
from uwsgi_router.subscriptions.node import Node

WALL = 1_700_000_000.0
GRACE = 30.0


class Server:
    """Another server: what its cache holds, and what it was asked."""

    def __init__(self, lab: Lab) -> None:
        self.items: dict[bytes, bytes] = {}
        self.ends: dict[bytes, int] = {}
        self.asked: list[bytes] = []
        self.caches: list[bytes] = []
        self.node = lab.node(self._answer)
        self.address = self.node.address

    async def _answer(self, peer: Peer) -> None:
        read = decode_command((await peer.packet()).raw)
        assert read is not None
        command = read[0]
        assert command.name == "get"
        self.asked.append(command.key)
        self.caches.append(command.cache)
        value = self.items.get(command.key)
        if value is not None:
            await peer.send(encode_hit(Hit(len(value), self.ends.get(command.key, 0))) + value)


Make = Callable[..., RemoteCache]


@pytest.fixture
async def loop() -> LoopAhead:
    return LoopAhead()


@pytest.fixture
async def make(loop: LoopAhead) -> AsyncIterator[Make]:
    made: list[RemoteCache] = []

    def make(
        address: str, deadline: float = 5.0, name: str = "nodes", remember: int = 10_000
    ) -> RemoteCache:
        any_loop: Any = loop
        remote = RemoteCache(
            f"{name}@{address}",
            loop=any_loop,
            resolver=Resolver(any_loop),
            deadline=deadline,
            wall_clock=lambda: WALL,
            remember=remember,
        )
        made.append(remote)
        return remote

    yield make
    for remote in made:
        remote.close()


async def value(remote: RemoteCache, key: bytes = b"key") -> bytes | None:
    item = await remote.get(key)
    return None if item is None else item.value


async def test_the_item_of_the_named_cache(lab: Lab, make: Make) -> None:
    server = Server(lab)
    server.items[b"key"] = b"127.0.0.1:1"
    assert await value(make(server.address)) == b"127.0.0.1:1"
    assert await value(make(server.address, name="")) == b"127.0.0.1:1"
    assert server.caches == [b"nodes", b""]


async def test_a_name_instead_of_an_address(lab: Lab, make: Make) -> None:
    server = Server(lab)
    server.items[b"key"] = b"v"
    assert await value(make(server.address.replace("127.0.0.1", "localhost"))) == b"v"


async def test_hits_and_misses_are_remembered_for_a_moment(
    lab: Lab, make: Make, loop: LoopAhead
) -> None:
    server = Server(lab)
    server.items[b"key"] = b"old"
    remote = make(server.address)
    for _ in range(3):
        assert await value(remote) == b"old"
        assert await value(remote, b"none") is None
    assert server.asked == [b"key", b"none"]
    server.items = {b"key": b"new", b"none": b"there"}
    loop.ahead += module.MISS_TTL
    assert await value(remote, b"none") == b"there"
    assert await value(remote) == b"old"
    loop.ahead += module.HIT_TTL
    assert await value(remote) == b"new"


async def test_an_item_is_not_remembered_beyond_its_end(
    lab: Lab, make: Make, loop: LoopAhead
) -> None:
    server = Server(lab)
    server.items[b"key"] = b"v"
    server.ends[b"key"] = int(WALL) + 1
    remote = make(server.address)
    assert await value(remote) == b"v"
    server.items.clear()
    loop.ahead += 1.0
    assert await value(remote) is None


async def test_an_item_that_is_asked_for_again_keeps_its_turns(
    lab: Lab, make: Make, loop: LoopAhead
) -> None:
    server = Server(lab)
    server.items[b"key"] = b"v"
    remote = make(server.address)
    first = await remote.get(b"key")
    assert isinstance(first, Item)
    first.turn = 3
    loop.ahead += module.HIT_TTL
    again = await remote.get(b"key")
    assert again is not None
    assert again.turn == 3
    assert len(server.asked) == 2


async def test_concurrent_requests_for_a_key_share_one_query_and_one_may_leave(
    lab: Lab, make: Make
) -> None:
    server = Server(lab)
    server.items[b"key"] = b"v"
    remote = make(server.address)
    tasks = [asyncio.get_running_loop().create_task(value(remote)) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[1:] == [b"v"] * 9
    assert isinstance(answers[0], asyncio.CancelledError)
    assert server.asked == [b"key"]


async def test_what_is_remembered_is_bounded(lab: Lab, make: Make) -> None:
    remote = make(Server(lab).address, remember=5)
    for number in range(20):
        assert await remote.get(b"%d" % number) is None
    assert len(remote._remembered) == 5


async def test_a_server_that_does_not_answer_costs_one_deadline_then_a_moment_nothing(
    lab: Lab, make: Make, loop: LoopAhead, log: Log
) -> None:
    node = lab.held()
    remote = make(node.address, deadline=0.1)
    with pytest.raises(NoAnswer, match=r"no answer within 0\.1 s") as caught:
        await remote.get(b"key")
    assert caught.value.timed_out
    with pytest.raises(NoAnswer):
        await remote.get(b"other")
    assert node.connections == 1
    assert log.having(f"cache nodes@{node.address} does not answer: no answer within 0.1 s")
    loop.ahead += module.REST
    with pytest.raises(NoAnswer):
        await remote.get(b"other")
    assert node.connections == 2


async def test_a_black_hole_costs_one_deadline(make: Make) -> None:
    hole = BlackHole()
    with pytest.raises(NoAnswer) as caught:
        await make(hole.address, deadline=0.1).get(b"key")
    hole.close()
    assert caught.value.timed_out


async def test_a_refused_connection_says_so(make: Make) -> None:
    with pytest.raises(NoAnswer, match="Connection refused") as caught:
        await make("127.0.0.1:1").get(b"key")
    assert not caught.value.timed_out


async def test_an_item_that_was_known_is_used_while_the_server_is_away(
    lab: Lab, make: Make, loop: LoopAhead
) -> None:
    server = Server(lab)
    server.items = {b"key": b"v", b"ends": b"w"}
    server.ends[b"ends"] = int(WALL) + 3
    remote = make(server.address)
    assert [await value(remote, key) for key in (b"key", b"ends")] == [b"v", b"w"]
    await server.node.close()
    loop.ahead += 2.5
    assert [await value(remote, key) for key in (b"key", b"ends")] == [b"v", b"w"]
    loop.ahead += 1.0
    assert await value(remote) == b"v"
    with pytest.raises(NoAnswer):
        await value(remote, b"ends")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "modifier1 is 72"),
        (b"o\x0c\x00", "it ended after 3 bytes"),
        (encode_hit(Hit(10)) + b"short", "inside the answer"),
        (encode_hit(Hit(70_000)), "a value of 70000 bytes names no nodes"),
    ],
)
async def test_an_answer_that_makes_no_sense(
    lab: Lab, make: Make, answer: bytes, reason: str
) -> None:
    remote = make(lab.node(plays(answer)).address)
    # It says nothing about other keys: they are asked for at once.
    for key in (b"key", b"other"):
        with pytest.raises(NoAnswer, match=reason):
            await remote.get(key)
    assert lab.log.having(f"cache {remote.text}: b'key': ")


# --- the forwarder ---


def forwarder(remote: RemoteCache, loop: Any, *, last_resort: bool = True) -> RemoteCacheForwarder:
    return RemoteCacheForwarder(remote, loop, GRACE, last_resort=last_resort, deadline=5.0)


async def chosen(forwarder: RemoteCacheForwarder, loop: LoopAhead, key: str = "key") -> str | None:
    found = forwarder.choose(asking(key), (), loop.time())
    if found is None and forwarder.must_search(asking(key), loop.time()):
        found = await forwarder.search(asking(key), ())
    return None if found is None else found.name


async def test_nodes_of_a_remote_item_take_turns_at_once_when_remembered(
    lab: Lab, make: Make, loop: LoopAhead
) -> None:
    server = Server(lab)
    server.items[b"key"] = b"/a|/b"
    cached = forwarder(make(server.address), loop)
    assert cached.is_known(asking("key"), loop.time())
    assert await chosen(cached, loop) == "/a"
    found = cached.choose(asking("key"), (), loop.time())
    assert isinstance(found, Node)
    assert found.name == "/b"
    assert server.asked == [b"key"]


async def test_each_form_of_the_key_is_asked_for(lab: Lab, make: Make, loop: LoopAhead) -> None:
    server = Server(lab)
    server.items[b"example.com"] = b"/a"
    cached = forwarder(make(server.address), loop)
    assert await chosen(cached, loop, "Example.com:80") == "/a"
    assert server.asked == [b"Example.com:80", b"example.com:80", b"example.com"]


async def test_a_key_that_is_missing_is_unknown_for_a_moment(
    lab: Lab, make: Make, loop: LoopAhead
) -> None:
    cached = forwarder(make(Server(lab).address), loop)
    assert await chosen(cached, loop) is None
    assert not cached.is_known(asking("key"), loop.time())
    assert cached.choose(asking("key"), (), loop.time()) is None
    loop.ahead += module.MISS_TTL
    assert cached.is_known(asking("key"), loop.time())


async def test_no_answer_is_told_as_such_unless_a_fallback_can_answer(
    lab: Lab, make: Make, loop: LoopAhead
) -> None:
    refusing = make("127.0.0.1:1")
    with pytest.raises(Failure, match=r"the cache nodes@127\.0\.0\.1:1 does not answer: Conn") as e:
        await chosen(forwarder(refusing, loop), loop)
    assert (e.value.status, e.value.reason, e.value.option) == (502, "cache", "")
    silent = make(lab.held().address, deadline=0.05)
    with pytest.raises(Failure) as e:
        await chosen(forwarder(silent, loop), loop)
    assert (e.value.status, e.value.option, e.value.value) == (504, "connect-timeout", 5.0)
    cached = forwarder(refusing, loop, last_resort=False)
    assert await chosen(cached, loop) is None
    assert cached.has_nodes(asking("key"), loop.time())


async def test_a_remote_value_that_does_not_parse_names_the_item(
    lab: Lab, make: Make, loop: LoopAhead, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(lab)
    server.items[b"key"] = b"a:x"
    with caplog.at_level(logging.ERROR), pytest.raises(Failure, match="the item key of the cache"):
        await chosen(forwarder(make(server.address), loop), loop)
    assert "b'a:x'" in caplog.text


async def test_closing_gives_up_the_queries_under_way(
    lab: Lab, make: Make, loop: LoopAhead
) -> None:
    node = lab.held()
    cached = forwarder(make(node.address), loop)
    task = asyncio.get_running_loop().create_task(chosen(cached, loop))
    await node.next()
    cached.close()
    with pytest.raises(asyncio.CancelledError):
        await task
