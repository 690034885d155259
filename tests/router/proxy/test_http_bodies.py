"""Bodies of requests: how they are framed for nodes, limits, 100-continue, pace, early answers, aborts."""

import asyncio
import socket
from dataclasses import replace
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import phases, upload_of
from tests.lab.lab import Lab
from tests.lab.messages import CONTINUE, OK, Message, ask, chunks, post, says
from tests.lab.router import Router
from tests.lab.scripts import plays, with_its_request
from tests.lab.waiting import a_few_turns, until

MEGABYTE = 1024 * 1024
CHUNKED = "Transfer-Encoding: chunked"
EXPECT = "Expect: 100-continue"


# --- framing ---


async def test_a_counted_body_ends_where_it_says(lab: Lab) -> None:
    router = await lab.to(node := lab.http_node(with_its_request))
    client = await lab.open(router, post(b"12345") + ask("/next"))
    assert (await client.answer()).body == b"POST / HTTP/1.1\n12345"
    assert (await client.answer()).body == b"GET /next HTTP/1.1\n"
    assert node.requests[0].framing == "length"


async def test_a_body_of_no_bytes_is_none(lab: Lab) -> None:
    router = await lab.to(node := lab.http_node(with_its_request))
    client = await lab.open(router, post(b"") + ask("/next"))
    assert (await client.answer()).body == b"POST / HTTP/1.1\n"
    assert (await client.answer()).status == 200
    assert node.requests[0].get("content-length") == b"0"


@pytest.mark.parametrize("size", [1, 65_536, 3 * MEGABYTE])
async def test_a_chunked_body_reaches_an_http_node_chunked(lab: Lab, size: int) -> None:
    router = await lab.to(node := lab.http_node())
    body = bytes(range(256)) * (size // 256) or b"x"
    client = await lab.open(router, ask("/", CHUNKED, method="PUT"))
    await client.send(chunks(*(body[at : at + 100_000] for at in range(0, len(body), 100_000))))
    assert (await client.answer()).status == 200
    assert (node.requests[0].framing, node.requests[0].body) == ("chunked", body)
    await client.send(ask())
    assert (await client.answer()).status == 200


async def test_extensions_and_trailers_of_a_chunked_body_go_no_further(lab: Lab) -> None:
    raw = bytearray()

    async def script(peer: Peer) -> None:
        while not raw.endswith(b"0\r\n\r\n"):
            raw.extend(await peer.some())
        await peer.send(OK)
        await peer.rest()

    router = await lab.http(lab.node(script), backend_http=True)
    client = await lab.open(router, ask("/", CHUNKED, method="POST"))
    await client.send(b"3;x=y\r\nabc\r\n0\r\nTrailer: evil\r\n\r\n")
    assert (await client.answer()).status == 200
    assert raw.partition(b"\r\n\r\n")[2] == b"3\r\nabc\r\n0\r\n\r\n"


async def test_a_chunked_body_is_read_whole_for_a_uwsgi_node_and_gets_a_length(lab: Lab) -> None:
    router = await lab.http(node := lab.uwsgi_node(), keepalive=0)
    client = await lab.open(router, ask("/", CHUNKED, method="POST") + b"3\r\nabc\r\n")
    await until(lambda: router.counters.requests)
    await a_few_turns()
    assert node.connections == 0
    await client.send(chunks(b"de"))
    assert (await client.answer()).status == 200
    assert node.bodies == [b"abcde"]
    variables = node.requests[0].variables
    assert variables[b"CONTENT_LENGTH"] == b"5"
    assert b"HTTP_TRANSFER_ENCODING" not in variables
    # And the connection goes on.
    await client.send(ask("/", CHUNKED, method="POST") + chunks())
    assert (await client.answer()).status == 200
    assert node.bodies[1:] == [b""]


async def test_a_large_chunked_body_for_a_uwsgi_node_goes_through_a_file(lab: Lab) -> None:
    router = await lab.http(node := lab.uwsgi_node())
    body = bytes(range(256)) * 4096 * 3
    client = await lab.open(router, ask("/", CHUNKED, method="POST"))
    await client.send(chunks(body[:MEGABYTE], body[MEGABYTE:]))
    assert (await client.answer()).status == 200
    assert node.bodies == [body]


async def test_with_chunked_input_chunks_reach_a_uwsgi_node_as_they_come(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), chunked_input=True, keepalive=0)
    client = await lab.open(router, ask("/", CHUNKED, method="POST") + b"3;ext\r\nabc\r\n")
    upstream = await node.next()
    variables = (await upstream.packet()).variables
    assert variables[b"HTTP_TRANSFER_ENCODING"] == b"chunked"
    assert b"CONTENT_LENGTH" not in variables
    assert await upstream.exactly(8) == b"3\r\nabc\r\n"
    await client.send(b"0\r\nT: x\r\n\r\n" + ask("/next"))
    assert await upstream.exactly(5) == b"0\r\n\r\n"
    await upstream.send(OK)
    assert not (await client.answer()).closes
    assert (await (await node.next()).packet()).variables[b"REQUEST_URI"] == b"/next"


async def test_with_raw_body_bytes_reach_a_uwsgi_node_as_they_come(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), raw_body=True, keepalive=0)
    body = b"3;ext\r\nabc\r\n0\r\nT: x\r\n\r\n" + ask("/no-request")
    client = await lab.open(router, ask("/", CHUNKED, method="POST") + body)
    upstream, _ = await node.next_packet()
    assert await upstream.exactly(len(body)) == body
    client.eof()
    assert await upstream.rest() == b""
    await upstream.send(OK)
    assert (await client.answer()).closes


async def test_with_raw_body_bytes_behind_any_head_reach_a_uwsgi_node(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), raw_body=True, keepalive=0)
    client = await lab.open(router, ask("/stream"))
    upstream = await node.next()
    assert (await upstream.packet()).variables[b"CONTENT_LENGTH"] == b""
    await client.send(b"whatever")
    assert await upstream.exactly(8) == b"whatever"
    await upstream.send(OK)
    assert (await client.answer()).closes


async def test_with_raw_body_a_length_still_ends_a_body(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), raw_body=True)
    client = await lab.open(router, post(b"12345") + b"more")
    upstream, _ = await node.next_packet()
    assert await upstream.exactly(5) == b"12345"
    client.eof()
    assert await upstream.rest() == b""


async def test_with_raw_body_an_http_node_gets_one_request_and_its_connection_is_not_kept(
    lab: Lab,
) -> None:
    router = await lab.to(node := lab.http_node(), raw_body=True)
    for _ in range(2):
        client = await lab.open(
            router, ask("/", CHUNKED, method="POST") + chunks(b"abc") + ask("/no-request")
        )
        assert (await client.answer()).closes
        client.close()
        await router.at_rest()
    assert [request.target for request in node.requests] == [b"/", b"/"]
    assert node.connections == 2


# --- post-buffering ---


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("http", [False, True])
async def test_with_post_buffering_a_node_hears_of_a_request_when_its_body_is_there(
    lab: Lab, chunked: bool, http: bool
) -> None:
    node = lab.node_of(http)
    router = await lab.http(node, backend_http=http, post_buffering=1000, keepalive=0)
    body = bytes(range(256)) * 16
    head = ask("/", CHUNKED if chunked else f"Content-Length: {len(body)}", method="POST")
    data = chunks(body[:100], body[100:]) if chunked else body
    client = await lab.open(router, head + data[:-9])
    await until(lambda: phases(router) == ["body"])
    assert node.connections == 0
    await client.send(data[-9:] + ask("/next"))
    assert (await client.answer()).status == 200
    assert (await client.answer()).status == 200
    assert (node.requests[0].framing, node.requests[0].body) == ("length", body)


async def test_a_body_for_nobody_is_not_collected(lab: Lab) -> None:
    router = await lab.announced(post_buffering=1000)
    assert (await lab.get(router, ask("/", "Content-Length: 10", method="POST"))).status == 404


async def test_a_body_that_can_not_be_stored_gets_507(lab: Lab) -> None:
    node = lab.uwsgi_node()
    nowhere = str(lab.tmp_path / "nowhere")
    router = await lab.http(node, post_buffering=10, post_buffering_dir=nowhere, keepalive=0)
    answer = await lab.get(router, post(b"x" * 11))
    assert (answer.status, answer.closes) == (507, True)
    assert nowhere in await lab.log.line("507 spool")
    assert (await lab.get(router, post(b"x" * 10))).status == 200


async def test_a_collected_body_is_sent_to_the_next_node_if_one_is_down(lab: Lab) -> None:
    node = lab.http_node()
    router = await lab.http(
        to=(lab.refused_tcp(), node.address), backend_http=True, post_buffering=1000
    )
    assert (await lab.get(router, post(b"body"))).status == 200
    assert node.requests[0].body == b"body"


# --- limits ---


@pytest.mark.parametrize("http", [False, True])
async def test_an_announced_length_over_the_limit_is_refused_at_once(lab: Lab, http: bool) -> None:
    router = await lab.http(node := lab.node_of(http), backend_http=http, body_limit=10)
    client = await lab.open(router, ask("/", "Content-Length: 11", EXPECT, method="POST"))
    answer = await client.answer()
    assert (answer.status, answer.closes) == (413, True)
    client.close()
    assert "http-body-limit=10" in await lab.log.line("413 body-too-large")
    assert (await lab.get(router, post(b"0123456789"))).status == 200
    assert node.connections == 1


@pytest.mark.parametrize("http", [False, True])
async def test_a_chunked_body_over_the_limit_is_refused_when_it_is(lab: Lab, http: bool) -> None:
    router = await lab.http(node := lab.held(), backend_http=http, body_limit=10, keepalive=0)
    client = await lab.open(router, ask("/", CHUNKED, method="POST") + b"8\r\n12345678\r\n")
    await until(lambda: set(phases(router)) <= {"body", "answer"} and phases(router))
    await client.send(b"3\r\nabc\r\n")
    answer = await client.answer()
    assert (answer.status, answer.closes) == (413, True)
    if http:
        upstream, _ = await node.next_head()
        # Never so that the node could take it for the whole.
        assert not (await upstream.ending())[0].endswith(b"0\r\n\r\n")
    else:
        assert node.connections == 0


async def test_manage_expect_is_a_limit_for_those_that_ask_first(lab: Lab) -> None:
    router = await lab.http(lab.uwsgi_node(), manage_expect=5)
    client = await lab.open(router, ask("/", "Content-Length: 6", EXPECT, method="POST"))
    assert (await client.answer()).status == 413
    assert "http-manage-expect=5" in await lab.log.line("413 body-too-large")
    client.close()
    # Neither for smaller ones nor for those that do not ask.
    client = await lab.open(router, ask("/", "Content-Length: 5", EXPECT, method="POST"))
    assert (await client.answer()).status == 100
    await client.send(b"12345")
    assert (await client.answer()).status == 200
    assert (await lab.get(router, post(b"123456"))).status == 200


@pytest.mark.parametrize("body", [b"x\r\n", b"3\r\nabcd", b"3\n", b"ffffffffffffffff1\r\n"])
@pytest.mark.parametrize("http", [False, True])
async def test_a_malformed_chunked_body_gets_400(lab: Lab, body: bytes, http: bool) -> None:
    router = await lab.http(node := lab.held(), backend_http=http)
    client = await lab.open(router, ask("/", CHUNKED, method="POST") + body)
    answer = await client.answer()
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (400, b"bad-body")
    if http:
        upstream, _ = await node.next_head()
        assert b"0\r\n" not in (await upstream.ending())[0]
    await lab.log.line("400 bad-body")


# --- 100-continue ---


async def test_a_uwsgi_node_lets_us_say_100(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), keepalive=0)
    client = await lab.open(router, ask("/", "Content-Length: 4", EXPECT, method="POST"))
    assert await client.exactly(len(CONTINUE)) == CONTINUE
    upstream, _ = await node.next_packet()
    await client.send(b"body")
    assert await upstream.exactly(4) == b"body"
    await upstream.send(OK)
    answer = await client.answer()
    assert (answer.status, answer.closes) == (200, False)


async def test_whoever_has_sent_its_body_is_not_asked_for_it(lab: Lab) -> None:
    router = await lab.http(lab.uwsgi_node(), post_buffering=1000)
    data = ask("/", "Content-Length: 4", EXPECT, method="POST") + b"body"
    assert (await lab.get(router, data)).status == 200


@pytest.mark.parametrize("option", ["chunked_input", "raw_body"])
async def test_also_if_the_body_passes_in_chunks(lab: Lab, option: str) -> None:
    node = lab.uwsgi_node()
    options: dict[str, Any] = {option: True}
    router = await lab.http(node, **options)
    client = await lab.open(router, ask("/", CHUNKED, EXPECT, method="POST"))
    assert (await client.answer()).status == 100
    await client.send(chunks(b"bo", b"dy"))
    assert (await client.answer()).status == 200
    assert node.bodies == [b"body"]


async def test_no_100_before_a_node_is_there(lab: Lab) -> None:
    router = await lab.http(to=(lab.refused_tcp(),))
    assert (
        await lab.get(router, ask("/", "Content-Length: 4", EXPECT, method="POST"))
    ).status == 502


async def test_one_100_even_if_a_second_node_is_tried(lab: Lab) -> None:
    node = lab.uwsgi_node()
    router = await lab.http(to=(lab.refused_tcp(), node.address))
    client = await lab.open(router, ask("/", "Content-Length: 4", EXPECT, method="POST"))
    assert (await client.answer()).status == 100
    await client.send(b"body")
    assert (await client.answer()).status == 200
    assert node.bodies == [b"body"]


@pytest.mark.parametrize(
    ("how", "http"), [("chunked", False), ("post-buffering", False), ("post-buffering", True)]
)
async def test_100_is_said_when_collecting_begins_and_never_again(
    lab: Lab, how: str, http: bool
) -> None:
    """The node that is asked later may say it too."""

    async def answer(peer: Peer, _request: Message) -> bool:
        await peer.send(CONTINUE + OK)
        return True

    node = lab.http_node(answer) if http else lab.uwsgi_node()
    router = await lab.http(node, backend_http=http, post_buffering=0 if how == "chunked" else 1000)
    framing = CHUNKED if how == "chunked" else "Content-Length: 4"
    client = await lab.open(router, ask("/", framing, EXPECT, method="POST"))
    assert (await client.answer()).status == 100
    assert node.connections == 0
    await client.send(chunks(b"body") if how == "chunked" else b"body")
    assert (await client.answer()).status == 200


@pytest.mark.parametrize("framing", ["Content-Length: 4", CHUNKED])
async def test_an_http_node_is_asked_and_its_100_relayed(lab: Lab, framing: str) -> None:
    router = await lab.http(node := lab.held(), backend_http=True, keepalive=0)
    client = await lab.open(router, ask("/", framing, EXPECT, method="POST"))
    upstream, request = await node.next_head()
    assert request.get("expect") == b"100-continue"
    await a_few_turns()
    with pytest.raises(BlockingIOError):
        client.sock.recv(1, socket.MSG_PEEK)
    await upstream.send(CONTINUE + CONTINUE)
    assert (await client.answer()).status == 100
    await client.send(b"body" if framing != CHUNKED else chunks(b"body"))
    await upstream.send(OK)
    # The second 100 was nobody's.
    assert (await client.answer()).status == 200


@pytest.mark.parametrize("http", [False, True])
async def test_no_100_for_those_that_did_not_ask_for_it(lab: Lab, http: bool) -> None:
    async def answer(peer: Peer, _request: Message) -> bool:
        await peer.send(CONTINUE + OK)
        return True

    node = lab.http_node(answer) if http else lab.uwsgi_node()
    router = await lab.http(node, backend_http=http)
    assert (await lab.get(router, post(b"body"))).status == 200
    # HTTP/1.0 does not know of it.
    old = ask("/", EXPECT, "Content-Length: 4", method="POST", version="1.0")
    assert (await lab.get(router, old + b"body")).status == 200
    # Nor is there a body to go on with.
    assert (await lab.get(router, ask("/", EXPECT))).status == 200


async def test_no_100_for_those_that_have_begun_already(lab: Lab) -> None:
    router = await lab.http(lab.uwsgi_node())
    assert (await lab.get(router, post(b"body", "/", EXPECT))).status == 200


async def test_each_request_of_a_connection_has_its_own_100(lab: Lab) -> None:
    router = await lab.http(lab.uwsgi_node(), keepalive=0)
    client = await lab.open(router)
    for _ in range(2):
        await client.send(ask("/", "Content-Length: 4", EXPECT, method="POST"))
        assert (await client.answer()).status == 100
        await client.send(b"body")
        assert (await client.answer()).status == 200
    await client.send(post(b"body"))
    assert (await client.answer()).status == 200


async def test_a_refusal_instead_of_100_ends_the_connection(lab: Lab) -> None:
    """The client may send its body all the same: then it would be the next request."""
    router = await lab.http(node := lab.held(), backend_http=True, keepalive=0)
    client = await lab.open(router, ask("/", "Content-Length: 30", EXPECT, method="POST"))
    upstream, _ = await node.next_head()
    await upstream.send(says(b"no", status="401 Unauthorized"))
    answer = await client.answer()
    assert (answer.status, answer.closes) == (401, True)
    assert await upstream.rest() == b""


# --- half-closes ---


@pytest.mark.parametrize("waits", ["queue", "hold", "connect"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("whole", [True, False])
async def test_a_half_close_behind_a_whole_body_is_none_while_the_request_waits(
    lab: Lab, waits: str, framing: str, whole: bool
) -> None:
    body = b"hello" if framing == "length" else chunks(b"hello")
    head = ask("/", "Content-Length: 5" if framing == "length" else CHUNKED, method="POST")
    data = head + (body if whole else body[:-1])
    node, hole = lab.http_node(with_its_request), lab.black_hole()
    other: Peer | None = None
    if waits == "hold":
        router = await lab.announced(hold=30)
        router.announce(node.address, proto="http")
        router.leave(node.address)
    elif waits == "queue":
        held = lab.held()
        router = await lab.http(to=(held.address,), backend_http=True, backend_connections=1)
        other = await lab.open(router, ask())
        await until(lambda: held.connections == 1)
    else:
        router = await lab.http(to=(hole.address,), backend_http=True)
    client = await lab.open(router, data)
    await until(lambda: waits in phases(router))
    client.eof()
    await a_few_turns()
    if not whole:
        # At once: it keeps no place.
        assert await client.rest() == b""
    if waits == "hold":
        router.announce(node.address, proto="http")
    elif waits == "queue":
        upstream = await held.next()
        await upstream.head()
        await upstream.send(OK)
        assert other is not None
        await other.answer()
        if whole:
            upstream = await held.next() if held.connections > 1 else upstream
            assert (await upstream.request()).body == b"hello"
            await upstream.send(OK)
    else:
        lab.http_node(with_its_request, on=hole.listen())
    if whole:
        assert (await client.answer()).status == 200
    await router.at_rest()
    assert router.gateway.counters.client_aborts == (0 if whole else 1)


# --- pace ---


@pytest.fixture
def short_windows(lab: Lab) -> None:
    lab.timing = replace(lab.timing, body_window=0.15)


async def _trickle(client: Peer) -> None:
    while True:
        await client.send(b"x")
        await asyncio.sleep(0.02)  # a slow client, not waiting for anything


@pytest.mark.usefixtures("short_windows")
@pytest.mark.parametrize("collected", [False, True])
async def test_a_body_that_trickles_gets_408(lab: Lab, collected: bool) -> None:
    node = lab.held()
    router = await lab.http(
        node,
        backend_http=True,
        body_rate=500,
        post_buffering=1000 if collected else 0,
    )
    client = await lab.open(router, ask("/", "Content-Length: 9999", method="POST"))
    trickling = asyncio.get_running_loop().create_task(_trickle(client))
    answer = await client.answer()
    trickling.cancel()
    assert (answer.status, answer.closes) == (408, True)
    assert "http-body-rate=500" in await lab.log.line("408 body-timeout")


@pytest.mark.usefixtures("short_windows")
async def test_a_body_that_comes_fast_enough_takes_as_long_as_it_takes(lab: Lab) -> None:
    router = await lab.to(lab.http_node(), body_rate=10)
    client = await lab.open(router, ask("/", "Content-Length: 20", method="POST"))
    for _ in range(20):
        await client.send(b"x")
        await asyncio.sleep(0.02)  # 50 bytes a second
    assert (await client.answer()).status == 200


@pytest.mark.usefixtures("short_windows")
async def test_a_client_that_waits_for_100_is_not_slow(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), backend_http=True, body_rate=500)
    client = await lab.open(router, ask("/", "Content-Length: 4", EXPECT, method="POST"))
    upstream, _ = await node.next_head()
    await upstream.send(b"HTTP/1.1 102 Processing\r\n\r\n")
    assert (await client.answer()).status == 102
    await asyncio.sleep(0.3)  # two windows
    await upstream.send(CONTINUE)
    assert (await client.answer()).status == 100
    await client.send(b"body")
    await upstream.send(OK)
    assert (await client.answer()).status == 200


@pytest.mark.usefixtures("short_windows")
async def test_nor_one_whose_node_does_not_read(lab: Lab) -> None:
    router = await lab.http(node := lab.held(unix=True), body_rate=500, listen=(str(lab.path()),))
    size = 8 * MEGABYTE
    client = await lab.open(router, ask("/", f"Content-Length: {size}", method="POST"))
    sending = asyncio.get_running_loop().create_task(client.send(bytes(size)))
    upstream, _ = await node.next_packet()
    await asyncio.sleep(0.4)  # it has other things to do
    await upstream.exactly(size)
    await upstream.send(OK)
    await sending
    assert (await client.answer()).status == 200


@pytest.mark.usefixtures("short_windows")
async def test_nor_one_whose_whole_body_has_come_while_the_node_takes_its_time(lab: Lab) -> None:
    """With raw-body more may follow; but the body has an end."""
    router = await lab.http(node := lab.held(), body_rate=500, raw_body=True)
    client = await lab.open(router, post(b"12345"))
    upstream, _ = await node.next_packet()
    assert await upstream.exactly(5) == b"12345"
    await asyncio.sleep(0.4)  # two windows
    await upstream.send(OK)
    assert (await client.answer()).status == 200


@pytest.mark.usefixtures("short_windows")
@pytest.mark.parametrize("http", [False, True])
async def test_nor_one_in_a_tunnel(lab: Lab, http: bool) -> None:
    node = lab.held()
    router = await lab.http(node, backend_http=http, body_rate=500, raw_body=True, timeout=60)
    upgrade = ask("/", "Connection: Upgrade", "Upgrade: a", CHUNKED, method="POST")
    client = await lab.open(router, upgrade + chunks(b"abc"))
    upstream = await node.next()
    if http:
        await upstream.request()
    else:
        await upstream.packet()
        await upstream.exactly(len(chunks(b"abc")))
    switch = says(
        b"",
        "Connection: Upgrade",
        "Upgrade: a",
        status="101 Switching Protocols",
        length=False,
    )
    await upstream.send(switch)
    assert (await client.answer()).status == 101
    await asyncio.sleep(0.4)  # two windows
    await client.send(b"x")
    assert await upstream.exactly(1) == b"x"


async def test_a_client_that_stalls_inside_its_body_gets_408(lab: Lab) -> None:
    router = await lab.http(lab.held(), timeout=0.05)
    answer = await lab.get(router, ask("/", "Content-Length: 4", method="POST") + b"bo")
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (408, b"body-timeout")


async def test_also_after_a_100_of_the_node(lab: Lab) -> None:
    """The 100 is no part of an answer that the node could owe the rest of."""
    router = await lab.http(node := lab.held(), backend_http=True, timeout=0.1)
    client = await lab.open(router, ask("/", "Content-Length: 4", EXPECT, method="POST"))
    upstream, _ = await node.next_head()
    await upstream.send(CONTINUE)
    assert (await client.answer()).status == 100
    assert (await client.answer()).status == 408


# --- early answers ---


@pytest.mark.parametrize("http", [False, True])
async def test_an_answer_during_the_upload_is_delivered_whole(lab: Lab, http: bool) -> None:
    refusal = says(b"x" * 20_000, status="413 Content Too Large")

    async def script(peer: Peer) -> None:
        await peer.either_head(http=http)
        await peer.some()
        await peer.send(refusal)
        # Closing with unread bytes resets.

    router = await lab.http(lab.node(script), backend_http=http, keepalive=0)
    size = 50 * MEGABYTE
    client = await lab.open(router, ask("/", f"Content-Length: {size}", method="POST"))
    await client.send(bytes(MEGABYTE))
    answer = await client.answer()
    assert (answer.status, len(answer.body), answer.closes) == (413, 20_000, True)
    for _ in range(10):
        await client.send(bytes(65_536))
    assert await client.ending() == (b"", "closed")
    client.close()
    assert (await router.at_rest()).completed == 1


async def test_an_answer_may_begin_before_the_upload_ends_and_end_after_it(lab: Lab) -> None:
    """Full duplex: neither waits for the other."""
    router = await lab.http(node := lab.held(), backend_http=True, keepalive=0)
    client = await lab.open(router, ask("/", CHUNKED, method="POST"))
    upstream, _ = await node.next_head()
    await upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    head = await client.head()
    assert head.closes
    for piece in (b"one", b"two"):
        await client.send(b"3\r\n" + piece + b"\r\n")
        assert await upstream.chunk() == piece
        await upstream.send(b"3\r\n" + piece + b"\r\n")
        assert await client.chunk() == piece
    await client.send(b"0\r\n\r\n")
    assert await upstream.chunk() == b""
    await upstream.send(b"0\r\n\r\n")
    assert await client.chunk() == b""
    assert await client.rest() == b""


@pytest.mark.parametrize("http", [False, True])
async def test_a_small_body_that_the_node_ignores_spoils_no_answer(lab: Lab, http: bool) -> None:
    router = await lab.http(node := lab.node(plays(OK, http=http)), backend_http=http, keepalive=0)
    client = await lab.open(router)
    for _ in range(5):
        await client.send(post(b"x" * 20_000))
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"ok")
        if answer.closes:
            client = await lab.open(router)
    assert node.connections == 5


@pytest.mark.parametrize("auto_chunked", [False, True])
@pytest.mark.parametrize("http", [False, True])
async def test_nor_an_answer_that_has_no_length(lab: Lab, http: bool, auto_chunked: bool) -> None:
    """uWSGI closes with the body unread, which resets: nothing says that the answer was not whole."""

    async def script(peer: Peer) -> None:
        if http:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += await peer.exactly(1)
        else:
            await peer.packet()
        await peer.send(says(b"hello", length=False))
        await answered.wait()

    answered = asyncio.Event()
    router = await lab.http(
        lab.node(script), backend_http=http, keepalive=0, auto_chunked=auto_chunked
    )
    client = await lab.open(router, post(b"x" * 20_000))
    head = await client.head()
    answered.set()
    if auto_chunked:
        assert [await client.chunk(), await client.chunk()] == [b"hello", b""]
    else:
        assert head.closes
        assert await client.rest() == b"hello"
    client.close()
    assert (await router.at_rest()).completed == 1


# --- aborts ---


async def _reading(lab: Lab, *, http: bool, **options: Any) -> tuple[Router, Peer, Peer]:
    """A router, a client inside its body, and the node's end."""
    router = await lab.http(node := lab.held(), backend_http=http, keepalive=0, **options)
    client = await lab.open(router, ask("/", "Content-Length: 100", method="POST") + b"half")
    upstream = await node.next()
    await upstream.either_head(http=http)
    assert await upstream.exactly(4) == b"half"
    return router, client, upstream


@pytest.mark.parametrize("how", ["eof", "reset", "close"])
@pytest.mark.parametrize("http", [False, True])
async def test_an_end_inside_a_body_closes_the_node_at_once(lab: Lab, http: bool, how: str) -> None:
    router, client, upstream = await _reading(lab, http=http)
    getattr(client, how)()
    assert (await upstream.ending())[0] == b""
    await router.at_rest()
    counters = router.counters
    assert (counters.client_aborts, sum(counters.failed.values())) == (1, 0)


async def test_an_end_inside_a_chunked_body_never_looks_like_its_end(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), backend_http=True)
    client = await lab.open(router, ask("/", CHUNKED, method="POST") + b"3\r\nabc\r\n")
    upstream, _ = await node.next_head()
    assert await upstream.chunk() == b"abc"
    client.eof()
    assert (await upstream.ending())[0] == b""


async def test_an_end_inside_the_second_body_of_a_connection_is_noticed_while_connecting(
    lab: Lab,
) -> None:
    node = lab.uwsgi_node()
    router = await lab.announced()
    router.announce(node.address)
    client = await lab.open(router, post(b"first"))
    await client.answer()
    router.leave(node.address)
    hole = lab.black_hole()
    router.announce(hole.address)
    await client.send(ask("/", "Content-Length: 10", method="POST") + b"half")
    await until(lambda: phases(router) == ["connect"])
    client.eof()
    assert (await router.at_rest()).client_aborts == 1


async def test_an_end_inside_a_body_that_is_collected_ends_it(lab: Lab) -> None:
    router = await lab.http(node := lab.uwsgi_node(), post_buffering=1000)
    client = await lab.open(router, ask("/", "Content-Length: 10", method="POST") + b"half")
    await until(lambda: phases(router) == ["body"])
    client.eof()
    await router.at_rest()
    assert (router.counters.client_aborts, node.connections) == (1, 0)


async def test_a_client_that_goes_during_the_answer_closes_the_node(lab: Lab) -> None:
    async def answer(peer: Peer, _request: Message) -> bool:
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.send(bytes(65_536))

    router = await lab.to(lab.http_node(answer))
    client = await lab.open(router, ask())
    await client.head()
    client.close()
    assert (await router.at_rest()).client_aborts == 1


# --- balancing ---


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("announced", [False, True])
async def test_uploads_are_spread_over_two_uwsgi_nodes(
    lab: Lab, framing: str, announced: bool
) -> None:
    """A body that is collected first does not spend a second turn."""
    nodes = [lab.uwsgi_node(), lab.uwsgi_node()]
    if announced:
        router = await lab.announced()
        for node in nodes:
            router.announce(node.address)
    else:
        router = await lab.http(to=tuple(node.address for node in nodes))
    chunked = ask("/", CHUNKED, method="POST") + chunks(b"12345")
    data = chunked if framing == "chunked" else post(b"12345")
    for _ in range(20):
        assert (await lab.get(router, data)).status == 200
    assert [len(node.requests) for node in nodes] == [10, 10]
    assert {body for node in nodes for body in node.bodies} == {b"12345"}


async def test_a_node_that_is_drained_while_a_body_is_collected_does_not_get_it(lab: Lab) -> None:
    nodes = [lab.uwsgi_node(), lab.uwsgi_node()]
    router = await lab.announced()
    for node in nodes:
        router.announce(node.address)
    client = await lab.open(router, ask("/", CHUNKED, method="POST") + b"5\r\n12")
    await until(lambda: router.counters.requests == 1)
    await a_few_turns()
    (chosen,) = (one for one in router.table.registry.pools[b"example.com"].nodes if one.wrr == 0)
    router.table.report(router.table.registry.drain(chosen))
    await client.send(b"345\r\n0\r\n\r\n")
    assert (await client.answer()).status == 200
    assert [node.bodies for node in nodes if node.address == chosen.name] == [[]]
    assert [node.bodies for node in nodes if node.address != chosen.name] == [[b"12345"]]


# --- combinations ---


async def test_a_half_close_reaches_a_uwsgi_node_behind_a_body_that_is_being_replayed(
    lab: Lab,
) -> None:
    """The client ends while its collected body is still on its way to the node."""
    router = await lab.http(node := lab.held(unix=True), keepalive=0)
    body = bytes(4 * MEGABYTE)
    client = await lab.open(router, ask("/", CHUNKED, method="POST"))
    await client.send(chunks(body))
    upstream = await node.next()
    assert (await upstream.packet()).length == len(body)
    client.eof()
    await until(lambda: upload_of(router).ended)
    assert len(await upstream.rest()) == len(body)
    await upstream.send(OK)
    upstream.close()
    assert (await client.answer()).status == 200
