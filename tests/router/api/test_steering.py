"""A program sees and steers the nodes of its router."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.lab.lab import Lab
from tests.lab.messages import KEY
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.router.api import (
    DrainCancelled,
    ForwarderSubscriptionServer,
    ParameterError,
    RouterFast,
    UnknownNode,
)
from uwsgi_router.router.table.table import Table

ANY_PORT = "127.0.0.1:0"
NODE = "127.0.0.1:9"


class Running:
    """A router in this program, and its table."""

    def __init__(self, router: RouterFast) -> None:
        self.router = router
        assert router._instance is not None
        (self.table,) = router._instance.tables

    table: Table

    def announce(self, name: str, key: bytes = KEY) -> None:
        subscription = Subscription("subscribe", key, name)
        now = asyncio.get_running_loop().time()
        self.table.report(self.table.registry.apply(subscription, source=None, now=now))


@pytest.fixture
async def running(lab: Lab) -> AsyncIterator[Running]:
    async with RouterFast(ANY_PORT, forward_to=ForwarderSubscriptionServer(ANY_PORT)) as router:
        running = Running(router)
        running.announce(NODE)
        yield running


async def test_drain_enable_and_weight(running: Running, lab: Lab) -> None:
    router = running.router
    running.announce(NODE, b"other")
    assert await router.drain(NODE, key="example.com")
    assert [node.state for node in router.status()] == ["drained", "ready"]
    router.enable(NODE)
    router.weight(NODE, 7, key=b"other")
    assert [(node.state, node.weight) for node in router.status("other")] == [("ready", 7)]
    router.weight(NODE, None)
    assert {node.weight for node in router.status()} == {1}
    assert lab.log.having(f"[example.com] {NODE} is drained by the program")


async def test_a_drain_that_takes_too_long_is_false(running: Running) -> None:
    (node,) = running.table.registry.named(NODE)
    node.reference += 1
    assert not await running.router.drain(NODE, within=0)
    task = asyncio.get_running_loop().create_task(running.router.drain(NODE))
    await asyncio.sleep(0)
    running.router.enable(NODE)
    with pytest.raises(DrainCancelled):
        await task
    node.let_go()


async def test_mistakes(running: Running) -> None:
    router = running.router
    with pytest.raises(UnknownNode, match=r"there is no node 127\.0\.0\.1:8"):
        await router.drain("127.0.0.1:8")
    assert await router.drain("127.0.0.1:8", missing_ok=True)
    with pytest.raises(UnknownNode, match=r"there is no node 127\.0\.0\.1:8"):
        router.enable("127.0.0.1:8")
    with pytest.raises(ParameterError, match=r"RouterFast\.weight"):
        router.weight(NODE, 0)
    with pytest.raises(RuntimeError, match="does not run"):
        RouterFast(ANY_PORT).status()
