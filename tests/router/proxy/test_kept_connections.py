"""Connection pool: HTTP nodes' connections kept, counted, waited for, and retries when one has ended."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.router.proxy.http_lab import (
    OK,
    Answerer,
    Head,
    HttpNode,
    HttpPeer,
    HttpRouter,
    Web,
    always,
    ask,
    chunks,
    counts,
    nodes_of,
    post,
    raw,
    says,
    upstreams_of,
)
from tests.router.proxy.inside import phases, routes
from tests.router.proxy.nodes import Peer, a_few_turns, held_by_the_test, until
from uwsgi_router.router.app.gateway import Gateway
from uwsgi_router.subscriptions.node import Node

SAFE = ["GET", "HEAD", "OPTIONS", "TRACE"]


def only_node(router: HttpRouter) -> Node:
    (node,) = nodes_of(router)
    return node


async def served(router: HttpRouter, client: HttpPeer, data: bytes, method: str = "GET") -> Head:
    await client.send(data)
    return await client.answer(method)


# --- reuse ---


async def test_one_connection_serves_one_client_after_the_other(web: Web) -> None:
    node = web.http_node()
    router = await web.to(node)
    for number in range(5):
        assert (await web.get(router, post(b"x") if number % 2 else ask())).status == 200
    assert (node.connections, len(node.requests)) == (1, 5)
    assert await counts(router, only_node(router)) == (0, 1)
    assert only_node(router).requests == 5


@pytest.mark.parametrize("data", [ask(), ask(method="HEAD"), post(b"body"), post(b"")])
@pytest.mark.parametrize(
    "answer",
    [
        OK,
        says(b"", status="204 No Content", length=False),
        says(b"", "Transfer-Encoding: chunked", length=False) + chunks(b"abc"),
        says(b"", "Transfer-Encoding: chunked", length=False) + chunks(),
        says(b"no", status="404 Not Found"),
        says(b"no", status="500 Oops"),
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK,
    ],
)
async def test_every_complete_exchange_leaves_its_connection(
    web: Web, data: bytes, answer: bytes
) -> None:
    head = data.startswith(b"HEAD")
    if head:
        end = answer.rindex(b"\r\n\r\n", 0, -2 if answer.endswith(b"0\r\n\r\n") else None) + 4
        if b"chunked" in answer:
            end = answer.index(b"\r\n\r\n") + 4
        answer = answer[:end]
    node = web.http_node(always(answer))
    router = await web.to(node)
    for _ in range(3):
        client = await web.open(router, data)
        while (await client.answer("HEAD" if head else "GET")).status < 200:
            pass
        client.close()
        assert await counts(router, only_node(router)) == (0, 1)
    assert node.connections == 1


@pytest.mark.parametrize(
    ("answer", "close"),
    [
        (says(b"ok", "Connection: close"), True),
        (says(b"ok", version="1.0"), True),
        (says(b"ok", length=False), True),
        (says(b"ok", "Keep-Alive: timeout=0"), False),
    ],
    ids=["close", "1.0", "no-length", "keep-alive-0"],
)
async def test_what_the_node_will_close_is_not_kept(web: Web, answer: bytes, close: bool) -> None:
    node = web.http_node(always(answer, close=close))
    router = await web.to(node)
    for _ in range(2):
        assert (await web.get(router)).status == 200
        assert await counts(router, only_node(router)) == (0, 0)
    assert node.connections == 2


async def test_an_http_10_node_may_keep_its_connection(web: Web) -> None:
    node = web.http_node(always(says(b"ok", "Connection: keep-alive", version="1.0")))
    router = await web.to(node)
    for _ in range(2):
        assert (await web.get(router)).status == 200
    assert node.connections == 1


async def test_requests_at_once_have_a_connection_each(web: Web) -> None:
    node = web.node(held_by_the_test)
    router = await web.http(to=(node.address,), backend_http=True, keepalive=0)
    clients = [await web.open(router, ask()) for _ in range(3)]
    peers = [HttpPeer(await node.next()) for _ in clients]
    for peer in peers:
        await peer.request()
        await peer.send(OK)
    for client in clients:
        assert (await client.answer()).status == 200
    assert await counts(router, only_node(router)) == (0, 3)


async def test_an_idle_connection_is_closed_after_its_time(web: Web) -> None:
    node = web.node(held_by_the_test)
    router = await web.http(
        to=(node.address,), backend_http=True, keepalive=0, backend_keepalive=0.05
    )
    client = await web.open(router, ask())
    peer = HttpPeer(await node.next())
    await peer.request()
    await peer.send(OK)
    assert (await client.answer()).status == 200
    assert await peer.ending() == (b"", "closed")


async def test_none_is_kept_if_so_configured(web: Web) -> None:
    node = web.http_node(always(says(b"ok", "Keep-Alive: timeout=60")))
    router = await web.to(node, backend_keepalive=0)
    for _ in range(2):
        assert (await web.get(router)).status == 200
    assert node.connections == 2


@pytest.mark.parametrize(
    ("said", "seconds"), [("timeout=5", 4.5), ("timeout=5, max=100", 4.5), ("timeout=99999", 60.0)]
)
async def test_the_node_says_how_long_it_keeps_an_idle_connection(
    web: Web, said: str, seconds: float
) -> None:
    """We are done with it half a second earlier, and after a minute at the latest."""
    node = web.http_node(always(says(b"ok", f"Keep-Alive: {said}")))
    router = await web.to(node)
    await web.get(router)
    assert await counts(router, only_node(router)) == (0, 1)
    (kept,) = upstreams_of(router)._nodes[only_node(router)].idle
    assert kept.until - kept.since == seconds


async def test_all_are_closed_when_the_node_leaves(web: Web) -> None:
    node = web.http_node()
    router = await web.announced()
    announced = router.announce(node.address, proto="http")
    await web.get(router)
    assert await counts(router, announced) == (0, 1)
    router.leave(node.address)
    assert await counts(router, announced) == (0, 0)


async def test_a_node_that_leaves_during_a_request_keeps_no_connection_after_it(web: Web) -> None:
    node = web.node(held_by_the_test)
    router = await web.announced()
    announced = router.announce(node.address, proto="http")
    client = await web.open(router, ask())
    peer = HttpPeer(await node.next())
    await peer.request()
    router.leave(node.address)
    await peer.send(OK)
    assert (await client.answer()).status == 200
    assert await peer.ending() == (b"", "closed")
    assert await counts(router, announced) == (0, 0)


async def test_a_node_that_failed_keeps_none(web: Web) -> None:
    """It was started anew: the old process's connections are of no use."""
    node = web.http_node()
    router = await web.announced()
    announced = router.announce(node.address, proto="http")
    await web.get(router)
    now = asyncio.get_running_loop().time()
    announced.connect_started()
    router.gateway.forwarder.connect_failed(announced, now, timed_out=False)
    assert await counts(router, announced) == (0, 0)


# --- nodes that close idle connections ---


async def closes_after_each_answer(peer: HttpPeer, _request: Head) -> bool:
    """Without saying so."""
    await peer.send(OK)
    return False


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_node_that_closes_idle_connections_loses_nothing(web: Web, method: str) -> None:
    node = web.http_node(closes_after_each_answer)
    router = await web.to(node)
    client = await web.open(router)
    data = post(b"body") if method == "POST" else ask(method=method)
    for _ in range(30):
        assert (await served(router, client, data)).status == 200
    assert len(node.requests) == 30


async def test_a_node_that_was_killed_between_requests_and_came_back_loses_nothing(
    web: Web,
) -> None:
    node = web.http_node()
    router = await web.to(node)
    client = await web.open(router)
    for number in range(3):
        assert (await served(router, client, post(b"x") if number == 1 else ask())).status == 200
        listener = node.scripted.listener.dup()
        await node.scripted.close()
        node = web.http_node(on=listener)


# --- sending again ---

Die = Callable[[HttpPeer], Awaitable[None]]


async def close(_peer: HttpPeer) -> None:
    pass


async def reset(peer: HttpPeer) -> None:
    peer.reset()


ENDS = {"closes": close, "resets": reset}


def dies_at(*numbers: int, die: Die = close) -> Answerer:
    """Ends the connection instead of answering its n-th request, over all connections, from 0."""
    count = -1

    async def answer(peer: HttpPeer, _request: Head) -> bool:
        nonlocal count
        count += 1
        if count in numbers:
            await die(peer)
            return False
        await peer.send(OK)
        return True

    return answer


@pytest.mark.parametrize("die", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("method", [*SAFE, "PUT", "DELETE"])
async def test_after_a_kept_connection_a_request_is_sent_again_to_the_same_node(
    web: Web, method: str, die: Die
) -> None:
    node = web.http_node(dies_at(1, die=die))
    router = await web.to(node)
    await web.get(router)
    client = await web.open(router, ask("/again", method=method))
    assert (await client.head()).status == 200
    assert [request.target for request in node.requests] == [b"/", b"/again", b"/again"]
    assert node.connections == 2
    assert router.gateway.counters.resent == 1
    assert only_node(router).failcnt == 0


@pytest.mark.parametrize("die", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("method", ["POST", "PATCH", "get", "PROPFIND"])
async def test_other_methods_are_not(web: Web, method: str, die: Die) -> None:
    node = web.http_node(dies_at(1, die=die))
    router = await web.to(node)
    await web.get(router)
    answer = await web.get(router, ask("/again", method=method))
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (502, b"no-answer")
    assert len(node.requests) == 2


@pytest.mark.parametrize("die", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("method", SAFE)
async def test_after_a_new_connection_a_safe_request_is_sent_again_to_another_node(
    web: Web, method: str, die: Die
) -> None:
    bad, good = web.http_node(dies_at(0, die=die)), web.http_node()
    router = await web.to(bad, good)
    client = await web.open(router, ask(method=method))
    assert (await client.head()).status == 200
    assert (len(bad.requests), len(good.requests)) == (1, 1)
    assert [node.failcnt for node in nodes_of(router)] == [0, 0]


@pytest.mark.parametrize("method", SAFE)
async def test_not_to_the_same_node(web: Web, method: str) -> None:
    node = web.http_node(dies_at(0))
    router = await web.to(node)
    client = await web.open(router, ask(method=method))
    assert (await client.head()).status == 502
    assert len(node.requests) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
async def test_after_a_new_connection_no_other_request_is_sent_again(web: Web, method: str) -> None:
    bad, good = web.http_node(dies_at(0)), web.http_node()
    router = await web.to(bad, good)
    assert (await web.get(router, ask(method=method))).status == 502
    assert good.requests == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("buffered", [0, 1000])
async def test_no_request_with_a_body_is_sent_again(
    web: Web, method: str, chunked: bool, buffered: int
) -> None:
    """Not even one that was collected: the node may have acted on it."""
    node, other = web.http_node(dies_at(1)), web.http_node()
    router = await web.to(node, post_buffering=buffered)
    await web.get(router)
    data = post(b"body", method=method)
    if chunked:
        data = ask("/", "Transfer-Encoding: chunked", method=method) + chunks(b"body")
    assert (await web.get(router, data)).status == 502
    assert (len(node.requests), other.requests) == (2, [])


@pytest.mark.parametrize("reused", [False, True])
async def test_not_after_a_byte_of_an_answer(web: Web, reused: bool) -> None:
    async def says_a_byte(peer: HttpPeer) -> None:
        await peer.send(b"H")

    bad = web.http_node(dies_at(int(reused), die=says_a_byte))
    good = web.http_node()
    router = await (web.to(bad) if reused else web.to(bad, good))
    if reused:
        await web.get(router)
    answer = await web.get(router)
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (502, b"bad-answer")
    assert len(bad.requests) == 1 + reused
    assert good.requests == []


@pytest.mark.parametrize("reused", [False, True])
async def test_not_after_a_timeout(web: Web, reused: bool) -> None:
    async def waits(peer: HttpPeer) -> None:
        await peer.some()

    bad = web.http_node(dies_at(int(reused), die=waits))
    good = web.http_node()
    router = await (web.to(bad, timeout=0.1) if reused else web.to(bad, good, timeout=0.1))
    if reused:
        await web.get(router)
    assert (await web.get(router)).status == 504
    assert len(bad.requests) == 1 + reused
    assert good.requests == []


async def test_at_most_once(web: Web) -> None:
    node, other = web.http_node(dies_at(1, 2)), web.http_node(dies_at(1, 2))
    router = await web.to(node, other)
    for _ in range(2):
        await web.get(router)
    assert (await web.get(router)).status == 502
    assert len(node.requests) + len(other.requests) == 4
    assert router.gateway.counters.resent == 1


async def test_the_second_time_never_over_another_kept_connection(web: Web) -> None:
    """All that were kept may be dead for the same reason."""
    doomed = False

    async def answer(peer: HttpPeer, request: Head) -> bool:
        arrived.append(peer)
        if request.target == b"/both":
            await both.wait()
        elif doomed and peer in arrived[:2]:
            return False
        await peer.send(OK)
        return True

    arrived: list[HttpPeer] = []
    both = asyncio.Event()
    node = web.http_node(answer)
    router = await web.to(node)
    clients = [await web.open(router, ask("/both")) for _ in range(2)]
    await until(lambda: len(arrived) == 2)
    both.set()
    for client in clients:
        await client.answer()
    assert await counts(router, only_node(router)) == (0, 2)
    doomed = True
    assert (await web.get(router)).status == 200
    assert node.connections == 3


async def test_not_even_after_waiting_in_line_for_it(web: Web) -> None:
    """The place of the dead connection goes to who waits; then the retry must not take that one's connection."""
    node = web.node(held_by_the_test)
    router = await web.http(
        to=(node.address,), backend_http=True, keepalive=0, backend_connections=1
    )
    first = await web.open(router, ask("/first"))
    peer = HttpPeer(await node.next())
    await peer.request()
    await peer.send(OK)
    await first.answer()
    # Over the kept connection now; somebody else waits.
    await first.send(ask("/again"))
    assert (await peer.request()).target == b"/again"
    second = await web.open(router, ask("/second"))
    await until(lambda: router.gateway.counters.queueing == 1)
    peer.close()
    peer = HttpPeer(await node.next())
    assert (await peer.request()).target == b"/second"
    await until(lambda: router.gateway.counters.queueing == 1)
    await peer.send(OK)
    await second.answer()
    fresh = HttpPeer(await node.next())
    assert (await fresh.request()).target == b"/again"
    await fresh.send(OK)
    assert (await first.answer()).status == 200


# --- requests that may not be repeated ---


@pytest.fixture
def stale_at_once(web: Web) -> None:
    """As if every kept connection had been idle for long."""
    web.timing = replace(web.timing, trusted_idle=-1.0)


@pytest.mark.usefixtures("stale_at_once")
@pytest.mark.parametrize(
    ("data", "new"),
    [
        (ask(), False),
        (ask(method="DELETE"), False),
        (ask(method="POST"), True),
        (post(b"x"), True),
        (post(b"x", method="PUT"), True),
        (ask(method="PATCH"), True),
        (ask("/", "Transfer-Encoding: chunked", method="GET") + chunks(b"x"), True),
    ],
)
async def test_only_what_may_be_repeated_takes_a_connection_that_was_idle_for_long(
    web: Web, data: bytes, new: bool
) -> None:
    node = web.http_node()
    router = await web.to(node)
    await web.get(router)
    assert (await web.get(router, data)).status == 200
    assert node.connections == 1 + new


@pytest.mark.parametrize("data", [post(b"x"), ask(method="POST"), post(b"x", method="PUT")])
async def test_what_may_not_be_repeated_takes_one_that_was_used_lately(
    web: Web, data: bytes
) -> None:
    node = web.http_node()
    router = await web.to(node)
    await web.get(router)
    assert (await web.get(router, data)).status == 200
    assert node.connections == 1


# --- limits and the queue ---


class Gate:
    """A node that answers when the test says so, in order of arrival, and counts those at once."""

    def __init__(self) -> None:
        self.order: list[bytes] = []
        self.most = self._now = 0
        self._next = asyncio.Semaphore(0)

    async def answer(self, peer: HttpPeer, request: Head) -> bool:
        self.order.append(request.target)
        self._now += 1
        self.most = max(self.most, self._now)
        await self._next.acquire()
        self._now -= 1
        await peer.send(OK)
        return True

    def open(self, count: int = 1) -> None:
        for _ in range(count):
            self._next.release()


@pytest.mark.parametrize("announced", [False, True])
async def test_a_node_has_as_many_connections_as_it_may_and_others_wait_in_order(
    web: Web, announced: bool
) -> None:
    gate = Gate()
    node = web.http_node(gate.answer)
    if announced:
        router = await web.announced()
        router.announce(node.address, proto="http", cores=2)
    else:
        router = await web.to(node, backend_connections=2)
    clients = []
    for number in range(8):
        clients.append(await web.open(router, ask(f"/{number}")))
        await until(lambda n=number: router.gateway.counters.requests == n + 1)  # type: ignore[misc]
        await a_few_turns()
    assert router.gateway.counters.queueing == 6
    gate.open(8)
    for client in clients:
        assert (await client.answer()).status == 200
    assert gate.order == [b"/%d" % number for number in range(8)]
    assert (gate.most, node.connections) == (2, 2)
    assert await counts(router, only_node(router)) == (0, 2)
    assert router.gateway.counters.queued == 6


async def test_idle_connections_count(web: Web) -> None:
    """A new connection, which a POST wants, takes the place of an idle one."""
    gate = Gate()
    node = web.http_node(gate.answer)
    router = await web.to(node, backend_connections=1)
    gate.open(1)
    await web.get(router)
    assert await counts(router, only_node(router)) == (0, 1)
    gate.open(1)
    tunnel = ask("/", "Connection: close", method="POST")
    assert (await web.get(router, tunnel)).status == 200
    assert await counts(router, only_node(router)) == (0, 1)


async def test_who_finds_the_queue_full_is_told_at_once(web: Web) -> None:
    gate = Gate()
    router = await web.to(web.http_node(gate.answer), backend_connections=1, backend_queue=1)
    first = await web.open(router, ask())
    await until(lambda: gate.order)
    second = await web.open(router, ask())
    await until(lambda: router.gateway.counters.queueing == 1)
    answer = await web.get(router)
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (503, b"queue-full")
    assert answer.get("retry-after") == b"1"
    assert "http-backend-queue=1" in await web.log.line("503 queue-full")
    gate.open(2)
    for client in (first, second):
        assert (await client.answer()).status == 200


async def test_who_waits_for_too_long_is_told_so(web: Web) -> None:
    gate = Gate()
    node = web.http_node(gate.answer)
    router = await web.to(node, backend_connections=1, backend_queue_timeout=0.05)
    first = await web.open(router, ask())
    await until(lambda: gate.order)
    answer = await web.get(router)
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (503, b"queue-expired")
    assert node.address in await web.log.line("503 queue-expired")
    gate.open()
    assert (await first.answer()).status == 200


async def test_a_client_that_leaves_the_queue_leaves_no_trace(web: Web) -> None:
    gate = Gate()
    router = await web.to(web.http_node(gate.answer), backend_connections=1)
    first = await web.open(router, ask("/first"))
    await until(lambda: gate.order)
    gone = await web.open(router, ask("/gone"))
    await until(lambda: router.gateway.counters.queueing == 1)
    last = await web.open(router, ask("/last"))
    await until(lambda: router.gateway.counters.queueing == 2)
    gone.reset()
    await until(lambda: router.gateway.counters.queueing == 1)
    gate.open(2)
    assert [(await client.answer()).status for client in (first, last)] == [200, 200]
    assert gate.order == [b"/first", b"/last"]
    assert router.gateway.counters.client_aborts == 1


async def test_a_place_given_to_a_client_that_has_just_left_goes_to_the_next(web: Web) -> None:
    gate = Gate()
    router = await web.to(web.http_node(gate.answer), backend_connections=1)
    first = await web.open(router, ask("/first"))
    await until(lambda: gate.order)
    gone = await web.open(router, ask("/gone"))
    await until(lambda: router.gateway.counters.queueing == 1)
    last = await web.open(router, ask("/last"))
    await until(lambda: router.gateway.counters.queueing == 2)
    # In the same turn of the loop: the place is free, and the client is gone.
    port = gone.sock.getsockname()[1]
    leaving = next(one for one in router.gateway.connections.all() if one.peer[1] == port)
    leaving.link_broken(leaving.link, ConnectionResetError())
    gate.open(2)
    assert [(await client.answer()).status for client in (first, last)] == [200, 200]
    assert gate.order == [b"/first", b"/last"]
    gone.close()


async def test_a_sibling_is_taken_before_anybody_waits(web: Web) -> None:
    gates = [Gate(), Gate()]
    nodes = [web.http_node(gate.answer) for gate in gates]
    router = await web.to(*nodes, backend_connections=1)
    clients = []
    for number in range(3):
        clients.append(await web.open(router, ask(f"/{number}")))
        await until(lambda n=number: router.gateway.counters.requests == n + 1)  # type: ignore[misc]
        await a_few_turns()
    await until(lambda: [len(node.requests) for node in nodes] == [1, 1])
    assert router.gateway.counters.queueing == 1
    # The one that waits takes whichever is free first.
    gates[1].open(2)
    assert (await clients[1].answer()).status == 200
    assert (await clients[2].answer()).status == 200
    assert gates[1].order == [b"/1", b"/2"]
    gates[0].open()
    assert (await clients[0].answer()).status == 200


async def test_a_fallback_does_not_stand_in_for_a_busy_node(web: Web) -> None:
    gate = Gate()
    node, fallback = web.http_node(gate.answer), web.http_node()
    router = await web.to(node, fallback=(fallback.address,), backend_connections=1)
    clients = [await web.open(router, ask()) for _ in range(2)]
    await until(lambda: router.gateway.counters.queueing == 1)
    gate.open(2)
    for client in clients:
        assert (await client.answer()).status == 200
    assert fallback.requests == []


async def test_a_node_that_became_free_while_another_was_tried_is_taken(web: Web) -> None:
    """Nobody else would ever tell."""
    gate = Gate()
    node, hole = web.http_node(gate.answer), web.black_hole()
    router = await web.http(
        to=(node.address, hole.address),
        backend_http=True,
        keepalive=0,
        backend_connections=1,
        connect_timeout=0.3,
        backend_queue_timeout=5,
    )
    first = await web.open(router, ask("/first"))
    await until(lambda: gate.order)
    # The hole's turn comes next; so a third one makes it the node's.
    second = await web.open(router, ask("/second"))
    await until(lambda: "connect" in phases(router))
    gate.open(2)
    assert (await first.answer()).status == 200
    assert (await second.answer()).status == 200
    assert gate.order == [b"/first", b"/second"]


async def test_also_if_it_was_found_full_before(web: Web) -> None:
    gate = Gate()
    node, hole = web.http_node(gate.answer), web.black_hole()
    router = await web.announced(
        backend_connections=1, connect_timeout=0.3, backend_queue_timeout=5
    )
    router.announce(node.address, proto="http", weight=50)
    first = await web.open(router, ask("/first"))
    await until(lambda: gate.order)
    router.announce(hole.address, proto="http")
    second = await web.open(router, ask("/second"))
    await until(
        lambda: (
            any(one._attempts is not None and one._attempts.full for one in routes(router))
            and "connect" in phases(router)
        )
    )
    gate.open(2)
    assert (await first.answer()).status == 200
    assert (await second.answer()).status == 200


async def test_a_node_that_leaves_sends_those_who_wait_to_its_siblings(web: Web) -> None:
    gates = [Gate(), Gate()]
    nodes = [web.http_node(gate.answer) for gate in gates]
    router = await web.announced()
    for node in nodes:
        router.announce(node.address, proto="http", cores=1)
    clients = [await web.open(router, ask()) for _ in range(2)]
    await until(lambda: [len(node.requests) for node in nodes] == [1, 1])
    waiting = await web.open(router, ask("/waiting"))
    await until(lambda: router.gateway.counters.queueing == 1)
    router.leave(nodes[0].address)
    # It has a connection in use, and so it goes when that is done with.
    gates[0].open()
    await until(lambda: len(nodes_of(router)) == 1)
    assert router.gateway.counters.queueing == 1
    gates[1].open(2)
    assert (await waiting.answer()).status == 200
    assert gates[1].order[1:] == [b"/waiting"]
    for client in clients:
        assert (await client.answer()).status == 200


async def test_if_the_last_node_leaves_those_who_wait_are_told(web: Web) -> None:
    gate = Gate()
    node = web.http_node(gate.answer)
    router = await web.announced()
    router.announce(node.address, proto="http", cores=1)
    first = await web.open(router, ask())
    await until(lambda: gate.order)
    waiting = await web.open(router, ask("/waiting"))
    await until(lambda: router.gateway.counters.queueing == 1)
    router.leave(node.address)
    gate.open()
    assert (await first.answer()).status == 200
    assert (await waiting.answer()).status == 503


# --- places after failures ---


async def garbage(peer: HttpPeer, _request: Head) -> bool:
    await peer.send(b"garbage\r\n")
    return False


async def nothing(_peer: HttpPeer, _request: Head) -> bool:
    return False


async def half(peer: HttpPeer, _request: Head) -> bool:
    await peer.send(OK[:-1])
    return False


async def silence(peer: HttpPeer, _request: Head) -> bool:
    await peer.some()
    return False


async def too_much(peer: HttpPeer, _request: Head) -> bool:
    await peer.send(OK + OK)
    return True


async def early(peer: HttpPeer, _request: Head) -> bool:
    await peer.send(OK)
    return True


FAILURES: dict[str, tuple[Answerer, bytes]] = {
    "garbage": (garbage, ask()),
    "no-answer": (nothing, ask()),
    "no-answer-post": (nothing, post(b"x")),
    "cut-short": (half, ask()),
    "timeout": (silence, ask()),
    "too-much": (too_much, ask()),
    "unfit": (early, ask("/", "Transfer-Encoding: chunked", method="POST") + b"x\r\n"),
}


@pytest.mark.parametrize("reused", [False, True])
@pytest.mark.parametrize("case", FAILURES.values(), ids=FAILURES)
async def test_every_failure_gives_its_place_back(
    web: Web, case: tuple[Answerer, bytes], reused: bool
) -> None:
    answer, data = case
    node = web.http_node()
    router = await web.to(node, backend_connections=1, timeout=0.1)
    if reused:
        await web.get(router)
    node.answer = answer
    client = await web.open(router, data)
    await client.ending() if answer is not too_much else await client.answer()
    client.close()
    assert await counts(router, only_node(router)) == (0, 0)
    node.answer = always()
    # There is only one place: it must be free.
    assert (await web.get(router)).status == 200
    assert await counts(router, only_node(router)) == (0, 1)


@pytest.mark.parametrize("when", ["connecting", "waiting", "answering", "uploading"])
async def test_every_client_that_leaves_gives_its_place_back(web: Web, when: str) -> None:
    node = web.node(held_by_the_test)
    hole = web.black_hole()
    address = hole.address if when == "connecting" else node.address
    router = await web.http(to=(address,), backend_http=True, keepalive=0, backend_connections=1)
    data = post(b"x" * 9)[:-3] if when == "uploading" else ask()
    client = await web.open(router, data)
    static = only_node(router)
    if when == "connecting":
        await until(lambda: static.connecting)
    else:
        upstream = HttpPeer(await node.next())
        await upstream.head()
        if when == "answering":
            await upstream.send(OK[:-1])
            await client.head()
    assert upstreams_of(router).counts(static) == (1, 0)
    client.reset()
    assert await counts(router, static) == (0, 0)
    await router.at_rest()
    assert router.gateway.counters.client_aborts == 1


@pytest.mark.parametrize("kind", ["refused_tcp", "missing_unix", "refused_unix"])
async def test_a_node_that_is_down_takes_no_place(web: Web, kind: str) -> None:
    router = await web.http(
        to=(getattr(web, kind)(),), backend_http=True, backend_connections=1, gracetime=0
    )
    for _ in range(3):
        assert (await web.get(router)).status == 502
    assert await counts(router, only_node(router)) == (0, 0)


async def test_a_stop_while_requests_wait_leaves_nothing(web: Web) -> None:
    gate = Gate()
    node = web.http_node(gate.answer)
    router = await web.to(node, backend_connections=1)
    clients = [await web.open(router, ask()) for _ in range(3)]
    await until(lambda: router.gateway.counters.queueing == 2)
    static = only_node(router)
    await router.stop(0)
    for client in clients:
        assert (await client.ending())[0] == b""
    assert upstreams_of(router).counts(static) == (0, 0)
    assert static.reference == router.gateway.counters.queueing == 0
    assert router.gateway.counters.failed == {"stopped": 3}


async def test_many_clients_of_two_small_nodes_all_get_on(web: Web) -> None:
    gates = [Gate(), Gate()]
    nodes: list[HttpNode] = [web.http_node(gate.answer) for gate in gates]
    router = await web.to(*nodes, backend_connections=2)
    for gate in gates:
        gate.open(1000)

    async def busy(number: int) -> list[int]:
        client = await web.open(router)
        return [(await served(router, client, ask(f"/{number}"))).status for _ in range(20)]

    statuses = await asyncio.gather(*(busy(number) for number in range(12)))
    assert statuses == [[200] * 20] * 12
    assert max(gate.most for gate in gates) <= 2
    assert all(node.connections == 2 for node in nodes)
    gateway: Gateway = router.gateway
    assert gateway.counters.completed == 240


async def test_nodes_of_both_kinds_serve_one_key(web: Web) -> None:
    """Each is asked in its own language."""

    async def uwsgi(peer: Peer) -> None:
        await peer.packet()
        await peer.send(says(b"uwsgi"))

    http_node = web.http_node(always(says(b"http")))
    router = await web.announced()
    router.announce(web.node(uwsgi).address)
    router.announce(http_node.address, proto="http")
    client = await web.open(router)
    bodies = [(await served(router, client, ask())).body for _ in range(6)]
    assert sorted(bodies) == [b"http"] * 3 + [b"uwsgi"] * 3
    assert raw(http_node.requests) == [b"GET / HTTP/1.1"] * 3
