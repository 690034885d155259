"""The count of connections to HTTP nodes, and the line of those that wait for one."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from tests.compiled import PLAIN_ONLY
from tests.lab.waiting import until
from uwsgi_router.protocol.address import parse_address
from uwsgi_router.router.net.link import Link, LinkOwner
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.router.proxy.upstream_pool import MAX_IDLE, UpstreamPool
from uwsgi_router.router.proxy.waiter import Waiter
from uwsgi_router.subscriptions.node import Node
from uwsgi_router.subscriptions.traffic import Traffic

pytestmark = PLAIN_ONLY


class Waiting(Waiter):
    """A request that waits for a connection."""

    def __init__(self, name: str = "", limit: int | None = 1) -> None:
        super().__init__()
        self.name = name
        self.limit = limit
        self.tried: set[Node] = set()
        self.woken = 0

    def __repr__(self) -> str:
        return f"<Waiting {self.name} {self.granted}>"

    def wake(self) -> None:
        self.woken += 1

    def accepts(self, node: Node) -> bool:
        return node not in self.tried

    def limit_of(self, node: Node) -> int | None:
        return self.limit


class Owner(LinkOwner):
    """An owner of links that does nothing."""

    def readable(self) -> None: ...

    def touch(self) -> None: ...

    def wake(self) -> None: ...

    def link_broken(self, link: Link, error: OSError) -> None: ...


class Bench:
    """Upstreams, and connections to give them."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.poller = Poller(loop)
        self.upstreams = UpstreamPool(loop, self.poller, 0.01)
        self.peers: list[socket.socket] = []

    def link(self) -> tuple[Link, socket.socket]:
        """A connection, and the node's end of it."""
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        self.peers.append(peer)
        return Link(self.poller, ours, Owner(), Traffic()), peer

    def kept(self, node: Node, seconds: float = 60) -> tuple[Link, socket.socket]:
        """The same after it has served a request."""
        link, peer = self.link()
        assert self.upstreams.reserve(node, None)
        self.upstreams.keep(node, link, seconds)
        return link, peer

    def close(self) -> None:
        self.upstreams.close()
        self.poller.close()
        for peer in self.peers:
            peer.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture
def node() -> Node:
    return Node("127.0.0.1:1", parse_address("127.0.0.1:1"), proto="http")


@pytest.fixture
def sibling() -> Node:
    return Node("127.0.0.1:2", parse_address("127.0.0.1:2"), proto="http")


def take(bench: Bench, node: Node) -> Link | None:
    return bench.upstreams.take(node)


# --- counting ---


async def test_without_a_limit_there_is_always_a_place(bench: Bench, node: Node) -> None:
    for _ in range(1000):
        assert bench.upstreams.reserve(node, None)
    assert bench.upstreams.counts(node) == (1000, 0)
    for _ in range(1000):
        bench.upstreams.free(node)
    assert bench.upstreams.counts(node) == (0, 0)


async def test_a_limit_holds(bench: Bench, node: Node) -> None:
    upstreams = bench.upstreams
    assert [upstreams.reserve(node, 2) for _ in range(3)] == [True, True, False]
    upstreams.free(node)
    assert upstreams.reserve(node, 2)


async def test_nothing_is_remembered_of_a_node_without_connections(
    bench: Bench, node: Node
) -> None:
    bench.upstreams.reserve(node, 1)
    bench.upstreams.free(node)
    assert repr(bench.upstreams) == "<UpstreamPool nodes=0 idle=0>"


# --- keeping ---


async def test_the_connection_that_was_used_last_is_taken_first(bench: Bench, node: Node) -> None:
    """So that those that are not needed get old and go."""
    first, _ = bench.kept(node)
    second, _ = bench.kept(node)
    assert bench.upstreams.counts(node) == (0, 2)
    bench.upstreams.reserve(node, None)
    assert take(bench, node) is second
    bench.upstreams.reserve(node, None)
    assert take(bench, node) is first
    assert bench.upstreams.counts(node) == (2, 0)
    for link in (first, second):
        link.close()
        bench.upstreams.free(node)


async def test_none_is_taken_that_was_idle_for_too_long(bench: Bench, node: Node) -> None:
    link, _ = bench.kept(node)
    bench.upstreams.reserve(node, None)
    assert bench.upstreams.take_alive(node, -1) is None
    # It is kept for those that may take it.
    assert take(bench, node) is link
    link.close()
    bench.upstreams.free(node)


@pytest.mark.parametrize("how", ["closed", "said something"])
async def test_one_that_has_just_ended_is_seen_only_if_somebody_looks(
    bench: Bench, node: Node, how: str
) -> None:
    older, _ = bench.kept(node)
    dead, peer = bench.kept(node)
    bench.upstreams.reserve(node, None)
    if how == "closed":
        peer.close()
    else:
        peer.send(b"x")
    assert bench.upstreams.take_alive(node, 60) is older
    assert dead.closed
    older.close()
    bench.upstreams.free(node)


@pytest.mark.parametrize("how", ["closed", "said something"])
async def test_one_that_ends_while_idle_is_closed(bench: Bench, node: Node, how: str) -> None:
    link, peer = bench.kept(node)
    if how == "closed":
        peer.close()
    else:
        peer.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    await until(lambda: link.closed)
    assert bench.upstreams.counts(node) == (0, 0)
    assert len(bench.poller) == 0


async def test_an_idle_one_is_closed_when_its_time_is_over(bench: Bench, node: Node) -> None:
    short, _ = bench.kept(node, 0.03)
    long, _ = bench.kept(node, 60)
    await until(lambda: short.closed)
    assert not long.closed
    assert bench.upstreams.counts(node) == (0, 1)


async def test_a_node_without_a_limit_has_so_many_idle_ones_at_most(
    bench: Bench, node: Node
) -> None:
    links = [bench.kept(node)[0] for _ in range(MAX_IDLE + 3)]
    assert bench.upstreams.counts(node) == (0, MAX_IDLE)
    assert [link.closed for link in links[:4]] == [True, True, True, False]


async def test_before_a_new_connection_an_idle_one_makes_room(bench: Bench, node: Node) -> None:
    """Together they are never more than the node has processes."""
    older, _ = bench.kept(node)
    newer, _ = bench.kept(node)
    assert bench.upstreams.reserve(node, 2)
    bench.upstreams.make_room(node, 2)
    assert (older.closed, newer.closed) == (True, False)
    assert bench.upstreams.counts(node) == (1, 1)
    bench.upstreams.make_room(node, None)
    assert not newer.closed
    bench.upstreams.free(node)


# --- waiting ---


async def test_places_are_given_in_the_order_of_asking(bench: Bench, node: Node) -> None:
    upstreams = bench.upstreams
    upstreams.reserve(node, 1)
    waiters = [Waiting(str(number)) for number in range(3)]
    for waiter in waiters:
        upstreams.wait(waiter, [node])
    for position, waiter in enumerate(waiters):
        upstreams.free(node)
        granted = [other.granted for other in waiters]
        assert granted == [node] * (position + 1) + [None] * (2 - position)
        assert waiter.woken == 1
        assert upstreams.counts(node) == (1, 0)
        upstreams.leave(waiter, [node])
    upstreams.free(node)
    assert upstreams.counts(node) == (0, 0)


async def test_nobody_gets_past_those_who_wait(bench: Bench, node: Node) -> None:
    upstreams, waiter = bench.upstreams, Waiting()
    upstreams.reserve(node, 1)
    upstreams.wait(waiter, [node])
    upstreams.free(node)
    assert not upstreams.reserve(node, 1)
    upstreams.leave(waiter, [node])
    upstreams.free(node)
    assert upstreams.reserve(node, 1)
    upstreams.free(node)


async def test_who_waits_for_a_kept_connection_gets_it(bench: Bench, node: Node) -> None:
    upstreams, waiter = bench.upstreams, Waiting()
    upstreams.reserve(node, 1)
    upstreams.wait(waiter, [node])
    link, _ = bench.link()
    upstreams.keep(node, link, 60)
    assert waiter.granted is node
    assert take(bench, node) is link
    assert upstreams.counts(node) == (1, 0)
    link.close()
    upstreams.free(node)


async def test_who_waits_for_two_nodes_gets_one_place(
    bench: Bench, node: Node, sibling: Node
) -> None:
    upstreams, waiter, other = bench.upstreams, Waiting(), Waiting()
    for one in (node, sibling):
        upstreams.reserve(one, 1)
        upstreams.wait(waiter, [one])
    upstreams.wait(other, [sibling])
    upstreams.free(node)
    # Before it has noticed, the other one is free too.
    upstreams.free(sibling)
    assert (waiter.granted, other.granted) == (node, sibling)
    upstreams.leave(waiter, [node, sibling])
    upstreams.free(node)
    upstreams.free(sibling)
    assert repr(upstreams) == "<UpstreamPool nodes=0 idle=0>"


async def test_who_leaves_the_line_gets_nothing(bench: Bench, node: Node) -> None:
    upstreams, gone, next_ = bench.upstreams, Waiting(), Waiting()
    upstreams.reserve(node, 1)
    upstreams.wait(gone, [node])
    upstreams.wait(next_, [node])
    upstreams.leave(gone, [node])
    upstreams.free(node)
    assert (gone.granted, next_.granted) == (None, node)
    upstreams.free(node)


async def test_a_place_that_its_owner_does_not_need_goes_to_the_next(
    bench: Bench, node: Node
) -> None:
    upstreams, gone, next_ = bench.upstreams, Waiting(), Waiting()
    upstreams.reserve(node, 1)
    upstreams.wait(gone, [node])
    upstreams.wait(next_, [node])
    upstreams.free(node)
    assert gone.granted is node
    upstreams.free(node)
    assert next_.granted is node
    upstreams.free(node)
    assert upstreams.counts(node) == (0, 0)


# --- one queue for all nodes of a group ---


@pytest.fixture
def group(node: Node, sibling: Node) -> tuple[Node, Node]:
    """Two nodes of one group."""
    sibling.group = node.group
    for one in (node, sibling):
        one.proto = "http"
    return node, sibling


async def test_who_came_first_gets_the_first_place_of_any_node_of_the_group(
    bench: Bench, group: tuple[Node, Node]
) -> None:
    upstreams, waiters = bench.upstreams, [Waiting(str(number)) for number in range(3)]
    node, sibling = group
    for one in group:
        assert upstreams.reserve(one, 1)
    # The second one has seen only the sibling, the others both.
    for waiter, nodes in zip(waiters, (group, [sibling], group), strict=True):
        upstreams.wait(waiter, nodes)
    assert upstreams.waiting_for(node) == upstreams.waiting_for(sibling) == 3
    upstreams.free(node)
    upstreams.free(node)
    upstreams.free(sibling)
    assert [waiter.granted for waiter in waiters] == [node, node, sibling]
    assert [waiter.woken for waiter in waiters] == [1, 1, 1]
    assert not upstreams._queues
    upstreams.free(node)
    upstreams.free(sibling)
    assert repr(upstreams) == "<UpstreamPool nodes=0 idle=0>"


async def test_a_node_that_comes_serves_who_waits_first(
    bench: Bench, group: tuple[Node, Node]
) -> None:
    upstreams, waiters = bench.upstreams, [Waiting() for _ in range(4)]
    node, sibling = group
    assert upstreams.reserve(node, 1)
    for waiter in waiters:
        upstreams.wait(waiter, [node])
    for waiter in waiters:
        waiter.limit = 2
    assert not upstreams.reserve(sibling, 2)
    upstreams.came(sibling)
    assert [waiter.granted for waiter in waiters] == [sibling, sibling, None, None]
    # What it may have more from now on serves the next.
    waiters[2].limit = waiters[3].limit = 3
    upstreams.came(sibling)
    assert [waiter.granted for waiter in waiters] == [sibling, sibling, sibling, None]
    upstreams.leave(waiters[3], [node])
    for one in (node, sibling, sibling, sibling):
        upstreams.free(one)
    upstreams.came(sibling)
    assert repr(upstreams) == "<UpstreamPool nodes=0 idle=0>"


async def test_a_node_without_a_limit_lets_all_look_again(
    bench: Bench, group: tuple[Node, Node]
) -> None:
    upstreams, waiter = bench.upstreams, Waiting()
    node, sibling = group
    sibling.proto = "uwsgi"
    upstreams.reserve(node, 1)
    upstreams.wait(waiter, [node])
    upstreams.came(sibling)
    assert (waiter.notified, waiter.woken, waiter.granted) == (True, 1, None)
    upstreams.leave(waiter, [node])
    upstreams.free(node)


async def test_who_has_tried_a_node_in_vain_lets_the_next_have_it(
    bench: Bench, group: tuple[Node, Node]
) -> None:
    upstreams, first, second = bench.upstreams, Waiting(), Waiting()
    node, sibling = group
    upstreams.reserve(node, 1)
    first.tried.add(sibling)
    upstreams.wait(first, [node])
    assert first.granted is None
    # It has found the sibling closed to it only because the first one waits, though not for that.
    upstreams.wait(second, [sibling])
    assert (first.granted, second.granted) == (None, sibling)
    upstreams.leave(first, [node])
    for one in group:
        upstreams.free(one)
    assert repr(upstreams) == "<UpstreamPool nodes=0 idle=0>"


async def test_a_node_that_did_not_answer_gets_one_to_find_out(
    bench: Bench, group: tuple[Node, Node]
) -> None:
    upstreams, waiters = bench.upstreams, [Waiting(limit=4) for _ in range(3)]
    node, sibling = group
    sibling.suspect = True
    assert upstreams.reserve(sibling, 4)
    assert not upstreams.reserve(sibling, 4)
    upstreams.free(sibling)
    for _ in range(4):
        assert upstreams.reserve(node, 4)
    for waiter in waiters:
        upstreams.wait(waiter, [node])
    upstreams.came(sibling)
    assert [waiter.granted for waiter in waiters] == [sibling, None, None]
    sibling.suspect = False
    upstreams.free(sibling)
    assert [waiter.granted for waiter in waiters] == [sibling, sibling, sibling]
    for one in (node, node, node, node, sibling, sibling):
        upstreams.free(one)
    assert repr(upstreams) == "<UpstreamPool nodes=0 idle=0>"


# --- a node that leaves ---


async def test_a_node_that_leaves_takes_its_idle_connections_with_it(
    bench: Bench, node: Node
) -> None:
    link, _ = bench.kept(node)
    bench.upstreams.drop(node)
    assert link.closed
    assert repr(bench.upstreams) == "<UpstreamPool nodes=0 idle=0>"
    bench.upstreams.drop(node)


async def test_who_waits_for_a_node_that_leaves_looks_again(
    bench: Bench, node: Node, sibling: Node
) -> None:
    upstreams, waiter = bench.upstreams, Waiting()
    for one in (node, sibling):
        upstreams.reserve(one, 1)
    upstreams.wait(waiter, [node, sibling])
    assert [upstreams.waiting_for(one) for one in (node, sibling)] == [1, 1]
    upstreams.drop(node)
    assert (waiter.woken, waiter.notified, waiter.granted) == (1, True, None)
    upstreams.leave(waiter, [node, sibling])
    # Connections in use are still counted.
    assert upstreams.counts(node) == (1, 0)
    upstreams.free(node)
    upstreams.free(sibling)
    assert repr(upstreams) == "<UpstreamPool nodes=0 idle=0>"


async def test_closing_closes_all_idle_connections_and_no_timer_is_left(
    bench: Bench, node: Node, sibling: Node
) -> None:
    links = [bench.kept(one)[0] for one in (node, sibling)]
    bench.upstreams.close()
    assert all(link.closed for link in links)
    assert len(bench.poller) == 0
    assert bench.upstreams._timer is None
