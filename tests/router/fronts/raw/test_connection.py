"""Raw connections: bytes of any protocol, to a configured node and back, by the same exchange as all others."""

import asyncio
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import phases
from tests.lab.lab import Lab
from tests.lab.router import Router
from tests.lab.waiting import until

MEGABYTE = 1024 * 1024


async def raw(lab: Lab, *nodes: str, **options: Any) -> Router:
    return await lab.router(kind="rawrouter", to=nodes, **options)


async def echoes(peer: Peer) -> None:
    while data := await peer.some():
        await peer.send(data)


@pytest.mark.parametrize("unix", [False, True])
async def test_bytes_pass_both_ways_and_an_answer_survives_the_clients_end(
    lab: Lab, unix: bool
) -> None:
    async def script(peer: Peer) -> None:
        asked = await peer.rest()
        await peer.send(b"you said " + asked)

    router = await raw(lab, lab.node(script, unix=unix).address)
    client = await lab.open(router, b"hello\0\xff")
    client.eof()
    assert await client.rest() == b"you said hello\0\xff"
    assert (await router.at_rest()).completed == 1


async def test_the_node_may_be_the_first_to_speak(lab: Lab) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"220 ready\r\n")
        assert await peer.exactly(4) == b"QUIT"

    router = await raw(lab, lab.node(script).address)
    client = await lab.client(router)
    assert await client.exactly(11) == b"220 ready\r\n"
    await client.send(b"QUIT")
    assert await client.rest() == b""
    client.close()
    await router.at_rest()


async def test_both_may_send_at_once(lab: Lab) -> None:
    router = await raw(lab, lab.node(echoes).address)
    client = await lab.client(router)
    body = bytes(range(256)) * (8 * MEGABYTE // 256)

    async def send() -> None:
        await client.send(body)
        client.eof()

    sending = asyncio.get_running_loop().create_task(send())
    assert await client.rest() == body
    await sending
    await router.at_rest()


async def test_what_is_said_before_there_is_a_node_reaches_it(lab: Lab) -> None:
    hole = lab.black_hole()
    router = await raw(lab, hole.address)
    client = await lab.open(router, b"early ")
    await until(lambda: phases(router) == ["connect"])
    await client.send(b"bird")
    lab.node(echoes, on=hole.listen())
    assert await client.exactly(10) == b"early bird"
    client.eof()
    assert await client.rest() == b""
    await router.at_rest()


async def test_the_next_node_is_tried_if_one_is_down(lab: Lab) -> None:
    router = await raw(lab, lab.refused_tcp(), lab.refused_unix(), lab.node(echoes).address)
    client = await lab.open(router, b"x")
    assert await client.exactly(1) == b"x"
    client.eof()
    assert (await router.at_rest()).retries == 2


async def test_without_a_node_the_connection_is_closed_and_the_log_says_why(lab: Lab) -> None:
    router = await raw(lab, lab.refused_tcp())
    client = await lab.open(router, b"")
    assert await client.rest() == b""
    assert "502 connect" in await lab.log.line("request ")
    assert (await router.at_rest()).failed == {"connect": 1}


async def test_a_node_may_say_nothing_at_all(lab: Lab) -> None:
    """It took what it was sent, and closed in good order: who knows what it speaks?"""

    async def script(peer: Peer) -> None:
        assert await peer.rest() == b"a line for syslog"

    router = await raw(lab, lab.node(script).address)
    client = await lab.open(router, b"a line for syslog")
    client.eof()
    assert await client.ending() == (b"", "closed")
    await router.at_rest()
    assert (router.counters.completed, router.counters.failed) == (1, {})
    assert not lab.log.lines


async def test_a_node_that_resets_without_a_word_has_failed(lab: Lab) -> None:
    async def script(peer: Peer) -> None:
        await peer.some()
        peer.reset()

    router = await raw(lab, lab.node(script).address)
    client = await lab.open(router, b"x")
    assert await client.rest() == b""
    await lab.log.line("no-answer")
    assert (await router.at_rest()).failed == {"no-answer": 1}


async def test_a_client_that_resets_ends_the_nodes_connection(lab: Lab) -> None:
    node = lab.held()
    router = await raw(lab, node.address)
    client = await lab.open(router, b"x")
    upstream = await node.next()
    assert await upstream.exactly(1) == b"x"
    client.reset()
    assert (await upstream.ending())[0] == b""
    assert (await router.at_rest()).client_aborts == 1


async def test_a_node_that_reads_nothing_stops_the_client(lab: Lab) -> None:
    router = await raw(lab, lab.held(unix=True).address, listen=(str(lab.path()),))
    client = await lab.client(router)
    assert await client.send_until_stuck(50 * MEGABYTE) < 20 * MEGABYTE
    client.close()


async def test_silence_ends_it_after_the_timeout(lab: Lab) -> None:
    router = await raw(lab, lab.held().address, timeout=0.1)
    client = await lab.open(router, b"x")
    assert await client.rest() == b""
    assert "option=rawrouter-timeout=0.1" in await lab.log.line("failed: ")
    await router.at_rest()


async def test_bytes_are_counted_at_once(lab: Lab) -> None:
    router = await raw(lab, lab.node(echoes).address)
    client = await lab.open(router, b"12345")
    assert await client.exactly(5) == b"12345"
    (node,) = router.gateway.static_nodes or ()
    counters = router.counters
    assert (node.rx, node.tx, counters.bytes_received, counters.bytes_sent) == (5, 5, 5, 5)
    assert node.reference == 1
    client.close()
