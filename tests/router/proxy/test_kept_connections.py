"""Connection pool: HTTP nodes' connections kept, counted, waited for, and retries when one has ended."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import counts, nodes_of, only_node, phases, routes, upstreams_of
from tests.lab.lab import Lab
from tests.lab.messages import OK, Message, ask, chunks, post, says
from tests.lab.nodes import Node
from tests.lab.router import Router
from tests.lab.scripts import Answerer, always, plays
from tests.lab.waiting import a_few_turns, until
from uwsgi_router.router.app.gateway import Gateway

SAFE = ["GET", "HEAD", "OPTIONS", "TRACE"]


async def served(router: Router, client: Peer, data: bytes, method: str = "GET") -> Message:
    await client.send(data)
    return await client.answer(method)


# --- reuse ---


async def test_one_connection_serves_one_client_after_the_other(lab: Lab) -> None:
    router = await lab.to(node := lab.http_node())
    for number in range(5):
        assert (await lab.get(router, post(b"x") if number % 2 else ask())).status == 200
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
    lab: Lab, data: bytes, answer: bytes
) -> None:
    head = data.startswith(b"HEAD")
    if head:
        end = answer.rindex(b"\r\n\r\n", 0, -2 if answer.endswith(b"0\r\n\r\n") else None) + 4
        if b"chunked" in answer:
            end = answer.index(b"\r\n\r\n") + 4
        answer = answer[:end]
    router = await lab.to(node := lab.http_node(always(answer)))
    for _ in range(3):
        client = await lab.open(router, data)
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
async def test_what_the_node_will_close_is_not_kept(lab: Lab, answer: bytes, close: bool) -> None:
    router = await lab.to(node := lab.http_node(always(answer, close=close)))
    for _ in range(2):
        assert (await lab.get(router)).status == 200
        assert await counts(router, only_node(router)) == (0, 0)
    assert node.connections == 2


async def test_an_http_10_node_may_keep_its_connection(lab: Lab) -> None:
    node = lab.http_node(always(says(b"ok", "Connection: keep-alive", version="1.0")))
    router = await lab.to(node)
    for _ in range(2):
        assert (await lab.get(router)).status == 200
    assert node.connections == 1


async def test_requests_at_once_have_a_connection_each(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), backend_http=True, keepalive=0)
    clients = [await lab.open(router, ask()) for _ in range(3)]
    peers = [await node.next() for _ in clients]
    for peer in peers:
        await peer.request()
        await peer.send(OK)
    for client in clients:
        assert (await client.answer()).status == 200
    assert await counts(router, only_node(router)) == (0, 3)


async def test_an_idle_connection_is_closed_after_its_time(lab: Lab) -> None:
    node = lab.held()
    router = await lab.http(node, backend_http=True, keepalive=0, backend_keepalive=0.05)
    client = await lab.open(router, ask())
    peer = await node.next()
    await peer.request()
    await peer.send(OK)
    assert (await client.answer()).status == 200
    assert await peer.ending() == (b"", "closed")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_answer_that_nobody_asked_for_reaches_nobody(lab: Lab, method: str) -> None:
    node = lab.held()
    router = await lab.http(node, backend_http=True, keepalive=0)
    client = await lab.open(router, ask())
    peer = await node.next()
    await peer.request()
    await peer.send(OK)
    assert (await client.answer()).body == b"ok"
    assert await counts(router, only_node(router)) == (0, 1)
    await peer.send(says(b"of whom?", status="408 Request Timeout"))
    assert await peer.ending() == (b"", "reset")
    await client.send(ask(method=method))
    other = await node.next()
    await other.request()
    await other.send(OK)
    assert (await client.answer()).body == b"ok"


async def test_none_is_kept_if_so_configured(lab: Lab) -> None:
    node = lab.http_node(always(says(b"ok", "Keep-Alive: timeout=60")))
    router = await lab.to(node, backend_keepalive=0)
    for _ in range(2):
        assert (await lab.get(router)).status == 200
    assert node.connections == 2


@pytest.mark.parametrize(
    ("said", "seconds"), [("timeout=5", 4.5), ("timeout=5, max=100", 4.5), ("timeout=99999", 60.0)]
)
async def test_the_node_says_how_long_it_keeps_an_idle_connection(
    lab: Lab, said: str, seconds: float
) -> None:
    """We are done with it half a second earlier, and after a minute at the latest."""
    router = await lab.to(lab.http_node(always(says(b"ok", f"Keep-Alive: {said}"))))
    await lab.get(router)
    assert await counts(router, only_node(router)) == (0, 1)
    (kept,) = upstreams_of(router)._nodes[only_node(router)].idle
    assert kept.until - kept.since == seconds


async def test_all_are_closed_when_the_node_leaves(lab: Lab) -> None:
    node = lab.http_node()
    router = await lab.announced()
    announced = router.announce(node.address, proto="http")
    await lab.get(router)
    assert await counts(router, announced) == (0, 1)
    router.leave(node.address)
    assert await counts(router, announced) == (0, 0)


async def test_a_node_that_leaves_during_a_request_keeps_no_connection_after_it(lab: Lab) -> None:
    node = lab.held()
    router = await lab.announced()
    announced = router.announce(node.address, proto="http")
    client = await lab.open(router, ask())
    peer = await node.next()
    await peer.request()
    router.leave(node.address)
    await peer.send(OK)
    assert (await client.answer()).status == 200
    assert await peer.ending() == (b"", "closed")
    assert await counts(router, announced) == (0, 0)


async def test_a_node_that_failed_keeps_none(lab: Lab) -> None:
    """It was started anew: the old process's connections are of no use."""
    node = lab.http_node()
    router = await lab.announced()
    announced = router.announce(node.address, proto="http")
    await lab.get(router)
    now = asyncio.get_running_loop().time()
    announced.connect_started()
    router.gateway.forwarder.connect_failed(announced, now, timed_out=False)
    assert await counts(router, announced) == (0, 0)


# --- nodes that close idle connections ---


async def closes_after_each_answer(peer: Peer, _request: Message) -> bool:
    """Without saying so."""
    await peer.send(OK)
    return False


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_node_that_closes_idle_connections_loses_nothing(lab: Lab, method: str) -> None:
    router = await lab.to(node := lab.http_node(closes_after_each_answer))
    client = await lab.open(router)
    data = post(b"body") if method == "POST" else ask(method=method)
    for _ in range(30):
        assert (await served(router, client, data)).status == 200
    assert len(node.requests) == 30


async def test_a_node_that_was_killed_between_requests_and_came_back_loses_nothing(
    lab: Lab,
) -> None:
    router = await lab.to(node := lab.http_node())
    client = await lab.open(router)
    for number in range(3):
        assert (await served(router, client, post(b"x") if number == 1 else ask())).status == 200
        listener = node.listener.dup()
        await node.close()
        node = lab.http_node(on=listener)


# --- sending again ---

Die = Callable[[Peer], Awaitable[None]]


async def close(_peer: Peer) -> None:
    pass


async def reset(peer: Peer) -> None:
    peer.reset()


ENDS = {"closes": close, "resets": reset}


def dies_at(*numbers: int, die: Die = close) -> Answerer:
    """Ends the connection instead of answering its n-th request, over all connections, from 0."""
    count = -1

    async def answer(peer: Peer, _request: Message) -> bool:
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
    lab: Lab, method: str, die: Die
) -> None:
    router = await lab.to(node := lab.http_node(dies_at(1, die=die)))
    await lab.get(router)
    client = await lab.open(router, ask("/again", method=method))
    assert (await client.head()).status == 200
    assert [request.target for request in node.requests] == [b"/", b"/again", b"/again"]
    assert node.connections == 2
    assert router.counters.resent == 1
    assert only_node(router).failcnt == 0


@pytest.mark.parametrize("die", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("method", ["POST", "PATCH", "get", "PROPFIND"])
async def test_other_methods_are_not(lab: Lab, method: str, die: Die) -> None:
    router = await lab.to(node := lab.http_node(dies_at(1, die=die)))
    await lab.get(router)
    answer = await lab.get(router, ask("/again", method=method))
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (502, b"no-answer")
    assert len(node.requests) == 2


@pytest.mark.parametrize("die", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("method", SAFE)
async def test_after_a_new_connection_a_safe_request_is_sent_again_to_another_node(
    lab: Lab, method: str, die: Die
) -> None:
    bad, good = lab.http_node(dies_at(0, die=die)), lab.http_node()
    router = await lab.to(bad, good)
    client = await lab.open(router, ask(method=method))
    assert (await client.head()).status == 200
    assert (len(bad.requests), len(good.requests)) == (1, 1)
    assert [node.failcnt for node in nodes_of(router)] == [0, 0]


@pytest.mark.parametrize("method", SAFE)
async def test_not_to_the_same_node(lab: Lab, method: str) -> None:
    router = await lab.to(node := lab.http_node(dies_at(0)))
    client = await lab.open(router, ask(method=method))
    assert (await client.head()).status == 502
    assert len(node.requests) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
async def test_after_a_new_connection_no_other_request_is_sent_again(lab: Lab, method: str) -> None:
    bad, good = lab.http_node(dies_at(0)), lab.http_node()
    router = await lab.to(bad, good)
    assert (await lab.get(router, ask(method=method))).status == 502
    assert good.requests == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("buffered", [0, 1000])
async def test_no_request_with_a_body_is_sent_again(
    lab: Lab, method: str, chunked: bool, buffered: int
) -> None:
    """Not even one that was collected: the node may have acted on it."""
    node, other = lab.http_node(dies_at(1)), lab.http_node()
    router = await lab.to(node, post_buffering=buffered)
    await lab.get(router)
    data = post(b"body", method=method)
    if chunked:
        data = ask("/", "Transfer-Encoding: chunked", method=method) + chunks(b"body")
    assert (await lab.get(router, data)).status == 502
    assert (len(node.requests), other.requests) == (2, [])


@pytest.mark.parametrize("reused", [False, True])
async def test_not_after_a_byte_of_an_answer(lab: Lab, reused: bool) -> None:
    async def says_a_byte(peer: Peer) -> None:
        await peer.send(b"H")

    bad = lab.http_node(dies_at(int(reused), die=says_a_byte))
    good = lab.http_node()
    router = await (lab.to(bad) if reused else lab.to(bad, good))
    if reused:
        await lab.get(router)
    answer = await lab.get(router)
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (502, b"cut-short")
    assert len(bad.requests) == 1 + reused
    assert good.requests == []


@pytest.mark.parametrize("reused", [False, True])
async def test_not_after_a_timeout(lab: Lab, reused: bool) -> None:
    async def waits(peer: Peer) -> None:
        await peer.some()

    bad = lab.http_node(dies_at(int(reused), die=waits))
    good = lab.http_node()
    router = await (lab.to(bad, timeout=0.1) if reused else lab.to(bad, good, timeout=0.1))
    if reused:
        await lab.get(router)
    assert (await lab.get(router)).status == 504
    assert len(bad.requests) == 1 + reused
    assert good.requests == []


async def test_at_most_once(lab: Lab) -> None:
    node, other = lab.http_node(dies_at(1, 2)), lab.http_node(dies_at(1, 2))
    router = await lab.to(node, other)
    for _ in range(2):
        await lab.get(router)
    assert (await lab.get(router)).status == 502
    assert len(node.requests) + len(other.requests) == 4
    assert router.counters.resent == 1


async def test_the_second_time_never_over_another_kept_connection(lab: Lab) -> None:
    """All that were kept may be dead for the same reason."""
    doomed = False

    async def answer(peer: Peer, request: Message) -> bool:
        arrived.append(peer)
        if request.target == b"/both":
            await both.wait()
        elif doomed and peer in arrived[:2]:
            return False
        await peer.send(OK)
        return True

    arrived: list[Peer] = []
    both = asyncio.Event()
    router = await lab.to(node := lab.http_node(answer))
    clients = [await lab.open(router, ask("/both")) for _ in range(2)]
    await until(lambda: len(arrived) == 2)
    both.set()
    for client in clients:
        await client.answer()
    assert await counts(router, only_node(router)) == (0, 2)
    doomed = True
    assert (await lab.get(router)).status == 200
    assert node.connections == 3


async def test_not_even_after_waiting_in_line_for_it(lab: Lab) -> None:
    """The place of the dead connection goes to who waits; then the retry must not take that one's connection."""
    node = lab.held()
    router = await lab.http(node, backend_http=True, keepalive=0, backend_connections=1)
    first = await lab.open(router, ask("/first"))
    peer = await node.next()
    await peer.request()
    await peer.send(OK)
    await first.answer()
    # Over the kept connection now; somebody else waits.
    await first.send(ask("/again"))
    assert (await peer.request()).target == b"/again"
    second = await lab.open(router, ask("/second"))
    await until(lambda: router.counters.queueing == 1)
    peer.close()
    peer = await node.next()
    assert (await peer.request()).target == b"/second"
    await until(lambda: router.counters.queueing == 1)
    await peer.send(OK)
    await second.answer()
    fresh = await node.next()
    assert (await fresh.request()).target == b"/again"
    await fresh.send(OK)
    assert (await first.answer()).status == 200


# --- requests that may not be repeated ---


@pytest.fixture
def stale_at_once(lab: Lab) -> None:
    """As if every kept connection had been idle for long."""
    lab.timing = replace(lab.timing, trusted_idle=-1.0)


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
    lab: Lab, data: bytes, new: bool
) -> None:
    router = await lab.to(node := lab.http_node())
    await lab.get(router)
    assert (await lab.get(router, data)).status == 200
    assert node.connections == 1 + new


@pytest.mark.parametrize("data", [post(b"x"), ask(method="POST"), post(b"x", method="PUT")])
async def test_what_may_not_be_repeated_takes_one_that_was_used_lately(
    lab: Lab, data: bytes
) -> None:
    router = await lab.to(node := lab.http_node())
    await lab.get(router)
    assert (await lab.get(router, data)).status == 200
    assert node.connections == 1


# --- limits and the queue ---


class Gate:
    """A node that answers when the test says so, in order of arrival, and counts those at once."""

    def __init__(self) -> None:
        self.order: list[bytes] = []
        self.most = self._now = 0
        self._next = asyncio.Semaphore(0)

    async def answer(self, peer: Peer, request: Message) -> bool:
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
    lab: Lab, announced: bool
) -> None:
    gate = Gate()
    node = lab.http_node(gate.answer)
    if announced:
        router = await lab.announced()
        router.announce(node.address, proto="http", cores=2)
    else:
        router = await lab.to(node, backend_connections=2)
    clients = []
    for number in range(8):
        clients.append(await lab.open(router, ask(f"/{number}")))
        await until(lambda n=number: router.counters.requests == n + 1)  # type: ignore[misc]
        await a_few_turns()
    assert router.counters.queueing == 6
    gate.open(8)
    for client in clients:
        assert (await client.answer()).status == 200
    assert gate.order == [b"/%d" % number for number in range(8)]
    assert (gate.most, node.connections) == (2, 2)
    assert await counts(router, only_node(router)) == (0, 2)
    assert router.counters.queued == 6


async def test_idle_connections_count(lab: Lab) -> None:
    """A new connection, which a POST wants, takes the place of an idle one."""
    gate = Gate()
    router = await lab.to(lab.http_node(gate.answer), backend_connections=1)
    gate.open(1)
    await lab.get(router)
    assert await counts(router, only_node(router)) == (0, 1)
    gate.open(1)
    tunnel = ask("/", "Connection: close", method="POST")
    assert (await lab.get(router, tunnel)).status == 200
    assert await counts(router, only_node(router)) == (0, 1)


async def test_who_finds_the_queue_full_is_told_at_once(lab: Lab) -> None:
    gate = Gate()
    router = await lab.to(lab.http_node(gate.answer), backend_connections=1, backend_queue=1)
    first = await lab.open(router, ask())
    await until(lambda: gate.order)
    second = await lab.open(router, ask())
    await until(lambda: router.counters.queueing == 1)
    answer = await lab.get(router)
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (503, b"queue-full")
    assert answer.get("retry-after") == b"1"
    assert "http-backend-queue=1" in await lab.log.line("503 queue-full")
    gate.open(2)
    for client in (first, second):
        assert (await client.answer()).status == 200


async def test_who_waits_for_too_long_is_told_so(lab: Lab) -> None:
    gate = Gate()
    node = lab.http_node(gate.answer)
    router = await lab.to(node, backend_connections=1, backend_queue_timeout=0.05)
    first = await lab.open(router, ask())
    await until(lambda: gate.order)
    answer = await lab.get(router)
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (503, b"queue-expired")
    assert node.address in await lab.log.line("503 queue-expired")
    gate.open()
    assert (await first.answer()).status == 200


async def test_a_client_that_leaves_the_queue_leaves_no_trace(lab: Lab) -> None:
    gate = Gate()
    router = await lab.to(lab.http_node(gate.answer), backend_connections=1)
    first = await lab.open(router, ask("/first"))
    await until(lambda: gate.order)
    gone = await lab.open(router, ask("/gone"))
    await until(lambda: router.counters.queueing == 1)
    last = await lab.open(router, ask("/last"))
    await until(lambda: router.counters.queueing == 2)
    gone.reset()
    await until(lambda: router.counters.queueing == 1)
    gate.open(2)
    assert [(await client.answer()).status for client in (first, last)] == [200, 200]
    assert gate.order == [b"/first", b"/last"]
    assert router.counters.client_aborts == 1


async def test_a_place_given_to_a_client_that_has_just_left_goes_to_the_next(lab: Lab) -> None:
    gate = Gate()
    router = await lab.to(lab.http_node(gate.answer), backend_connections=1)
    first = await lab.open(router, ask("/first"))
    await until(lambda: gate.order)
    gone = await lab.open(router, ask("/gone"))
    await until(lambda: router.counters.queueing == 1)
    last = await lab.open(router, ask("/last"))
    await until(lambda: router.counters.queueing == 2)
    # In the same turn of the loop: the place is free, and the client is gone.
    port = gone.sock.getsockname()[1]
    leaving = next(one for one in router.gateway.connections.all() if one.peer[1] == port)
    leaving.link_broken(leaving.link, ConnectionResetError())
    gate.open(2)
    assert [(await client.answer()).status for client in (first, last)] == [200, 200]
    assert gate.order == [b"/first", b"/last"]
    gone.close()


async def test_a_sibling_is_taken_before_anybody_waits(lab: Lab) -> None:
    gates = [Gate(), Gate()]
    nodes = [lab.http_node(gate.answer) for gate in gates]
    router = await lab.to(*nodes, backend_connections=1)
    clients = []
    for number in range(3):
        clients.append(await lab.open(router, ask(f"/{number}")))
        await until(lambda n=number: router.counters.requests == n + 1)  # type: ignore[misc]
        await a_few_turns()
    await until(lambda: [len(node.requests) for node in nodes] == [1, 1])
    assert router.counters.queueing == 1
    # The one that waits takes whichever is free first.
    gates[1].open(2)
    assert (await clients[1].answer()).status == 200
    assert (await clients[2].answer()).status == 200
    assert gates[1].order == [b"/1", b"/2"]
    gates[0].open()
    assert (await clients[0].answer()).status == 200


async def test_a_node_that_comes_serves_those_who_wait_in_their_order(lab: Lab) -> None:
    gates = [Gate(), Gate()]
    nodes = [lab.http_node(gate.answer) for gate in gates]
    router = await lab.announced()
    router.announce(nodes[0].address, proto="http", cores=1)
    clients = []
    for number in range(4):
        clients.append(await lab.open(router, ask(f"/{number}")))
        await until(lambda n=number: router.counters.requests == n + 1)  # type: ignore[misc]
        await a_few_turns()
    assert router.counters.queueing == 3
    router.announce(nodes[1].address, proto="http", cores=2)
    await until(lambda: len(gates[1].order) == 2)
    assert sorted(gates[1].order) == [b"/1", b"/2"]
    assert router.counters.queueing == 1
    gates[0].open(2)
    gates[1].open(2)
    for client in clients:
        assert (await client.answer()).status == 200
    assert gates[0].order + gates[1].order[2:] == [b"/0", b"/3"]
    assert router.counters.queued == 3


async def test_the_queue_is_shared_fairly_between_keys(lab: Lab) -> None:
    gate = Gate()
    nodes = [lab.http_node(gate.answer) for _ in range(2)]
    router = await lab.announced(backend_queue=3)
    for node, key in zip(nodes, (b"busy", b"calm"), strict=True):
        router.announce(node.address, key=key, proto="http", cores=1)

    async def request(key: str, number: int) -> Peer:
        before = router.counters.requests
        client = await lab.open(router, ask(f"/{key}{number}", host=key))
        await until(lambda: router.counters.requests > before)
        await a_few_turns()
        return client

    busy = [await request("busy", number) for number in range(4)]
    assert router.counters.queueing == 3
    calm = [await request("calm", number) for number in range(2)]
    # Its request has the place of the last one of those that are many.
    answer = await busy[3].answer()
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (503, b"queue-full")
    assert router.counters.queueing == 3
    late = await request("busy", 4)
    assert (await late.answer()).get("x-uwsgi-router-reason") == b"queue-full"
    gate.open(5)
    for client in [*busy[:3], *calm]:
        assert (await client.answer()).status == 200
    assert router.counters.failed == {"queue-full": 2}


async def test_a_fallback_does_not_stand_in_for_a_busy_node(lab: Lab) -> None:
    gate = Gate()
    node, fallback = lab.http_node(gate.answer), lab.http_node()
    router = await lab.to(node, fallback=(fallback.address,), backend_connections=1)
    clients = [await lab.open(router, ask()) for _ in range(2)]
    await until(lambda: router.counters.queueing == 1)
    gate.open(2)
    for client in clients:
        assert (await client.answer()).status == 200
    assert fallback.requests == []


async def test_a_node_that_became_free_while_another_was_tried_is_taken(lab: Lab) -> None:
    """Nobody else would ever tell."""
    gate = Gate()
    node, hole = lab.http_node(gate.answer), lab.black_hole()
    router = await lab.http(
        to=(node.address, hole.address),
        backend_http=True,
        keepalive=0,
        backend_connections=1,
        connect_timeout=0.3,
        backend_queue_timeout=5,
    )
    first = await lab.open(router, ask("/first"))
    await until(lambda: gate.order)
    # The hole's turn comes next; so a third one makes it the node's.
    second = await lab.open(router, ask("/second"))
    await until(lambda: "connect" in phases(router))
    gate.open(2)
    assert (await first.answer()).status == 200
    assert (await second.answer()).status == 200
    assert gate.order == [b"/first", b"/second"]


async def test_also_if_it_was_found_full_before(lab: Lab) -> None:
    gate = Gate()
    node, hole = lab.http_node(gate.answer), lab.black_hole()
    router = await lab.announced(
        backend_connections=1, connect_timeout=0.3, backend_queue_timeout=5
    )
    router.announce(node.address, proto="http", weight=50)
    first = await lab.open(router, ask("/first"))
    await until(lambda: gate.order)
    router.announce(hole.address, proto="http")
    second = await lab.open(router, ask("/second"))
    await until(
        lambda: (
            any(one._attempts is not None and one._attempts.full for one in routes(router))
            and "connect" in phases(router)
        )
    )
    gate.open(2)
    assert (await first.answer()).status == 200
    assert (await second.answer()).status == 200


async def test_a_node_that_leaves_sends_those_who_wait_to_its_siblings(lab: Lab) -> None:
    gates = [Gate(), Gate()]
    nodes = [lab.http_node(gate.answer) for gate in gates]
    router = await lab.announced()
    for node in nodes:
        router.announce(node.address, proto="http", cores=1)
    clients = [await lab.open(router, ask()) for _ in range(2)]
    await until(lambda: [len(node.requests) for node in nodes] == [1, 1])
    waiting = await lab.open(router, ask("/waiting"))
    await until(lambda: router.counters.queueing == 1)
    router.leave(nodes[0].address)
    # It has a connection in use, and so it goes when that is done with.
    gates[0].open()
    await until(lambda: len(nodes_of(router)) == 1)
    assert router.counters.queueing == 1
    gates[1].open(2)
    assert (await waiting.answer()).status == 200
    assert gates[1].order[1:] == [b"/waiting"]
    for client in clients:
        assert (await client.answer()).status == 200


async def test_if_the_last_node_leaves_those_who_wait_are_told(lab: Lab) -> None:
    gate = Gate()
    node = lab.http_node(gate.answer)
    router = await lab.announced()
    router.announce(node.address, proto="http", cores=1)
    first = await lab.open(router, ask())
    await until(lambda: gate.order)
    waiting = await lab.open(router, ask("/waiting"))
    await until(lambda: router.counters.queueing == 1)
    router.leave(node.address)
    gate.open()
    assert (await first.answer()).status == 200
    assert (await waiting.answer()).status == 503


# --- places after failures ---


async def garbage(peer: Peer, _request: Message) -> bool:
    await peer.send(b"garbage\r\n")
    return False


async def nothing(_peer: Peer, _request: Message) -> bool:
    return False


async def half(peer: Peer, _request: Message) -> bool:
    await peer.send(OK[:-1])
    return False


async def silence(peer: Peer, _request: Message) -> bool:
    await peer.some()
    return False


async def too_much(peer: Peer, _request: Message) -> bool:
    await peer.send(OK + OK)
    return True


async def early(peer: Peer, _request: Message) -> bool:
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
    lab: Lab, case: tuple[Answerer, bytes], reused: bool
) -> None:
    answer, data = case
    router = await lab.to(node := lab.http_node(), backend_connections=1, timeout=0.1)
    if reused:
        await lab.get(router)
    node.answer = answer
    client = await lab.open(router, data)
    await client.ending() if answer is not too_much else await client.answer()
    client.close()
    assert await counts(router, only_node(router)) == (0, 0)
    node.answer = always()
    # There is only one place: it must be free.
    assert (await lab.get(router)).status == 200
    assert await counts(router, only_node(router)) == (0, 1)


@pytest.mark.parametrize("when", ["connecting", "waiting", "answering", "uploading"])
async def test_every_client_that_leaves_gives_its_place_back(lab: Lab, when: str) -> None:
    node = lab.held()
    hole = lab.black_hole()
    address = hole.address if when == "connecting" else node.address
    router = await lab.http(to=(address,), backend_http=True, keepalive=0, backend_connections=1)
    data = post(b"x" * 9)[:-3] if when == "uploading" else ask()
    client = await lab.open(router, data)
    static = only_node(router)
    if when == "connecting":
        await until(lambda: static.connecting)
    else:
        upstream, _ = await node.next_head()
        if when == "answering":
            await upstream.send(OK[:-1])
            await client.head()
    assert upstreams_of(router).counts(static) == (1, 0)
    client.reset()
    assert await counts(router, static) == (0, 0)
    assert (await router.at_rest()).client_aborts == 1


@pytest.mark.parametrize("kind", ["refused_tcp", "missing_unix", "refused_unix"])
async def test_a_node_that_is_down_takes_no_place(lab: Lab, kind: str) -> None:
    router = await lab.http(
        to=(getattr(lab, kind)(),), backend_http=True, backend_connections=1, gracetime=0
    )
    for _ in range(3):
        assert (await lab.get(router)).status == 502
    assert await counts(router, only_node(router)) == (0, 0)


async def test_a_stop_while_requests_wait_leaves_nothing(lab: Lab) -> None:
    gate = Gate()
    router = await lab.to(lab.http_node(gate.answer), backend_connections=1)
    clients = [await lab.open(router, ask()) for _ in range(3)]
    await until(lambda: router.counters.queueing == 2)
    static = only_node(router)
    await router.stop(0)
    for client in clients:
        assert (await client.ending())[0] == b""
    assert upstreams_of(router).counts(static) == (0, 0)
    assert static.reference == router.counters.queueing == 0
    assert router.counters.failed == {"stopped": 3}


async def test_many_clients_of_two_small_nodes_all_get_on(lab: Lab) -> None:
    gates = [Gate(), Gate()]
    nodes: list[Node] = [lab.http_node(gate.answer) for gate in gates]
    router = await lab.to(*nodes, backend_connections=2)
    for gate in gates:
        gate.open(1000)

    async def busy(number: int) -> list[int]:
        client = await lab.open(router)
        return [(await served(router, client, ask(f"/{number}"))).status for _ in range(20)]

    statuses = await asyncio.gather(*(busy(number) for number in range(12)))
    assert statuses == [[200] * 20] * 12
    assert max(gate.most for gate in gates) <= 2
    assert all(node.connections == 2 for node in nodes)
    gateway: Gateway = router.gateway
    assert gateway.counters.completed == 240


async def test_nodes_of_both_kinds_serve_one_key(lab: Lab) -> None:
    """Each is asked in its own language."""

    http_node = lab.http_node(always(says(b"http")))
    router = await lab.announced()
    router.announce(lab.node(plays(says(b"uwsgi"))).address)
    router.announce(http_node.address, proto="http")
    client = await lab.open(router)
    bodies = [(await served(router, client, ask())).body for _ in range(6)]
    assert sorted(bodies) == [b"http"] * 3 + [b"uwsgi"] * 3
    assert [seen.start for seen in http_node.requests] == [b"GET / HTTP/1.1"] * 3
