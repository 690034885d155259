"""Retries: requests that are sent a second time after a node's connection ended."""

import asyncio

import pytest

from tests.lab.inside import phases, route
from tests.lab.lab import Lab
from tests.lab.messages import OK, request
from tests.lab.scripts import (
    Script,
    Then,
    closes_without_a_byte,
    never_answers,
    plays,
    resets_without_a_byte,
)
from tests.lab.waiting import until

ENDS: dict[str, Script] = {"closes": closes_without_a_byte, "resets": resets_without_a_byte}


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
async def test_a_safe_request_is_sent_again_to_another_node(
    lab: Lab, ends: Script, method: str
) -> None:
    bad, good = lab.node(ends), lab.node()
    router = await lab.subscribed()
    marked = router.announce(bad.address)
    router.announce(good.address)
    assert await lab.ask(router, request(method)) == OK
    assert (bad.connections, good.connections) == (1, 1)
    # Nothing is known against it: it may have been stopping.
    assert (marked.failcnt, marked.death_mark) == (0, False)
    assert (await router.at_rest()).resent == 1
    assert router.counters.completed == 1


async def test_a_retried_connect_and_a_request_that_is_sent_again_count_once_each(lab: Lab) -> None:
    bad, good = lab.node(closes_without_a_byte), lab.node()
    router = await lab.router(to=(lab.refused_tcp(), bad.address, good.address))
    assert await lab.ask(router) == OK
    counters = await router.at_rest()
    assert (counters.retries, counters.resent) == (1, 1)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "get", ""])
async def test_no_other_request_is_ever_sent_again(lab: Lab, method: str) -> None:
    bad, good = lab.node(closes_without_a_byte), lab.node()
    router = await lab.router(to=(bad.address, good.address))
    assert await lab.ask(router, request(method)) == b""
    assert (bad.connections, good.connections) == (1, 0)
    assert bad.address in await lab.log.line("502 no-answer")
    await router.at_rest()


async def test_a_get_with_a_body_is_not_sent_again(lab: Lab) -> None:
    bad, good = lab.node(closes_without_a_byte), lab.node()
    router = await lab.router(to=(bad.address, good.address))
    assert await lab.ask(router, request(length=3) + b"abc") == b""
    assert good.connections == 0


async def test_a_get_with_bytes_behind_it_is_not_sent_again(lab: Lab) -> None:
    """Whatever they are, the node may have acted on them."""

    bad, good = lab.node(plays(4)), lab.node()
    router = await lab.router(to=(bad.address, good.address))
    assert await lab.ask(router, request() + b"more") == b""
    assert good.connections == 0


async def test_not_after_a_byte_of_an_answer(lab: Lab) -> None:
    bad, good = lab.node(plays(b"H")), lab.node()
    router = await lab.router(to=(bad.address, good.address))
    assert await lab.ask(router) == b"H"
    assert good.connections == 0


async def test_not_after_a_timeout(lab: Lab) -> None:
    """The node may still be working on it."""
    bad, good = lab.node(never_answers), lab.node()
    router = await lab.router(to=(bad.address, good.address), timeout=0.2)
    assert await lab.ask(router) == b""
    assert good.connections == 0
    await lab.log.line("504 no-answer-in-time")


async def test_at_most_once(lab: Lab) -> None:
    nodes = [lab.node(closes_without_a_byte) for _ in range(3)]
    router = await lab.router(to=tuple(node.address for node in nodes), errors="http")
    assert (await lab.ask(router)).startswith(b"HTTP/1.1 502 ")
    assert sum(node.connections for node in nodes) == 2
    await lab.log.line("502 no-answer")
    assert (await router.at_rest()).resent == 1


async def test_not_to_the_same_node(lab: Lab) -> None:
    node = lab.node(closes_without_a_byte)
    router = await lab.subscribed(errors="http")
    announced = router.announce(node.address)
    assert (await lab.ask(router)).startswith(b"HTTP/1.1 502 ")
    assert node.connections == 1
    assert "ended the connection without an answer" in await lab.log.line("failed: 502")
    assert announced.failcnt == 0
    await router.at_rest()


async def test_a_half_close_is_passed_on_to_the_second_node_too(lab: Lab) -> None:
    router = await lab.router(
        to=(lab.node(closes_without_a_byte).address, lab.node(plays(Then.END, OK)).address)
    )
    client = await lab.open(router, request())
    client.eof()
    assert await client.rest() == OK


async def test_the_time_that_the_first_node_took_is_not_taken_from_the_second(lab: Lab) -> None:
    """The second one's connect has the whole connect timeout."""
    leave = asyncio.Event()

    hole = lab.black_hole()
    router = await lab.subscribed(timeout=1.5)
    router.announce(lab.node(plays(leave)).address)
    asked = asyncio.get_running_loop().create_task(lab.ask(router))
    await until(lambda: phases(router) == ["answer"])
    second = router.announce(hole.address)
    # As if the first node had taken nearly all of it.
    assert route(router).connects_until
    route(router).connects_until -= 1.4
    leave.set()
    await until(lambda: second.connecting)
    lab.node(on=hole.listen())
    assert await asked == OK
    assert second.failcnt == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("size", "hint"), [(4000, False), (5000, True)])
async def test_an_end_on_a_large_packet_names_the_nodes_buffer_size(
    lab: Lab, method: str, size: int, hint: bool
) -> None:
    """uWSGI's workers refuse packets over 4096 bytes in exactly this way."""
    router = await lab.router(lab.node(closes_without_a_byte))
    await lab.ask(router, request(method, HTTP_COOKIE="x" * size))
    assert ("buffer-size" in await lab.log.line("failed: 502")) is hint
