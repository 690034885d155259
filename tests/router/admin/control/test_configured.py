"""Operators see and steer the nodes that the configuration names, as they do those that announce themselves."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.messages import OK, request, status_of
from tests.lab.router import Router
from tests.lab.scripts import answers, closes_without_a_byte
from tests.lab.waiting import a_few_turns
from uwsgi_router.router.admin.control.nodes import NoWeight
from uwsgi_router.router.admin.control.operator import (
    DrainCancelled,
    Drained,
    Operator,
    UnknownNode,
)
from uwsgi_router.router.admin.stats.metrics import render
from uwsgi_router.router.table.timing import TableTiming

POST = request("POST")


def operator(router: Router) -> Operator:
    return router.instance.operator()


async def answered(lab: Lab, router: Router, times: int) -> None:
    for _ in range(times):
        assert await lab.ask(router) == OK


def requests(router: Router) -> dict[str, int]:
    return {node.node: node.requests for node in operator(router).status()}


async def test_status_shows_nodes_and_fallbacks(lab: Lab) -> None:
    node, other, fallback = lab.node(), lab.refused_tcp(), lab.node()
    router = await lab.router(to=(node.address, other), fallback=(fallback.address,))
    await answered(lab, router, 2)
    first, second, third = operator(router).status()
    assert (first.table, first.key, first.algorithm) == ("fastrouter-to", "", "in turn")
    assert (first.node, first.state, first.requests, first.weight) == (node.address, "ready", 2, 1)
    assert (second.node, second.state, second.failures) == (other, "grace", 1)
    assert (third.table, third.algorithm) == ("fastrouter-fallback", "in order")
    assert (third.node, third.age) == (fallback.address, None)
    assert list(operator(router).status(b"example.com")) == []


async def test_a_drained_node_gets_no_new_requests_and_is_waited_for(lab: Lab) -> None:
    held, other = lab.held(), lab.node()
    router = await lab.router(held, other)
    client = await lab.open(router, request())
    upstream: Peer = await held.next()
    await upstream.packet()
    going = operator(router).drain(held.address, by="a test")
    waiting = asyncio.get_running_loop().create_task(going.ended(3600))
    await answered(lab, router, 4)
    assert requests(router) == {held.address: 1, other.address: 4}
    assert not waiting.done()
    await upstream.send(OK)
    upstream.close()
    assert await client.rest() == OK
    assert await waiting == Drained(1, 0, known=True)
    await lab.log.line(f"info fastrouter-to = {held.address} is drained by a test")
    assert [node.state for node in operator(router).status()] == ["drained", "ready"]


async def test_who_enables_it_ends_the_wait(lab: Lab) -> None:
    held = lab.held()
    router = await lab.router(held)
    client = await lab.open(router, request())
    upstream = await held.next()
    going = operator(router).drain(held.address, by="a test")
    waiting = asyncio.get_running_loop().create_task(going.ended(3600))
    await a_few_turns()
    assert operator(router).enable(held.address, by="a test") == 1
    with pytest.raises(DrainCancelled):
        await waiting
    upstream.close()
    client.reset()
    await router.at_rest()


async def test_if_all_are_drained_fallbacks_stand_in_and_without_one_it_is_503(lab: Lab) -> None:
    node, fallback = lab.node(), lab.node()
    router = await lab.router(node, fallback=(fallback.address,), errors="http")
    operator(router).drain(node.address, by="a test")
    await answered(lab, router, 1)
    operator(router).drain(fallback.address, by="a test")
    answer = await lab.ask(router)
    assert status_of(answer) == 503
    assert f"are drained: {node.address}".encode() in answer
    assert (node.connections, fallback.connections) == (0, 1)
    operator(router).enable(node.address, by="a test")
    await answered(lab, router, 1)


async def test_weights_are_shares_of_each_round(lab: Lab) -> None:
    nodes = [lab.node() for _ in range(3)]
    router = await lab.router(*nodes)
    operator(router).weigh(nodes[1].address, 4, by="a test")
    operator(router).weigh(nodes[2].address, 2, by="a test")
    await answered(lab, router, 14)
    assert [node.connections for node in nodes] == [2, 8, 4]
    operator(router).weigh(nodes[1].address, 1_000_000, by="a test")
    await answered(lab, router, 20)
    assert nodes[1].connections >= 8 + 18
    before = [node.connections for node in nodes]
    for node in nodes:
        operator(router).weigh(node.address, None, by="a test")
    await answered(lab, router, 6)
    assert [n.connections - b for n, b in zip(nodes, before, strict=True)] == [2, 2, 2]


async def test_a_fallback_has_no_weight_and_a_mistyped_node_is_none(lab: Lab) -> None:
    node, fallback = lab.node(), lab.refused_tcp()
    router = await lab.router(node, fallback=(fallback,))
    with pytest.raises(NoWeight, match=f"fastrouter-fallback = {fallback}: it has no weight"):
        operator(router).weigh(fallback, 2, by="a test")
    with pytest.raises(UnknownNode):
        operator(router).enable("127.0.0.1:1", by="a test")
    with pytest.raises(UnknownNode):
        operator(router).enable(node.address, b"example.com", by="a test")


async def test_nodes_of_both_kinds_at_one_address_are_meant_together(lab: Lab) -> None:
    node = lab.node()
    router = await lab.subscribed(fallback=(node.address,), errors="http")
    router.announce(node.address)
    assert operator(router).enable(node.address, by="a test") == 2
    assert await operator(router).drain(node.address, by="a test").ended(0) == Drained(
        2, 0, known=True
    )
    assert status_of(await lab.ask(router)) == 503


@pytest.mark.parametrize("option", ["to", "fallback"])
async def test_a_node_that_fails_requests_in_a_row_is_ejected_for_a_while(
    lab: Lab, option: str
) -> None:
    lab.table_timing = TableTiming(first_ejection=60.0)
    bad, good = lab.node(closes_without_a_byte), lab.node()
    options: dict[str, Any] = {"to": (bad.address, good.address)}
    if option == "fallback":
        options = {"to": (lab.refused_tcp(),), "fallback": options["to"]}
    router = await lab.router(subscription={"max_fails": 3}, **options)
    answers: Counter[bytes] = Counter()
    for _ in range(12):
        answers[await lab.ask(router, POST)] += 1
    assert answers[b""] == 3
    assert bad.connections == 3
    line = await lab.log.line("in a row")
    assert line == f"warning {bad.address} is ejected for 60 s: it failed 3 requests in a row"
    assert [n.state for n in operator(router).status() if n.node == bad.address] == ["ejected"]
    # It is better than none.
    operator(router).drain(good.address, by="a test")
    assert await lab.ask(router, POST) == b""
    assert bad.connections == 4
    await router.at_rest()


async def test_an_ejection_ends_by_time_and_one_answer_ends_its_memory(lab: Lab) -> None:
    lab.table_timing = TableTiming(first_ejection=0.05)
    seen = 0

    async def fails_twice(peer: Peer) -> None:
        nonlocal seen
        seen += 1
        await (closes_without_a_byte if seen <= 2 else answers())(peer)

    bad, good = lab.node(fails_twice), lab.node()
    router = await lab.router(bad, good, subscription={"max_fails": 2})
    while bad.connections < 3:
        await lab.ask(router, POST)
    await lab.log.line(f"info {bad.address} answers again")
    assert {node.state for node in operator(router).status()} == {"ready"}


async def test_metrics_know_fallbacks_and_what_was_set(lab: Lab) -> None:
    node, fallback = lab.refused_tcp(), lab.node()
    router = await lab.router(to=(node,), fallback=(fallback.address,))
    await answered(lab, router, 1)
    operator(router).weigh(node, 3, by="a test")
    text = b"".join(render(router.gateway, now=0.0, wall=0.0)).decode()
    labels = f'{{key="",node="{fallback.address}",router="fastrouter"}}'
    assert f"uwsgi_router_node_requests_total{labels} 1.0\n" in text
    assert f"uwsgi_router_node_up{labels} 1.0\n" in text
    labels = labels.replace(fallback.address, node)
    assert f"uwsgi_router_node_failures_total{labels} 1.0\n" in text
    assert f"uwsgi_router_node_up{labels} 0.0\n" in text
    assert f"uwsgi_router_node_weight{labels} 3.0\n" in text
