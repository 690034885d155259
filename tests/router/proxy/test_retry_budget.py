"""Budget of retries: an outage of nodes is not multiplied, and one node's is still nobody's."""

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.messages import OK, request
from tests.lab.nodes import Node
from tests.lab.router import Router
from tests.lab.scripts import closes_without_a_byte
from uwsgi_router.router.proxy.retry_budget import RetryBudget
from uwsgi_router.router.report.counters import Counters


async def held_at(lab: Lab, router: Router, node: Node) -> tuple[Peer, Peer]:
    """A request that has come to a node at last: the client's end and the node's."""
    client = await lab.open(router, request())
    peer = await node.next()
    await peer.packet()
    return client, peer


async def finish(pairs: list[tuple[Peer, Peer]]) -> None:
    for client, peer in pairs:
        await peer.send(OK)
        peer.close()
        assert await client.rest() == OK


async def test_a_connection_that_a_node_ended_counts_never(lab: Lab) -> None:
    bad, good = lab.node(closes_without_a_byte), lab.held()
    router = await lab.subscribed()
    router.announce(bad.address)
    router.announce(good.address, backup=1)
    # It is asked again and again, until it is ejected.
    running = [await held_at(lab, router, good) for _ in range(6)]
    await finish(running)
    counters = await router.at_rest()
    assert (counters.completed, counters.retries_refused) == (6, 0)
    assert counters.resent > 3


async def test_a_refused_connect_counts_never(lab: Lab) -> None:
    good, refused = lab.held(), lab.refused_tcp()
    router = await lab.subscribed()
    router.announce(good.address, backup=1)
    running = []
    for _ in range(6):
        router.announce(refused)
        running.append(await held_at(lab, router, good))
    assert router.counters.retries == 6
    await finish(running)
    assert (await router.at_rest()).retries_refused == 0


async def test_of_connects_that_nobody_answers_the_first_is_free(lab: Lab) -> None:
    holes, good = [lab.black_hole() for _ in range(2)], lab.held()
    router = await lab.subscribed(connect_timeout=0.05)
    router.announce(good.address, backup=1)
    running = []
    for _ in range(3):
        for hole in holes:
            router.announce(hole.address)
        running.append(await held_at(lab, router, good))
    for hole in holes:
        router.announce(hole.address)
    assert await lab.ask(router) == b""
    line = await lab.log.line("504 connect")
    assert "fastrouter-retry-budget=20" in line
    # Without the second hole all find the good one.
    for _ in range(3):
        router.announce(holes[0].address)
        running.append(await held_at(lab, router, good))
    await finish(running)
    counters = await router.at_rest()
    assert (counters.completed, counters.retries_refused) == (6, 1)
    assert len(router.gateway.context.site.retries) == 0


async def test_a_client_that_leaves_gives_its_place_back(lab: Lab) -> None:
    holes, good = [lab.black_hole() for _ in range(2)], lab.held()
    router = await lab.subscribed(connect_timeout=0.05)
    for hole in holes:
        router.announce(hole.address)
    router.announce(good.address, backup=1)
    client, peer = await held_at(lab, router, good)
    assert len(router.gateway.context.site.retries) == 1
    client.reset()
    await router.at_rest()
    assert len(router.gateway.context.site.retries) == 0
    peer.close()


@pytest.mark.parametrize(
    ("percent", "running", "most"), [(20, 0, 3), (20, 19, 3), (20, 100, 20), (100, 7, 7)]
)
def test_so_many(percent: int, running: int, most: int) -> None:
    counters = Counters()
    # Of those that have ended nothing counts.
    counters.requests = running + 30
    counters.completed, counters.client_aborts, counters.failed["connect"] = 10, 10, 10
    budget = RetryBudget(percent, counters)
    assert [budget.take() for _ in range(most + 1)] == most * [True] + [False]
    budget.give_back()
    assert budget.take()
    assert counters.retries_refused == 1


def test_without_a_limit() -> None:
    budget = RetryBudget(0, Counters())
    assert all(budget.take() for _ in range(1000))
    assert len(budget) == 1000
