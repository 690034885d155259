"""What operators see and do, while real requests run."""

import asyncio

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.messages import KEY, OK, request, status_of
from tests.lab.nodes import Node
from tests.lab.router import Router
from tests.lab.scripts import held_by_the_test
from tests.lab.waiting import a_few_turns, until
from uwsgi_router.router.admin.control.operator import (
    DrainCancelled,
    Drained,
    Operator,
    UnknownNode,
)


async def running(lab: Lab, **options: object) -> tuple[Router, Node, Peer, Peer]:
    """A router with one node that works on one request; both ends of that."""
    node = lab.node(held_by_the_test)
    router = await lab.subscribed(**options)
    router.announce(node.address)
    client = await lab.open(router, request())
    upstream = await node.next()
    await upstream.packet()
    return router, node, client, upstream


async def ends(upstream: Peer, client: Peer) -> None:
    await upstream.send(OK)
    upstream.close()
    assert await client.rest() == OK


def operator(router: Router) -> Operator:
    return router.instance.operator()


async def test_a_drain_waits_for_the_last_request(lab: Lab) -> None:
    router, node, client, upstream = await running(lab)
    going = operator(router).drain(node.address, by="a test")
    waiting = asyncio.get_running_loop().create_task(going.ended(3600))
    await a_few_turns()
    assert not waiting.done()
    await ends(upstream, client)
    assert await waiting == Drained(1, 0, known=True)
    assert lab.log.having(f"[example.com] {node.address} is drained by a test")


async def test_so_it_does_if_the_node_has_left(lab: Lab) -> None:
    router, node, client, upstream = await running(lab)
    router.leave(node.address)
    going = operator(router).drain(node.address, by="a test")
    waiting = asyncio.get_running_loop().create_task(going.ended(3600))
    await a_few_turns()
    assert not waiting.done()
    await ends(upstream, client)
    assert await waiting == Drained(1, 0, known=True)


async def test_a_drain_whose_time_is_over_says_how_many_are_left(lab: Lab) -> None:
    router, node, client, upstream = await running(lab)
    for seconds in (0, 0.05):
        going = operator(router).drain(node.address, by="a test")
        assert await going.ended(seconds) == Drained(1, 1, known=True)
    await ends(upstream, client)


async def test_requests_for_a_drained_key_get_503_and_running_ones_their_answer(lab: Lab) -> None:
    router, node, client, upstream = await running(lab, errors="http")
    operator(router).drain(node.address, by="a test")
    router.announce(node.address)
    answer = await lab.ask(router)
    assert status_of(answer) == 503
    assert f"are drained: {node.address}".encode() in answer
    await ends(upstream, client)
    assert node.connections == 1


async def test_with_hold_they_wait_until_it_is_enabled(lab: Lab) -> None:
    node = lab.node()
    router = await lab.subscribed(hold=30)
    router.announce(node.address)
    operator(router).drain(node.address, by="a test")
    client = await lab.open(router, request())
    await until(lambda: router.gateway.counters.holding == 1)
    router.announce(node.address)
    await a_few_turns()
    assert node.connections == 0
    assert operator(router).enable(node.address, by="a test") == 1
    assert await client.rest() == OK


async def test_who_enables_a_node_ends_the_wait_of_who_drains_it(lab: Lab) -> None:
    router, node, client, upstream = await running(lab)
    going = operator(router).drain(node.address, by="a test")
    waiting = asyncio.get_running_loop().create_task(going.ended(3600))
    await a_few_turns()
    operator(router).enable(node.address, by="a test")
    with pytest.raises(DrainCancelled, match="in service again"):
        await waiting
    await ends(upstream, client)


async def test_only_the_node_of_one_key_is_meant_if_a_key_is_given(lab: Lab) -> None:
    router = await lab.subscribed()
    nodes = [router.announce("127.0.0.1:9", key) for key in (KEY, b"other")]
    operator(router).drain("127.0.0.1:9", b"other", by="a test")
    assert [node.drained for node in nodes] == [False, True]
    operator(router).drain("127.0.0.1:9", by="a test")
    assert operator(router).weigh("127.0.0.1:9", 4, KEY, by="a test") == 1
    assert [(node.drained, node.weight) for node in nodes] == [(True, 4), (True, 1)]


async def test_a_node_that_is_nowhere_is_drained_already_but_can_not_be_enabled(lab: Lab) -> None:
    router = await lab.subscribed()
    router.announce("127.0.0.1:9")
    for name in ("127.0.0.1:8", "no address"):
        assert await operator(router).drain(name, by="x").ended(3600) == Drained(0, 0, known=False)
    known = operator(router).drain("127.0.0.1:8", KEY, by="x")
    assert (await known.ended(3600)).known
    with pytest.raises(UnknownNode, match=r"^there is no node 127\.0\.0\.1:8$"):
        operator(router).enable("127.0.0.1:8", by="x")
    with pytest.raises(UnknownNode, match="of the key other"):
        operator(router).weigh("127.0.0.1:9", 2, b"other", by="x")


async def test_who_only_waits_changes_nothing_and_waits_for_the_node_to_leave(lab: Lab) -> None:
    """The unsubscribe of an announcing client may arrive after its question."""
    router, node, client, upstream = await running(lab)
    going = operator(router).leaving(node.address, KEY)
    waiting = asyncio.get_running_loop().create_task(going.ended(3600))
    await ends(upstream, client)
    await router.at_rest()
    assert not waiting.done()
    assert operator(router).status(KEY).__next__().state == "ready"
    router.leave(node.address)
    assert await waiting == Drained(1, 0, known=True)
    assert (await operator(router).leaving(node.address, KEY).ended(3600)).known


async def test_status(lab: Lab) -> None:
    router, node, client, upstream = await running(lab)
    router.announce("127.0.0.1:9", b"a\xff", weight=3, backup=1)
    operator(router).weigh("127.0.0.1:9", 7, by="a test")
    first, second = operator(router).status()
    assert (first.key, first.weight, first.announced_weight, first.set_weight, first.backup) == (
        "a\udcff", 7, 3, 7, 1,
    )  # fmt: skip
    assert (second.table, second.key, second.algorithm) == ("127.0.0.1:0", "example.com", "wrr")
    assert (second.node, second.state, second.proto) == (node.address, "ready", "uwsgi")
    assert (second.requests, second.running, second.failures, second.drained) == (1, 1, 0, False)
    assert second.age is not None
    assert 0 <= second.age < 10
    router.leave(node.address)
    (left,) = operator(router).status(KEY)
    assert (left.state, left.running) == ("gone", 1)
    assert list(operator(router).status(b"none")) == []
    await ends(upstream, client)


async def test_a_router_that_starts_again_knows_what_was_set(lab: Lab) -> None:
    settings = {"subscription": {"state": str(lab.tmp_path / "state")}}
    before = await lab.subscribed(**settings)
    for name in ("127.0.0.1:8", "127.0.0.1:9"):
        before.announce(name, weight=2)
    operator(before).drain("127.0.0.1:8", by="a test")
    operator(before).weigh("127.0.0.1:9", 7, by="a test")
    await before.stop()
    after = await lab.subscribed(**settings)
    assert [(n.state, n.weight, n.announced_weight) for n in operator(after).status()] == [
        ("drained", 2, 2),
        ("ready", 7, 2),
    ]
