"""HTTP connections of clients: keepalive, requests one after the other, ends."""

import asyncio
import socket

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import phases, upload_of
from tests.lab.lab import Lab
from tests.lab.messages import OK, Message, ask, chunks, post, says
from tests.lab.scripts import (
    Then,
    always,
    answers,
    closes_without_a_byte,
    never_answers,
    plays,
    with_its_request,
)
from tests.lab.waiting import a_few_turns, until

# --- keepalive ---


async def test_without_keepalive_each_connection_serves_one_request(lab: Lab) -> None:
    router = await lab.http(lab.node())
    client = await lab.open(router, ask() + ask("/second"))
    answer = await client.answer()
    assert (answer.status, answer.body, answer.closes) == (200, b"ok", True)
    assert await client.rest() == b""


async def test_with_keepalive_a_connection_serves_many(lab: Lab) -> None:
    router = await lab.to(node := lab.http_node(with_its_request))
    client = await lab.open(router)
    for number in range(5):
        await client.send(ask(f"/{number}"))
        answer = await client.answer()
        assert answer.body == b"GET /%d HTTP/1.1\n" % number
        assert answer.get("connection") is None
    assert (node.connections, router.gateway.active_sessions) == (1, 1)


@pytest.mark.parametrize("kept", [True, False])
async def test_http_10_is_kept_only_if_the_client_asks(lab: Lab, kept: bool) -> None:
    router = await lab.to(lab.http_node())
    lines = ("Connection: keep-alive",) if kept else ()
    client = await lab.open(router, ask("/", *lines, version="1.0"))
    answer = await client.answer()
    assert answer.get("connection") == (b"keep-alive" if kept else b"close")
    if kept:
        await client.send(ask("/", version="1.0"))
        assert (await client.answer()).closes
    assert await client.rest() == b""


async def test_a_client_that_says_close_is_closed(lab: Lab) -> None:
    router = await lab.to(lab.http_node())
    client = await lab.open(router, ask("/", "Connection: close"))
    assert (await client.answer()).closes
    assert await client.rest() == b""


async def test_an_idle_connection_is_closed_without_a_word(lab: Lab) -> None:
    router = await lab.to(lab.http_node(), keepalive=0.05)
    client = await lab.open(router, ask())
    await client.answer()
    assert await client.ending() == (b"", "closed")
    assert router.counters.failed == {}


async def test_an_idle_connection_that_the_client_closes_counts_nothing(lab: Lab) -> None:
    router = await lab.to(lab.http_node())
    await lab.get(router, ask())
    assert (await router.at_rest()).client_aborts == 0


async def test_a_line_end_behind_a_request_is_not_another_one(lab: Lab) -> None:
    """Some clients put one behind a body (RFC 9112 section 2.2)."""
    router = await lab.to(lab.http_node(), headers_timeout=0.05)
    client = await lab.open(router, post(b"body") + b"\r\n")
    await client.answer()
    assert await client.ending() == (b"", "closed")
    client = await lab.open(router, post(b"body") + b"\r\n")
    await client.answer()
    client.eof()
    assert await client.ending() == (b"", "closed")
    assert (await router.at_rest()).failed == {}


# --- pipelining ---


async def test_pipelined_requests_are_answered_in_order_one_at_a_time(lab: Lab) -> None:
    at_once = most = 0

    async def answer(peer: Peer, request: Message) -> bool:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await a_few_turns()
        at_once -= 1
        return await with_its_request(peer, request)

    router = await lab.to(lab.http_node(answer))
    client = await lab.open(
        router,
        ask("/1")
        + post(b"two", "/2")
        + ask("/3", "Transfer-Encoding: chunked", method="PUT")
        + chunks(b"th", b"ree")
        + ask("/4", method="HEAD")
        + ask("/5"),
    )
    found = [await client.answer(method) for method in ("GET", "POST", "PUT", "HEAD", "GET")]
    assert [answer.body for answer in found] == [
        b"GET /1 HTTP/1.1\n",
        b"POST /2 HTTP/1.1\ntwo",
        b"PUT /3 HTTP/1.1\nthree",
        b"",
        b"GET /5 HTTP/1.1\n",
    ]
    assert most == 1


async def test_what_follows_a_request_that_ends_the_connection_is_not_served(lab: Lab) -> None:
    router = await lab.to(node := lab.http_node())
    client = await lab.open(router, ask("/", "Connection: close") + ask("/2"))
    await client.answer()
    # Nor is the answer reset, although bytes were left unread.
    assert await client.ending() == (b"", "closed")
    client.close()
    await router.at_rest()
    assert [seen.start for seen in node.requests] == [b"GET / HTTP/1.1"]


@pytest.mark.parametrize("request_", [ask(), post(b"x")], ids=["get", "post"])
async def test_what_is_kept_of_pipelined_requests_is_bounded(lab: Lab, request_: bytes) -> None:
    node = lab.http_node()
    path = str(lab.path())
    router = await lab.to(node, listen=(path,))
    client = await lab.open(router)
    count = 8_000
    sending = asyncio.get_running_loop().create_task(client.send(request_ * count))
    for _ in range(40):
        assert (await client.answer()).status == 200
    pump = upload_of(router)
    limit = pump.buffer_limit + router.config.buffer_size
    assert len(pump.buffered) <= limit
    for _ in range(100):
        assert (await client.answer()).status == 200
    assert len(pump.buffered) <= limit
    sending.cancel()


async def test_a_bad_request_behind_a_good_one_is_refused_after_its_answer(lab: Lab) -> None:
    router = await lab.to(node := lab.http_node())
    client = await lab.open(router, ask() + b"BAD\r\n\r\n")
    assert (await client.answer()).status == 200
    answer = await client.answer()
    assert (answer.status, answer.closes) == (400, True)
    assert len(node.requests) == 1


# --- limits of the head ---


async def test_a_head_that_comes_byte_by_byte_is_read(lab: Lab) -> None:
    router = await lab.to(lab.http_node(with_its_request))
    client = await lab.open(router)
    for byte in ask("/slow"):
        await client.send(bytes((byte,)))
        await asyncio.sleep(0)
    assert (await client.answer()).body == b"GET /slow HTTP/1.1\n"


async def test_a_head_that_does_not_get_done_in_time_gets_408(lab: Lab) -> None:
    router = await lab.to(lab.http_node(), headers_timeout=0.05)
    client = await lab.open(router, ask()[:-2])
    answer = await client.answer()
    assert (answer.status, answer.closes) == (408, True)
    assert answer.get("x-uwsgi-router-reason") == b"head-timeout"
    client.close()
    assert "http-headers-timeout=0.05" in await lab.log.line("408 head-timeout")


async def test_nobody_can_stretch_the_deadline_of_a_head(lab: Lab) -> None:
    router = await lab.to(lab.http_node(), headers_timeout=0.1)
    client = await lab.open(router)

    async def trickle() -> None:
        for byte in ask("/", "X: " + "x" * 5_000):
            await client.send(bytes((byte,)))
            await asyncio.sleep(0.01)  # a slowloris, not waiting for anything

    trickling = asyncio.get_running_loop().create_task(trickle())
    answer = await client.answer()
    trickling.cancel()
    assert answer.status == 408


async def test_a_client_that_sends_nothing_is_closed_without_a_word(lab: Lab) -> None:
    router = await lab.to(lab.http_node(), headers_timeout=0.05)
    client = await lab.open(router)
    assert await client.ending() == (b"", "closed")
    assert (await router.at_rest()).requests == 0


async def test_the_deadline_of_a_second_head_begins_with_its_first_byte(lab: Lab) -> None:
    router = await lab.to(lab.http_node(), headers_timeout=0.1, keepalive=30)
    client = await lab.open(router, ask())
    await client.answer()
    await asyncio.sleep(0.15)  # idle, for longer than a head may take
    await client.send(ask())
    assert (await client.answer()).status == 200
    await client.send(b"GET")
    assert (await client.answer()).status == 408


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (ask("/", "X: " + "x" * 2000), 431),
        (ask("/" + "x" * 2000), 414),
        (ask("/", *(["X: y"] * 21)), 431),
    ],
    ids=["size", "target", "fields"],
)
async def test_heads_over_the_limits_are_refused(lab: Lab, head: bytes, status: int) -> None:
    router = await lab.to(node := lab.http_node(), max_head=1000, max_fields=20)
    assert (await lab.get(router, head)).status == status
    assert node.requests == []


async def test_a_large_head_gets_through(lab: Lab) -> None:
    router = await lab.to(node := lab.http_node())
    assert (await lab.get(router, ask("/", "X: " + "x" * 60_000))).status == 200
    assert len(node.requests[0].get("x") or b"") == 60_000


async def test_a_head_that_no_packet_can_hold_is_refused_with_431(lab: Lab) -> None:
    router = await lab.http(node := lab.node())
    lines = [f"X-{number}: {'x' * 1000}" for number in range(65)]
    assert (await lab.get(router, ask("/", *lines), "GET")).status == 431
    assert node.connections == 0


# --- refusals ---


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
        (ask("/", "Expect: a-miracle", body=b"x"), 417),
        (ask("/", "Transfer-Encoding: gzip", method="POST"), 501),
        (ask("/", host=None), 400),
    ],
    ids=["bare-lf", "tls", "version", "connect", "expectation", "coding", "no-host"],
)
async def test_what_is_no_request_of_ours_is_refused_truthfully(
    lab: Lab, data: bytes, status: int
) -> None:
    router = await lab.to(node := lab.http_node())
    client = await lab.open(router, data)
    answer = await client.answer()
    assert (answer.status, answer.closes) == (status, True)
    assert answer.get("cache-control") == b"no-store"
    assert await client.ending() == (b"", "closed")
    assert node.requests == []


async def test_a_refusal_is_not_reset_by_what_the_client_still_sends(lab: Lab) -> None:
    router = await lab.to(lab.http_node())
    client = await lab.open(router, b"BAD\r\n")
    for _ in range(20):
        await client.send(bytes(50_000))
    answer = await client.answer()
    assert answer.status == 400
    assert await client.ending() == (b"", "closed")


async def test_a_failure_is_not_reset_by_a_body_that_nobody_took(lab: Lab) -> None:
    router = await lab.http(to=(lab.refused_tcp(),), keepalive=0)
    client = await lab.open(router, ask("/", "Content-Length: 1000000", method="POST"))
    for _ in range(10):
        await client.send(bytes(100_000))
    answer = await client.answer()
    assert answer.status == 502
    assert await client.ending() == (b"", "closed")


async def test_nor_on_a_kept_connection_whose_last_body_was_complete(lab: Lab) -> None:
    """What is known of one body says nothing about the next."""
    node = lab.node(answers())
    router = await lab.announced()
    router.announce(node.address)
    client = await lab.open(router, post(b"first"))
    assert (await client.answer()).status == 200
    router.leave(node.address)
    await client.send(ask("/", "Content-Length: 1000000", method="POST"))
    assert (await client.answer()).status == 503
    assert await client.ending() == (b"", "closed")
    for _ in range(10):
        await client.send(bytes(100_000))


async def test_lingering_ends_when_the_client_does(lab: Lab) -> None:
    router = await lab.to(lab.http_node())
    client = await lab.open(router, b"BAD\r\n")
    await client.answer()
    assert router.gateway.active_sessions == 1
    client.close()
    await router.at_rest()


@pytest.mark.parametrize(
    "data",
    [
        b"BAD\r\n",
        ask("/", "Content-Length: 9", method="POST"),
        ask("/", "Connection: close") + ask(),
    ],
    ids=["refused", "failed", "answered"],
)
async def test_lingering_does_not_hold_up_a_stop(lab: Lab, data: bytes) -> None:
    """And the request is counted once: it was served by then."""
    if data.startswith(b"POST"):
        router = await lab.http(to=(lab.refused_tcp(),), keepalive=0)
    else:
        router = await lab.to(lab.http_node())
    client = await lab.open(router, data)
    await client.answer()
    await until(lambda: phases(router) == ["linger"])
    await router.stop(0)
    await router.at_rest()
    assert router.counters.failed["stopped"] == 0


async def test_with_errors_off_a_refusal_is_a_silent_close(lab: Lab) -> None:
    router = await lab.to(lab.http_node(), errors="close")
    client = await lab.open(router, b"BAD\r\n\r\n")
    assert (await client.ending())[0] == b""
    await router.at_rest()
    assert sum(router.counters.failed.values()) == 1


async def test_with_errors_off_a_failure_is_a_silent_close(lab: Lab) -> None:
    router = await lab.http(to=(lab.refused_tcp(),), errors="close")
    client = await lab.open(router, ask())
    assert (await client.ending())[0] == b""


# --- half-close ---


async def test_a_half_close_behind_a_request_reaches_a_uwsgi_node(lab: Lab) -> None:
    router = await lab.http(lab.node(plays(Then.END, OK)), keepalive=0)
    client = await lab.open(router, ask())
    client.eof()
    answer = await client.answer()
    assert (answer.status, answer.closes) == (200, True)
    assert await client.rest() == b""


@pytest.mark.parametrize("http", [False, True])
async def test_a_half_close_behind_several_requests_is_behind_the_last(
    lab: Lab, http: bool
) -> None:
    async def uwsgi(peer: Peer) -> None:
        await peer.packet()
        await peer.rest()
        await peer.send(OK)

    node = lab.http_node().address if http else lab.node(uwsgi).address
    router = await lab.http(to=(node,), backend_http=http, keepalive=0)
    client = await lab.open(router, ask("/1") + ask("/2") + post(b"body", "/3"))
    client.eof()
    answers = [await client.answer() for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert await client.rest() == b""
    assert (await router.at_rest()).completed == 3


async def test_also_if_it_came_before_the_node_was_connected(lab: Lab) -> None:
    hole = lab.black_hole()
    router = await lab.http(hole)
    client = await lab.open(router, ask())
    client.eof()
    await until(lambda: upload_of(router).ended)
    lab.node(plays(Then.END, OK), on=hole.listen())
    assert (await client.answer()).status == 200


async def test_a_half_close_does_not_reach_an_http_node(lab: Lab) -> None:
    """Some servers take it for the client's end."""
    router = await lab.http(node := lab.held(), backend_http=True, keepalive=0)
    client = await lab.open(router, ask())
    upstream = await node.next()
    await upstream.request()
    client.eof()
    await until(lambda: upload_of(router).ended)
    await a_few_turns()
    with pytest.raises(BlockingIOError):
        upstream.sock.recv(1, socket.MSG_PEEK)
    await upstream.send(OK)
    assert (await client.answer()).closes
    assert await client.rest() == b""


async def test_with_abort_on_eof_a_half_close_is_an_abort(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), abort_on_eof=True)
    client = await lab.open(router, ask())
    upstream, _ = await node.next_packet()
    client.eof()
    assert (await upstream.ending())[0] == b""
    assert (await router.at_rest()).client_aborts == 1


async def test_a_client_that_resets_closes_the_node_at_once(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), backend_http=True, keepalive=0)
    client = await lab.open(router, ask())
    upstream = await node.next()
    await upstream.request()
    client.reset()
    assert (await upstream.ending())[0] == b""
    assert (await router.at_rest()).client_aborts == 1


@pytest.mark.parametrize("sent", [b"GET", ask()[:-2]])
async def test_an_end_inside_a_head_is_told(lab: Lab, sent: bytes) -> None:
    router = await lab.to(lab.http_node())
    client = await lab.open(router, sent)
    client.eof()
    answer = await client.answer()
    assert answer.status == 400
    await lab.log.line("400 incomplete")


# --- methods and versions ---


@pytest.mark.parametrize("http", [True, False])
async def test_head_gets_the_length_and_no_body(lab: Lab, http: bool) -> None:
    if http:
        router = await lab.to(lab.http_node(always(says(b"", "Content-Length: 99", length=False))))
    else:
        node = lab.node(answers(says(b"", "Content-Length: 99", length=False)))
        router = await lab.http(node, keepalive=0)
    client = await lab.open(router, ask(method="HEAD"))
    for again in (True, True, False):
        answer = await client.answer("HEAD")
        assert (answer.status, answer.get("content-length")) == (200, b"99")
        if again:
            await client.send(ask(method="HEAD"))


async def test_errors_of_head_have_no_body(lab: Lab) -> None:
    router = await lab.http(to=(lab.refused_tcp(),))
    client = await lab.open(router, ask(method="HEAD"))
    answer = await client.answer("HEAD")
    assert answer.status == 502
    assert int(answer.get("content-length") or b"") > 0
    assert await client.rest() == b""


async def test_http_10_without_a_host_goes_by_the_name_of_the_machine(lab: Lab) -> None:
    router = await lab.to(node := lab.http_node())
    assert (await lab.get(router, ask("/", version="1.0", host=None))).status == 200
    name = f"{socket.gethostname()}:{router.address[1]}"
    assert node.requests[0].get("host") == name.encode()


async def test_a_request_in_absolute_form_goes_by_its_authority(lab: Lab) -> None:
    node = lab.http_node()
    router = await lab.announced()
    router.announce(node.address, b"other.example", proto="http")
    assert (await lab.get(router, ask("http://other.example/path?q"))).status == 200
    assert node.requests[0].target == b"/path?q"
    assert node.requests[0].get("host") == b"other.example"


async def test_an_unknown_host_gets_404(lab: Lab) -> None:
    router = await lab.announced()
    answer = await lab.get(router)
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (404, b"unknown-key")


async def test_a_known_host_without_a_node_gets_503(lab: Lab) -> None:
    router = await lab.announced()
    router.announce("127.0.0.1:9")
    router.leave("127.0.0.1:9")
    answer = await lab.get(router)
    assert (answer.status, answer.get("retry-after")) == (503, b"1")


async def test_a_node_that_does_not_answer_gets_504(lab: Lab) -> None:
    router = await lab.http(lab.node(never_answers), timeout=0.05)
    answer = await lab.get(router)
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (504, b"no-answer-in-time")


async def test_a_node_that_ends_without_an_answer_gets_502(lab: Lab) -> None:
    router = await lab.http(lab.node(closes_without_a_byte))
    answer = await lab.get(router, post(b"x"))
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (502, b"no-answer")


# --- raw protocols ---


async def test_source_passes_bytes_as_they_come(lab: Lab) -> None:
    """Icecast: no length, no framing, until one side closes."""

    async def script(peer: Peer) -> None:
        await peer.packet()
        await peer.send(b"HTTP/1.0 200 OK\r\n\r\n")
        while data := await peer.some():
            await peer.send(data.upper())

    router = await lab.http(lab.node(script), manage_source=True, keepalive=0)
    client = await lab.open(router, b"SOURCE /mount HTTP/1.0\r\n\r\nearly")
    assert await client.exactly(24) == b"HTTP/1.0 200 OK\r\n\r\nEARLY"
    await client.send(b"and late")
    assert await client.exactly(8) == b"AND LATE"
    client.eof()
    assert await client.rest() == b""
    assert (await router.at_rest()).completed == 1


async def test_rtsp_is_known_by_its_authority_and_passes_as_it_comes(lab: Lab) -> None:
    async def script(peer: Peer) -> None:
        packet = await peer.packet()
        await peer.send(b"RTSP/1.0 200 OK\r\n\r\n" + packet.variables[b"PATH_INFO"])
        await peer.send(await peer.rest())

    node = lab.node(script)
    router = await lab.announced(manage_rtsp=True)
    router.announce(node.address, b"camera.example")
    client = await lab.open(
        router, b"OPTIONS rtsp://camera.example/live RTSP/1.0\r\nCSeq: 1\r\n\r\nmore"
    )
    client.eof()
    assert await client.rest() == b"RTSP/1.0 200 OK\r\n\r\n/livemore"


async def test_rtsp_passes_over_nodes_that_speak_http(lab: Lab) -> None:
    """However many there are, and whoever's turn it is."""
    said = b"RTSP/1.0 200 OK\r\n\r\n"
    router = await lab.announced(manage_rtsp=True)
    others = [lab.http_node() for _ in range(3)]
    for node in (*others[:2], lab.node(answers(said)), others[2]):
        router.announce(node.address, b"a", proto="uwsgi" if node not in others else "http")
    for _ in range(4):
        client = await lab.open(router, b"OPTIONS rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        client.eof()
        assert await client.rest() == said
    assert [node.connections for node in others] == [0, 0, 0]
    assert (await router.at_rest()).retries == 0


async def test_rtsp_goes_to_a_fallback_that_speaks_uwsgi(lab: Lab) -> None:
    said = b"RTSP/1.0 200 OK\r\n\r\n"
    fallback = lab.node(answers(said))
    router = await lab.announced(manage_rtsp=True, fallback=(fallback.address,))
    router.announce(lab.http_node().address, b"a", proto="http")
    client = await lab.open(router, b"OPTIONS rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\n\r\n")
    client.eof()
    assert await client.rest() == said


async def test_rtsp_does_not_wait_for_a_node_that_speaks_uwsgi(lab: Lab) -> None:
    router = await lab.announced(manage_rtsp=True, hold=30)
    router.announce(lab.http_node().address, b"a", proto="http")
    answer = await lab.get(router, b"OPTIONS rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\n\r\n")
    assert answer.status == 501
    assert (await router.at_rest()).failed == {"rtsp": 1}


async def test_rtsp_is_refused_unless_it_is_welcome(lab: Lab) -> None:
    router = await lab.to(lab.http_node())
    answer = await lab.get(router, b"OPTIONS rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\n\r\n")
    assert answer.status in {400, 505}
