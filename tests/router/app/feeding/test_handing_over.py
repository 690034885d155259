"""The only process of a program hands its table over to the next one, follows it, and may have it back."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab.messages import OK, request
from tests.lab.nodes import Node
from tests.lab.scripts import always
from tests.lab.waiting import until
from tests.router.app.feeding.program import QUICK, asked
from uwsgi_router.protocol.subscription import Subscription, encode
from uwsgi_router.router.app.feeding.feeding import Role, Seat
from uwsgi_router.router.app.feeding.post import FeedPost
from uwsgi_router.router.app.instance import Instance
from uwsgi_router.router.config.model import Configuration, RouterConfig
from uwsgi_router.router.table.feed.parts import Worker
from uwsgi_router.subscriptions.node import SubscribedNode


class Generation:
    """A generation of one process, on sockets of its own."""

    def __init__(self, directory: Path, name: str, *, takes_over: bool = False) -> None:
        # Both have it: a reload does not change it.
        self.announces = f"{directory}/announces"
        self.listens = f"{directory}/listen-{name}"
        router = RouterConfig(
            "fastrouter", listen=(self.listens,), subscription_servers=(self.announces,)
        )
        seat = Seat(Role.WHOLE, takes_over=takes_over, limits=QUICK)
        self.instance = Instance(Configuration(routers=(router,)), seat=seat)
        self.built = 0

    async def start(self, before: tuple[socket.socket, Worker] | None = None) -> None:
        post = self.instance.feeding.post = FeedPost(self._built)
        if self.instance.feeding.seat.takes_over:
            post.take(before)
        self.instance.bind()
        await self.instance.start()

    def _built(self) -> None:
        self.built += 1

    def say(self, address: str, key: bytes = b"example.com") -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(encode(Subscription("subscribe", key, address)), self.announces)

    def node(self, address: str, key: bytes = b"example.com") -> SubscribedNode | None:
        (table,) = self.instance.tables
        pool = table.registry.pools.get(key)
        return None if pool is None else pool.get(address)


@pytest.fixture
async def served() -> AsyncIterator[Node]:
    listener = socket.create_server(("127.0.0.1", 0))
    node = Node(listener, kind="uwsgi", answer=always(OK, close=True))
    yield node
    await node.close()


async def test_the_next_process_has_the_table_and_the_old_one_follows(
    tmp_path: Path, served: Node
) -> None:
    old = Generation(tmp_path, "a")
    await old.start()
    assert old.instance.feeding.owner is None, "as long as there is no other"
    old.say(served.address)
    await until(lambda: old.node(served.address))
    assert (await asked(old.listens, request())).endswith(b"ok")

    ours, theirs = socket.socketpair()
    # Otherwise binding would say that somebody listens there.
    (tmp_path / "announces").rename(tmp_path / "away")
    new = Generation(tmp_path, "b", takes_over=True)
    await old.instance.feeding.hand_over(ours)
    await new.start((theirs, Worker(0, 1, 4711)))
    assert new.built == 1
    found = new.node(served.address)
    assert found is not None
    assert found.requests == 1
    assert (await asked(old.listens, request())).endswith(b"ok")
    assert (await asked(new.listens, request())).endswith(b"ok")
    await until(lambda: found.requests == 3)
    counters = new.instance.gateways[0].counters
    await until(lambda: (counters.requests, counters.completed) == (3, 3))
    # Its own: those of the process that finishes are no part of it.
    counters.holding = 1
    assert (await asked(old.listens, request())).endswith(b"ok")
    await until(lambda: counters.completed == 4)
    assert counters.holding == 1
    counters.holding = 0

    other = "127.0.0.1:9"
    new.say(other)
    await until(lambda: old.node(other) is not None)
    await new.instance.stop(0)
    await until(lambda: old.instance.feeding.feed is not None)

    # The new one has been given up.
    assert (await asked(old.listens, request())).endswith(b"ok")
    await old.instance.feeding.take_back()
    assert old.instance.feeding.feed is None
    (tmp_path / "away").rename(tmp_path / "announces")
    old.say("127.0.0.1:10")
    await until(lambda: old.node("127.0.0.1:10"))
    await old.instance.feeding.take_back()
    await old.instance.stop(0)


async def test_a_next_process_without_a_predecessor_begins_with_nothing(tmp_path: Path) -> None:
    new = Generation(tmp_path, "a", takes_over=True)
    await new.start(None)
    new.say("127.0.0.1:9")
    await until(lambda: new.node("127.0.0.1:9"))
    await new.instance.stop(0)
