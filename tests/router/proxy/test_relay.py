"""Relay: bytes both ways, half-close, aborts, idle timeout."""

import asyncio
import socket

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import client_link, upload_of
from tests.lab.lab import Lab
from tests.lab.messages import OK, request
from tests.lab.scripts import (
    Script,
    Then,
    closes_without_a_byte,
    echoes_behind_the_packet,
    never_answers,
    plays,
)
from tests.lab.waiting import until
from uwsgi_router.router.config.model import RouterConfig
from uwsgi_router.router.net.link import HIGH
from uwsgi_router.router.proxy.context import Timing
from uwsgi_router.router.proxy.pump import MAX_BUFFERED

MEGABYTE = 1024 * 1024


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
async def test_8_megabytes_in_both_directions_at_once(lab: Lab, unix: bool) -> None:
    router = await lab.router(lab.node(echoes_behind_the_packet, unix=unix))
    client = await lab.open(router, request("POST", length=8 * MEGABYTE))
    body = bytes(range(256)) * (8 * MEGABYTE // 256)

    async def upload() -> None:
        await client.send(body)
        client.eof()

    _, answer = await asyncio.gather(upload(), client.rest())
    assert answer == body
    await router.at_rest()


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
async def test_a_half_close_reaches_the_node_and_the_answer_still_comes(
    lab: Lab, unix: bool
) -> None:
    router = await lab.router(lab.node(plays(Then.END, OK), unix=unix))
    client = await lab.open(router, request())
    client.eof()
    assert await client.rest() == OK
    assert (await router.at_rest()).completed == 1


async def test_a_half_close_after_a_body_reaches_the_node_behind_its_last_byte(lab: Lab) -> None:
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.packet()
        got.append(await peer.rest())
        await peer.send(OK)

    router = await lab.router(lab.node(script))
    body = bytes(3 * MEGABYTE)
    client = await lab.open(router, request("POST", length=len(body)))
    await client.send(body)
    client.eof()
    assert await client.rest() == OK
    assert got == [body]


async def test_eof_inside_a_body_is_an_abort_and_marks_nothing(lab: Lab) -> None:
    node = lab.held()
    router = await lab.subscribed()
    announced = router.announce(node.address)
    client = await lab.open(router, request("POST", length=100) + b"half")
    upstream, _ = await node.next_packet()
    client.eof()
    assert (await upstream.ending())[0] == b"half"
    assert await client.rest() == b""
    assert (await router.at_rest()).client_aborts == 1
    assert announced.failcnt == 0
    assert announced.reference == 0
    assert lab.log.having("failed") == []


async def test_a_reset_by_the_client_closes_the_node_at_once(lab: Lab) -> None:
    node = lab.held()
    router = await lab.subscribed()
    announced = router.announce(node.address)
    client = await lab.open(router, request())
    upstream, _ = await node.next_packet()
    client.reset()
    await upstream.ending()
    assert (await router.at_rest()).client_aborts == 1
    assert announced.failcnt == 0


async def test_a_client_that_goes_during_the_answer_closes_the_node(lab: Lab) -> None:
    async def script(peer: Peer) -> None:
        await peer.packet()
        while True:
            await peer.send(bytes(65_536))

    router = await lab.router(lab.node(script))
    client = await lab.open(router, request())
    await client.some()
    client.close()
    assert (await router.at_rest()).client_aborts == 1


@pytest.mark.parametrize("http", [False, True], ids=["uwsgi", "http"])
async def test_a_web_server_that_closes_its_unix_socket_frees_the_node(
    lab: Lab, http: bool
) -> None:
    """Nothing was read of it until then: behind a GET nothing comes."""
    node = lab.held()
    router = await lab.router(node, listen=(str(lab.path()),), backend_http=http)
    client = await lab.open(router, request(SERVER_PROTOCOL="HTTP/1.1", REQUEST_URI="/"))
    upstream = await node.next()
    await upstream.either_head(http=http)
    client.close()
    assert await upstream.ending() == (b"", "closed")
    # Not half-closed, but closed: the request has ended although the node still holds its end.
    assert (await router.at_rest()).client_aborts == 1


async def test_a_web_server_that_has_its_answer_and_closes_before_the_node_aborts_nothing(
    lab: Lab,
) -> None:
    router = await lab.router(node := lab.held(), listen=(str(lab.path()),))
    client = await lab.open(router, request())
    upstream, _ = await node.next_packet()
    # So that the web server is read.
    await until(lambda: client_link(router).reading)
    await upstream.send(OK)
    assert await client.exactly(len(OK)) == OK
    client.close()
    assert await upstream.rest() == b""
    upstream.close()
    counters = await router.at_rest()
    assert (counters.completed, counters.client_aborts) == (1, 0)


@pytest.mark.parametrize("said", [b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"no HTTP", b"H"])
async def test_what_follows_a_get_that_opens_a_tunnel_passes_at_once(lab: Lab, said: bytes) -> None:
    lab.timing = Timing(tick=1000.0)
    router = await lab.router(node := lab.held())
    client = await lab.open(router, request())
    upstream, _ = await node.next_packet()
    await upstream.send(said)
    assert await client.exactly(len(said)) == said
    await client.send(b"hello")
    assert await upstream.exactly(5) == b"hello"
    upstream.close()
    await client.rest()


@pytest.mark.parametrize("method", ["POST", "PUT", ""])
async def test_what_follows_a_request_of_unknown_length_passes_at_once(
    lab: Lab, method: str
) -> None:
    lab.timing = Timing(tick=1000.0)
    router = await lab.router(node := lab.held())
    client = await lab.open(router, request(method))
    upstream, _ = await node.next_packet()
    await client.send(b"hello")
    assert await upstream.exactly(5) == b"hello"
    upstream.close()
    await client.rest()


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
async def test_an_answer_is_whole_however_its_length_compares_with_what_is_read_at_once(
    lab: Lab, unix: bool
) -> None:
    chunk = RouterConfig().buffer_size
    answers = [bytes(size) for size in (1, chunk - 1, chunk, chunk + 1, 3 * chunk, MEGABYTE + 1)]
    for answer in answers:
        router = await lab.router(lab.node(plays(answer), unix=unix))
        assert await lab.ask(router) == answer
        assert (await router.at_rest()).completed == 1


async def test_abort_on_eof_takes_every_eof_for_an_abort(lab: Lab) -> None:
    router = await lab.router(node := lab.held(), abort_on_eof=True)
    client = await lab.open(router, request())
    upstream, _ = await node.next_packet()
    client.eof()
    await upstream.ending()
    assert await client.rest() == b""
    assert (await router.at_rest()).client_aborts == 1


def _shallow(peer: Peer) -> None:
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)


async def test_a_client_that_reads_nothing_stops_the_node_and_bounds_memory(lab: Lab) -> None:
    node = lab.held(unix=True)
    path = str(lab.path())
    router = await lab.router(node, listen=(path,))
    client = await lab.open(router, request())
    upstream, _ = await node.next_packet()
    _shallow(upstream)
    sent = await upstream.send_until_stuck(20 * MEGABYTE)
    assert sent < 4 * MEGABYTE
    assert client_link(router).backlog <= HIGH + router.config.buffer_size
    # And it goes on when the client reads again.
    upstream.eof()
    assert len(await client.rest()) == sent


async def test_a_node_that_reads_nothing_stops_the_client_and_bounds_memory(lab: Lab) -> None:
    node = lab.held(unix=True)
    path = str(lab.path())
    router = await lab.router(node, listen=(path,))
    client = await lab.open(router, request("POST", length=100 * MEGABYTE))
    _shallow(client)
    upstream = await node.next()
    sent = await client.send_until_stuck(20 * MEGABYTE)
    assert sent < 4 * MEGABYTE
    await upstream.packet()
    assert len(await upstream.exactly(sent)) == sent
    # And it goes on.
    await client.send(b"more")
    assert await upstream.exactly(4) == b"more"


async def test_what_comes_while_no_node_is_connected_is_bounded_and_complete(lab: Lab) -> None:
    """A body that starts early waits in the kernel, not in the process."""
    hole = lab.black_hole()
    router = await lab.router(hole, listen=(str(lab.path()),))
    size = 2 * MEGABYTE
    client = await lab.open(router, request("POST", length=size))
    _shallow(client)
    sent = await client.send_until_stuck(size)
    assert upload_of(router).count <= MAX_BUFFERED + router.config.buffer_size
    node = lab.node(echoes_behind_the_packet, on=hole.listen())

    async def upload() -> None:
        await client.send(bytes(size - sent))
        client.eof()

    _, answer = await asyncio.gather(upload(), client.rest())
    assert len(answer) == size
    assert node.connections == 1


# --- early answers ---


def answers_early(answer: bytes, *, read: int = 0) -> Script:
    # Closing with unread bytes resets: so does uWSGI when an application ignores a body.

    return plays(read, answer)


TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n" + b"x" * 5000


async def test_an_answer_during_the_upload_is_delivered_whole(lab: Lab) -> None:
    """The upload stops, and the client is closed lingering: it reads the answer, then the end."""
    router = await lab.router(lab.node(answers_early(TOO_LARGE, read=1000)))
    client = await lab.open(router, request("POST", length=50 * MEGABYTE) + bytes(MEGABYTE))
    assert await client.rest() == TOO_LARGE
    # Still sending, as clients do: nobody resets it.
    for _ in range(10):
        await client.send(bytes(65_536))
    client.eof()
    assert (await router.at_rest()).completed == 1
    assert sum(router.counters.failed.values()) == 0


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
@pytest.mark.parametrize("buffered", [0, 1_000_000], ids=["streamed", "buffered"])
async def test_an_answer_to_a_body_that_the_node_never_read_is_delivered_whole(
    lab: Lab, unix: bool, buffered: int
) -> None:
    """An application that ignores a small body makes its worker reset after a complete answer."""
    node = lab.node(answers_early(OK), unix=unix)
    router = await lab.router(node, post_buffering=buffered)
    for _ in range(5):
        client = await lab.open(router, request("POST", length=20_000) + bytes(20_000))
        assert await client.ending() == (OK, "closed")
    assert (await router.at_rest()).completed == 5


async def test_a_reset_inside_an_answer_without_a_body_resets_the_client(lab: Lab) -> None:
    """An orderly end would make half an answer pass for the whole."""

    client_has_it = asyncio.Event()
    router = await lab.router(lab.node(plays(b"half of an ans", client_has_it, Then.RESET)))
    client = await lab.open(router, request())
    got = await client.some()
    client_has_it.set()
    assert (got, await client.ending()) == (b"half of an ans", (b"", "reset"))
    assert "reset" in await lab.log.line("502 reset")
    await router.at_rest()


async def test_an_end_inside_an_answer_ends_the_clients(lab: Lab) -> None:
    """The uwsgi protocol frames nothing: the web server in front knows what is missing."""

    router = await lab.router(lab.node(plays(b"half of an ans")))
    assert await lab.ask(router) == b"half of an ans"


# --- silence ---


async def test_traffic_in_one_direction_keeps_a_request_alive(lab: Lab) -> None:
    """The timeout is over both directions together."""

    router = await lab.router(lab.node(plays(12, OK)), timeout=0.5)
    client = await lab.open(router, request("POST", length=12))
    for _ in range(12):
        await asyncio.sleep(0.1)  # a slow client, not waiting for anything
        await client.send(b"x")
    assert await client.rest() == OK


async def test_a_node_that_never_answers_is_given_up_after_the_timeout(lab: Lab) -> None:
    router = await lab.router(node := lab.node(never_answers), timeout=0.2)
    assert await lab.ask(router) == b""
    line = await lab.log.line("504 no-answer-in-time")
    assert node.address in line
    assert "option=fastrouter-timeout=0.2" in line
    await router.at_rest()


async def test_a_node_that_stalls_inside_its_answer_is_given_up_after_the_timeout(lab: Lab) -> None:
    router = await lab.router(node := lab.node(plays(b"half", asyncio.Event())), timeout=0.2)
    client = await lab.open(router, request())
    assert await client.ending() == (b"half", "reset")
    assert node.address in await lab.log.line("504 stalled")
    await router.at_rest()


async def test_a_client_that_stalls_inside_its_body_is_blamed_itself(lab: Lab) -> None:
    router = await lab.router(lab.node(never_answers), timeout=0.2, errors="http")
    client = await lab.open(router, request("POST", length=10) + b"1234")
    answer = await client.some()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert "6 bytes are missing" in await lab.log.line("408 body-timeout")
    client.eof()
    await router.at_rest()


@pytest.mark.parametrize("size", [3 * MEGABYTE, 20 * MEGABYTE])
async def test_a_client_that_reads_nothing_is_blamed_itself(lab: Lab, size: int) -> None:
    """Whether the node is done with its answer or not."""

    router = await lab.router(lab.node(plays(bytes(size))), timeout=0.3, listen=(str(lab.path()),))
    client = await lab.open(router, request())
    await lab.log.line("408 client-stalled")
    await router.at_rest()
    assert lab.log.having("stalled;") == []
    client.close()


async def test_a_websocket_like_exchange_relays_each_message_at_once(lab: Lab) -> None:
    router = await lab.router(lab.node(echoes_behind_the_packet))
    client = await lab.open(router, request())
    for message in (b"one", b"two", b"three"):
        await client.send(message)
        assert await client.exactly(len(message)) == message
    client.eof()
    assert await client.rest() == b""
    await router.at_rest()


async def test_many_requests_at_once_all_get_their_own_answer(lab: Lab) -> None:
    async def script(peer: Peer) -> None:
        got = await peer.packet()
        await peer.send(got.variables[b"PATH_INFO"] * 1000)

    router = await lab.router(to=(lab.node(script).address, lab.node(script, unix=True).address))
    answers = await asyncio.gather(
        *(lab.ask(router, request(PATH_INFO=f"/{number}")) for number in range(60))
    )
    assert answers == [f"/{number}".encode() * 1000 for number in range(60)]
    assert (await router.at_rest()).completed == 60


async def test_nothing_is_left_open_after_each_way_of_ending(lab: Lab) -> None:
    """Descriptors are closed, references given back, nothing is polled."""
    good, silent = lab.node(), lab.node(closes_without_a_byte)
    router = await lab.subscribed()
    nodes = [router.announce(node.address) for node in (good, silent)]
    for _ in range(6):
        await lab.ask(router)
        client = await lab.open(router, request("POST", length=9))
        client.reset()
    await router.at_rest()
    assert [node.reference for node in nodes] == [0, 0]
    assert [node.connecting for node in nodes] == [0, 0]
    await until(lambda: router.gateway.active_sessions == 0)
