"""Forwarder ``to`` with ``to-algo = least``: the node with the fewest running requests for its weight."""

import random
from collections import Counter

from tests.lab.lab import Lab
from tests.lab.messages import OK, ask
from tests.lab.waiting import until
from tests.router.routing.requests import asking
from uwsgi_router.router.routing.static import LeastLoadedForwarder, StaticNode
from uwsgi_router.subscriptions.node import Node

GRACE = 30.0
NOW = 1000.0


class Least:
    """A forwarder, and requests that go on."""

    def __init__(self, *addresses: str) -> None:
        self.forwarder = LeastLoadedForwarder(addresses, GRACE, last_resort=True)

    def begin(self, *tried: Node, now: float = NOW) -> str:
        node = self.forwarder.choose(asking("any"), tried, now)
        assert isinstance(node, StaticNode)
        node.reference += 1
        return node.name

    def named(self, name: str) -> StaticNode:
        return next(node for node in self.forwarder.nodes if node.name == name)

    def fails(self, name: str) -> None:
        node = self.named(name)
        node.connect_started()
        self.forwarder.connect_failed(node, NOW, timed_out=False)


def test_each_gets_as_many_as_the_others() -> None:
    least = Least("a", "b", "c")
    assert Counter(least.begin() for _ in range(9)) == {"a": 3, "b": 3, "c": 3}
    least.named("b").let_go()
    assert least.begin() == "b"


def test_in_proportion_to_the_weights_that_an_operator_gives() -> None:
    random.seed(1)
    least = Least("a", "b")
    least.begin()
    least.forwarder.weigh(least.named("b"), 3)
    assert Counter(least.begin() for _ in range(39))["b"] in {29, 30}
    assert least.named("a").reference + least.named("b").reference == 40
    assert least.named("b").reference == 30


def test_one_against_which_something_speaks_comes_after_the_others() -> None:
    least = Least("a", "b", "c", "d")
    least.fails("a")
    least.forwarder.drain(least.named("b"), True)
    for _ in range(5):
        least.forwarder.request_failed(least.named("c"), NOW)
    assert {least.begin() for _ in range(9)} == {"d"}
    # The last resorts, as without the algorithm.
    assert least.begin(least.named("d")) == "c"
    assert least.begin(least.named("d"), least.named("c")) == "a"
    assert {least.begin(now=NOW + GRACE) for _ in range(6)} == {"a", "c"}
    least.forwarder.drain(least.named("b"), False)
    assert {least.begin(now=NOW + GRACE) for _ in range(6)} >= {"b"}


async def test_requests_go_where_fewest_run(lab: Lab) -> None:
    nodes = [lab.held() for _ in range(2)]
    router = await lab.http(*nodes, backend_http=True, keepalive=0, to_algorithm="least")
    clients = []
    for _ in range(6):
        clients.append(await lab.open(router, ask()))
        await until(lambda: router.counters.requests == len(clients))
    peers = [[await node.next() for _ in range(3)] for node in nodes]
    for peer in peers[0]:
        await peer.request()
        await peer.send(OK)
    for peer in peers[1]:
        await peer.request()
        await peer.send(OK)
    for client in clients:
        assert (await client.answer()).status == 200
