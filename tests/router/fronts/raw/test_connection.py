"""Raw connections: bytes of any protocol, to a configured node and back, by the same exchange as all others."""

import asyncio
import hashlib
import random
import socket
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import client_link, living, node_links, phases
from tests.lab.lab import Lab
from tests.lab.router import Router
from tests.lab.waiting import PATIENCE, until
from uwsgi_router.router.proxy.relay_pump import RelayPump

MEGABYTE = 1024 * 1024


async def raw(lab: Lab, *nodes: str, **options: Any) -> Router:
    return await lab.raw(to=nodes, **options)


async def echoes(peer: Peer) -> None:
    while data := await peer.some():
        await peer.send(data)


async def sends_until_reset(peer: Peer, data: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await peer.send(data)
            except (ConnectionResetError, BrokenPipeError):
                return
            await asyncio.sleep(0.001)


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
    assert await client.ending() == (b"", "reset")
    assert "1 went to it" in await lab.log.line("node-reset")
    assert (await router.at_rest()).failed == {"node-reset": 1}
    (node,) = router.gateway.static_nodes or ()
    assert not node.fails, "what a client says may be why"


async def test_a_node_that_resets_before_anybody_has_spoken_is_to_blame(lab: Lab) -> None:
    async def script(peer: Peer) -> None:
        peer.reset()

    router = await raw(lab, lab.node(script).address)
    client = await lab.client(router)
    assert await client.ending() == (b"", "reset")
    assert (await router.at_rest()).failed == {"no-answer": 1}
    (node,) = router.gateway.static_nodes or ()
    assert node.fails == 1


async def test_a_reset_of_the_node_comes_behind_what_it_said(lab: Lab) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"FATAL: out of memory")
        assert await peer.some() == b"seen"
        peer.reset()

    router = await raw(lab, lab.node(script).address)
    client = await lab.client(router)
    assert await client.exactly(20) == b"FATAL: out of memory"
    await client.send(b"seen")
    assert await client.ending() == (b"", "reset")
    assert (await router.at_rest()).failed == {"node-reset": 1}


async def test_a_reset_of_the_client_is_the_nodes_reset(lab: Lab) -> None:
    node = lab.held()
    router = await raw(lab, node.address)
    client = await lab.open(router, b"x")
    upstream = await node.next()
    assert await upstream.exactly(1) == b"x"
    client.reset()
    assert await upstream.ending() == (b"", "reset")
    counters = await router.at_rest()
    assert (counters.client_aborts, counters.failed) == (1, {})


async def test_a_client_that_closes_on_an_answer_resets_the_node(lab: Lab) -> None:
    """It said that it has no more to say, and then takes nothing either."""
    node = lab.held()
    router = await raw(lab, node.address)
    client = await lab.open(router, b"x")
    upstream = await node.next()
    client.close()
    assert await upstream.rest() == b"x"
    await sends_until_reset(upstream, b"nobody hears this")
    assert (await router.at_rest()).client_aborts == 1


@pytest.mark.parametrize("unix", [False, True])
async def test_a_client_may_go_on_after_the_nodes_end(lab: Lab, unix: bool) -> None:
    node = lab.held(unix=unix)
    router = await raw(lab, node.address)
    client = await lab.client(router)
    upstream = await node.next()
    await upstream.send(b"bye")
    upstream.eof()
    assert await client.rest() == b"bye"
    for _ in range(3):
        await client.send(b"and another thing")
        assert await upstream.exactly(17) == b"and another thing"
    client.eof()
    assert await upstream.rest() == b""
    upstream.close()
    counters = await router.at_rest()
    assert (counters.completed, counters.failed, counters.client_aborts) == (1, {}, 0)


async def test_a_node_that_has_left_resets_a_client_that_goes_on(lab: Lab) -> None:
    """As if the client were connected to it: TLS says goodbye to servers that have closed, which is no failure."""

    async def script(peer: Peer) -> None:
        await peer.send(b"bye")

    router = await raw(lab, lab.node(script).address)
    client = await lab.client(router)
    assert await client.rest() == b"bye"
    await sends_until_reset(client, b"hello?")
    counters = await router.at_rest()
    assert (counters.completed, counters.failed) == (1, {})
    assert not lab.log.lines


async def test_megabytes_pass_behind_the_nodes_end_too(lab: Lab) -> None:
    node = lab.held()
    router = await raw(lab, node.address)
    client = await lab.client(router)
    upstream = await node.next()
    upstream.eof()
    assert await client.rest() == b""
    body = bytes(range(256)) * (16 * MEGABYTE // 256)
    sending = asyncio.get_running_loop().create_task(client.send(body))
    assert await upstream.exactly(len(body)) == body
    await sending
    client.eof()
    assert await upstream.rest() == b""


async def test_a_node_that_reads_nothing_stops_the_client(lab: Lab) -> None:
    router = await raw(lab, lab.held(unix=True).address, listen=(str(lab.path()),))
    client = await lab.client(router)
    assert await client.send_until_stuck(50 * MEGABYTE) < 20 * MEGABYTE
    client.close()


# --- time ---


async def test_silence_ends_it_after_the_timeout(lab: Lab) -> None:
    node = lab.held()
    router = await raw(lab, node.address, timeout=0.1)
    client = await lab.open(router, b"x")
    upstream = await node.next()
    assert await client.rest() == b""
    assert await upstream.rest() == b"x"
    line = await lab.log.line("failed: ")
    assert "504 stalled: nothing moved for 0.1 s (1 bytes to " in line
    assert "option=rawrouter-timeout=0.1" in line
    assert (await router.at_rest()).failed == {"stalled": 1}


async def test_bytes_of_either_side_keep_it_open(lab: Lab) -> None:
    node = lab.held()
    router = await raw(lab, node.address, timeout=0.2)
    client = await lab.client(router)
    upstream = await node.next()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while loop.time() < begun + 0.6:
        await upstream.send(b".")
        assert await client.exactly(1) == b"."
    client.close()


@pytest.mark.parametrize("option", ["client_timeout", "backend_timeout"])
async def test_one_sides_silence_may_end_it_although_the_other_one_speaks(
    lab: Lab, option: str
) -> None:
    node = lab.held()
    router = await raw(lab, node.address, **{option: 0.1})
    client = await lab.client(router)
    upstream = await node.next()
    speaker, listener = (upstream, client) if option == "client_timeout" else (client, upstream)
    heard = asyncio.get_running_loop().create_task(listener.ending())
    await sends_until_reset(speaker, b".")
    await heard
    line = await lab.log.line("failed: ")
    assert "stalled" in line
    assert f"option=rawrouter-{option.replace('_', '-')}=0.1" in line


async def test_a_client_that_takes_nothing_is_told_apart(lab: Lab) -> None:
    """It sends all the time, so there is no silence."""
    node = lab.held(unix=True)
    router = await raw(lab, node.address, listen=(str(lab.path()),), timeout=1.0)
    client = await lab.client(router)
    upstream = await node.next()
    assert await upstream.send_until_stuck(50 * MEGABYTE) < 20 * MEGABYTE
    await sends_until_reset(client, b".")
    assert "client-stalled: the client read nothing for 1 s" in await lab.log.line("failed: ")
    await router.at_rest()


async def test_a_node_that_takes_nothing_is_told_apart(lab: Lab) -> None:
    node = lab.held(unix=True)
    router = await raw(lab, node.address, listen=(str(lab.path()),), timeout=1.0)
    client = await lab.client(router)
    upstream = await node.next()
    assert await client.send_until_stuck(50 * MEGABYTE) < 20 * MEGABYTE
    await sends_until_reset(upstream, b".")
    line = await lab.log.line("failed: ")
    assert f"stalled: {node.address} read nothing for 1 s" in line
    await router.at_rest()


def an_hour_passes(router: Router) -> None:
    """Move all that was noted of the loop's clock back instead: the clock of uvloop can't be moved."""
    hour = 3600.0
    for connection in router.gateway.connections.all():
        connection.fiber.deadline -= hour
    for pump in living(RelayPump):
        pump.moved -= hour


async def test_a_thousand_connections_may_be_idle_for_an_hour(lab: Lab) -> None:
    router = await raw(lab, lab.node(echoes).address, timeout=0.0)
    clients = [await lab.client(router) for _ in range(1000)]
    for client in clients:
        await client.send(b"a")
        assert await client.exactly(1) == b"a"
    an_hour_passes(router)
    await asyncio.sleep(0.1)
    assert router.gateway.active_sessions == 1000
    for client in clients:
        await client.send(b"z")
        assert await client.exactly(1) == b"z"
        client.close()
    assert (await router.at_rest()).completed == 1000


async def test_an_hour_is_longer_than_the_usual_timeout(lab: Lab) -> None:
    router = await raw(lab, lab.node(echoes).address)
    client = await lab.open(router, b"a")
    assert await client.exactly(1) == b"a"
    an_hour_passes(router)
    assert await client.rest() == b""
    assert (await router.at_rest()).failed == {"stalled": 1}


def probed(peer: socket.SocketType) -> tuple[int, int]:
    """Whether the kernel probes a peer, and after how many seconds."""
    return (
        peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    )


async def test_silent_peers_are_probed(lab: Lab) -> None:
    router = await raw(lab, lab.node(echoes).address, tcp_keepalive=7)
    client = await lab.open(router, b"a")
    assert await client.exactly(1) == b"a"
    (upstream,) = node_links(router)
    for link in (client_link(router), upstream):
        assert probed(link._sock) == (1, 7)
    client.close()


# --- many and much ---


async def test_two_thousand_small_round_trips(lab: Lab) -> None:
    router = await raw(lab, lab.node(echoes).address)
    client = await lab.client(router)
    for number in range(2000):
        message = b"%d," % number
        await client.send(message)
        assert await client.exactly(len(message)) == message
    client.close()


async def test_sixty_four_megabytes_pass_both_ways_at_once(lab: Lab) -> None:
    piece = random.Random(1).randbytes(MEGABYTE)
    digest = hashlib.sha256(piece * 64).hexdigest()

    async def play(peer: Peer) -> None:
        async def send() -> None:
            for _ in range(64):
                await peer.send(piece)
            peer.eof()

        sending = asyncio.get_running_loop().create_task(send())
        read = hashlib.sha256()
        while data := await peer.some(MEGABYTE):
            read.update(data)
        await sending
        assert read.hexdigest() == digest

    router = await raw(lab, lab.node(play).address)
    client = await lab.client(router)
    await play(client)
    client.close()
    counters = await router.at_rest()
    assert (counters.bytes_received, counters.bytes_sent) == (64 * MEGABYTE, 64 * MEGABYTE)
    (node,) = router.gateway.static_nodes or ()
    assert (node.rx, node.tx) == (64 * MEGABYTE, 64 * MEGABYTE)


async def test_bytes_are_counted_at_once(lab: Lab) -> None:
    router = await raw(lab, lab.node(echoes).address)
    client = await lab.open(router, b"12345")
    assert await client.exactly(5) == b"12345"
    (node,) = router.gateway.static_nodes or ()
    counters = router.counters
    assert (node.rx, node.tx, counters.bytes_received, counters.bytes_sent) == (5, 5, 5, 5)
    assert node.reference == 1
    client.close()
