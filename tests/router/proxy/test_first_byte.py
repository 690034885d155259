"""A node that accepts and never answers: a safe request is tried once more, at another node."""

import asyncio

import pytest

from tests.lab.inside import phases
from tests.lab.lab import Lab
from tests.lab.messages import OK, ask, request
from tests.lab.nodes import Node
from tests.lab.scripts import never_answers, plays
from tests.lab.waiting import until

SAFE = ["GET", "HEAD", "OPTIONS", "TRACE"]
LATE = 0.1


async def never(peer: object, _request: object) -> bool:
    """Read the request, and say nothing."""
    await asyncio.Event().wait()
    return False


def silent_node(lab: Lab, http: bool) -> Node:
    return lab.http_node(never) if http else lab.node(never_answers)


@pytest.mark.parametrize("method", SAFE)
async def test_a_safe_request_goes_to_another_node_and_the_silent_one_is_ejected(
    lab: Lab, method: str
) -> None:
    silent, good = lab.node(never_answers), lab.node()
    router = await lab.subscribed(subscription={"max_fails": 1}, first_byte_timeout=LATE)
    marked = router.announce(silent.address)
    router.announce(good.address)
    assert await lab.ask(router, request(method)) == OK
    assert (silent.connections, good.connections) == (1, 1)
    assert await lab.log.line(f"{silent.address} is ejected")
    assert [await lab.ask(router) for _ in range(4)] == [OK] * 4
    assert silent.connections == 1
    assert (await router.at_rest()).resent == 1
    assert (router.counters.completed, marked.death_mark) == (5, False)


@pytest.mark.parametrize("http", [True, False])
async def test_behind_the_http_router_too(lab: Lab, http: bool) -> None:
    silent, good = silent_node(lab, http), lab.node_of(http)
    router = await lab.http(
        silent, good, backend_http=http, first_byte_timeout=LATE, gracetime=30.0
    )
    assert (await lab.get(router)).status == 200
    assert silent.connections == 1
    assert (await router.at_rest()).resent == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_no_other_request_is_asked_for_twice(lab: Lab, method: str) -> None:
    silent, good = lab.node(never_answers), lab.node()
    router = await lab.router(silent, good, first_byte_timeout=LATE, timeout=0.3)
    assert await lab.ask(router, request(method)) == b""
    assert good.connections == 0
    assert "504 no-answer-in-time" in await lab.log.line("failed")


async def test_nor_one_with_a_body(lab: Lab) -> None:
    silent, good = lab.node(never_answers), lab.node()
    router = await lab.router(silent, good, first_byte_timeout=LATE, timeout=0.3)
    assert await lab.ask(router, request(length=3) + b"abc") == b""
    assert good.connections == 0


@pytest.mark.parametrize("http", [True, False])
async def test_without_another_node_the_slow_one_is_waited_for(lab: Lab, http: bool) -> None:
    slow = asyncio.Event()
    node = lab.node(plays(slow, OK, http=http))
    if http:
        router = await lab.http(node, backend_http=True, first_byte_timeout=LATE, timeout=20.0)
        client = await lab.open(router, ask())
    else:
        router = await lab.router(node, first_byte_timeout=LATE, timeout=20.0)
        client = await lab.open(router, request())
    await until(lambda: phases(router) == ["answer"])
    # Not a wait for something: time in which nothing may happen.
    await asyncio.sleep(LATE * 3)
    assert phases(router) == ["answer"]
    slow.set()
    assert b"200" in await client.rest()
    assert (await router.at_rest()).resent == 0
    assert node.connections == 1


async def test_it_is_waited_for_as_long_as_the_timeout_says_and_no_longer(lab: Lab) -> None:
    node = lab.node(never_answers)
    router = await lab.router(node, first_byte_timeout=0.1, timeout=0.4)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await lab.ask(router) == b""
    assert 0.35 < loop.time() - began < 2.0
    await lab.log.line("504 no-answer-in-time")


async def test_at_most_once(lab: Lab) -> None:
    nodes = [lab.node(never_answers) for _ in range(3)]
    router = await lab.router(*nodes, first_byte_timeout=LATE, timeout=0.4, errors="http")
    assert (await lab.ask(router)).startswith(b"HTTP/1.1 504 ")
    assert sum(node.connections for node in nodes) == 2
    assert (await router.at_rest()).resent == 1


async def test_not_beyond_the_limit_of_retries(lab: Lab) -> None:
    nodes = [lab.node(never_answers) for _ in range(2)]
    router = await lab.router(*nodes, first_byte_timeout=LATE, timeout=0.4, max_retries=0)
    assert await lab.ask(router) == b""
    assert sum(node.connections for node in nodes) == 1


@pytest.mark.parametrize("http", [True, False])
@pytest.mark.parametrize("first", [b"H", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
async def test_a_node_that_has_begun_has_all_the_time(lab: Lab, first: bytes, http: bool) -> None:
    slow = asyncio.Event()
    rest = OK[1:] if first == b"H" else OK
    begun, other = lab.node(plays(first, slow, rest, http=http)), lab.node()
    if http:
        router = await lab.http(
            begun, other, backend_http=True, first_byte_timeout=LATE, timeout=20.0
        )
        client = await lab.open(router, ask())
    else:
        router = await lab.router(begun, other, first_byte_timeout=LATE, timeout=20.0)
        client = await lab.open(router, request())
    await until(lambda: phases(router) == ["answer"])
    # Not a wait for something: time in which nothing may happen.
    await asyncio.sleep(LATE * 3)
    slow.set()
    assert OK.partition(b"\r\n\r\n")[2] in await client.rest()
    assert other.connections == 0


async def test_a_long_answer_has_all_the_time_between_its_bytes(lab: Lab) -> None:
    slow = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
    node, other = lab.node(plays(head + b"abc", slow, b"def", http=True)), lab.node()
    router = await lab.http(node, other, backend_http=True, first_byte_timeout=LATE, timeout=20.0)
    client = await lab.open(router, ask())
    await until(lambda: phases(router) == ["answer"])
    # Not a wait for something: time in which nothing may happen.
    await asyncio.sleep(LATE * 3)
    slow.set()
    assert (await client.rest()).endswith(b"abcdef")


async def test_it_is_off_by_default(lab: Lab) -> None:
    silent, good = lab.node(never_answers), lab.node()
    router = await lab.router(silent, good, timeout=0.3)
    assert await lab.ask(router) == b""
    assert good.connections == 0


async def test_a_client_that_leaves_meanwhile_is_noticed(lab: Lab) -> None:
    silent, other = lab.node(never_answers), lab.node(never_answers)
    router = await lab.router(silent, other, first_byte_timeout=LATE, timeout=20.0)
    client = await lab.open(router, request())
    await until(lambda: other.connections == 1)
    client.reset()
    assert (await router.at_rest()).client_aborts == 1
