"""Answers over HTTP: framing for each kind of client, 1xx, ends that come too early, answers that are none."""

import asyncio
import zlib

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import client_link, living, node_links
from tests.lab.lab import Lab
from tests.lab.messages import OK, Message, ask, chunks, post, says
from tests.lab.nodes import Node
from tests.lab.scripts import Answerer, Then, always, answers, plays
from tests.lab.waiting import until
from uwsgi_router.router.proxy.directions import Answers

MEGABYTE = 1024 * 1024
LONG = bytes(range(256)) * 1024  # several reads
BODIES = {"short": b"hello", "long": LONG}


def framed(framing: str, body: bytes, *lines: str) -> bytes:
    """A node's answer with this body."""
    if framing == "length":
        return says(body, *lines)
    if framing == "chunked":
        pieces = [body[at : at + 40_000] for at in range(0, len(body), 40_000)]
        return says(b"", "Transfer-Encoding: chunked", *lines, length=False) + chunks(*pieces)
    return says(body, *lines, length=False)


def http_or_uwsgi(lab: Lab, http: bool, data: bytes, *, close: bool = False) -> Node:
    return lab.http_node(always(data, close=close)) if http else lab.node(answers(data))


# What the client gets: (framing of the node, version of the client, keepalive, auto-chunked) ->
# (framing, the connection is kept).
EXPECTED = {
    ("length", "1.1", True, False): ("length", True),
    ("length", "1.1", False, False): ("length", False),
    ("length", "1.0", True, False): ("length", True),
    ("length", "1.0", False, False): ("length", False),
    ("chunked", "1.1", True, False): ("chunked", True),
    ("chunked", "1.1", False, False): ("chunked", False),
    ("chunked", "1.0", True, False): ("end", False),
    ("chunked", "1.0", False, False): ("end", False),
    ("end", "1.1", True, False): ("end", False),
    ("end", "1.1", True, True): ("chunked", True),
    ("end", "1.1", False, True): ("end", False),
    ("end", "1.0", True, True): ("end", False),
    ("end", "1.0", False, False): ("end", False),
}


@pytest.mark.parametrize("size", BODIES)
@pytest.mark.parametrize("http", [False, True], ids=["uwsgi", "http"])
@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: "-".join(map(str, case)))
async def test_every_framing_is_said_so_that_the_client_understands_it(
    lab: Lab, case: tuple[str, str, bool, bool], http: bool, size: str
) -> None:
    framing, version, keepalive, auto_chunked = case
    body = BODIES[size]
    node = http_or_uwsgi(lab, http, framed(framing, body), close=framing == "end")
    router = await lab.http(
        node,
        backend_http=http,
        keepalive=0 if keepalive else None,
        auto_chunked=auto_chunked,
    )
    request = ask("/", "Connection: keep-alive", version=version)
    client = await lab.open(router, request)
    answer = await client.answer()
    expected, kept = EXPECTED[case]
    assert (answer.start, answer.framing) == (b"HTTP/1.1 200 OK", expected)
    assert answer.body == body
    assert answer.closes is not kept
    if kept:
        await client.send(request)
        assert (await client.answer()).body == body
    else:
        assert await client.rest() == b""


@pytest.mark.parametrize("size", BODIES)
@pytest.mark.parametrize("framing", ["length", "chunked", "end"])
@pytest.mark.parametrize(
    ("version", "keepalive", "expected"),
    [("1.1", True, "chunked"), ("1.1", False, "end"), ("1.0", True, "end")],
)
async def test_an_answer_is_compressed_if_the_node_asks_for_it(
    lab: Lab, size: str, framing: str, version: str, keepalive: bool, expected: str
) -> None:
    if framing == "chunked" and version == "1.1":
        expected = "chunked"
    body = BODIES[size]
    node = lab.http_node(
        always(framed(framing, body, "uWSGI-Encoding: gzip", 'ETag: "x"'), close=framing == "end")
    )
    router = await lab.to(node, auto_gzip=True, keepalive=0 if keepalive else None)
    lines = ("Accept-Encoding: gzip", "Connection: keep-alive")
    client = await lab.open(router, ask("/", *lines, version=version))
    answer = await client.answer()
    assert zlib.decompress(answer.body, 31) == body
    assert answer.framing == expected
    assert answer.get("content-encoding") == b"gzip"
    assert answer.get("vary") == b"Accept-Encoding"
    assert answer.get("etag") == b'W/"x"'
    assert answer.get("uwsgi-encoding") is None
    if not answer.closes:
        await client.send(ask())
        plain = await client.answer()
        assert plain.body == body
        assert plain.get("content-encoding") is None
        assert plain.get("vary") == b"Accept-Encoding"


@pytest.mark.parametrize(
    "answer",
    [
        says(b"x", "uWSGI-Encoding: gzip", "Content-Encoding: br"),
        says(b"x", "uWSGI-Encoding: gzip", "Cache-Control: no-transform"),
        says(b"x", "uWSGI-Encoding: gzip", "Content-Range: bytes 0-0/9", status="206 Partial"),
        says(b"", "uWSGI-Encoding: gzip"),
        says(b"x"),
    ],
    ids=["encoded", "no-transform", "partial", "empty", "not-asked-for"],
)
async def test_what_must_not_be_compressed_is_not(lab: Lab, answer: bytes) -> None:
    router = await lab.to(lab.http_node(always(answer)), auto_gzip=True)
    got = await lab.get(router, ask("/", "Accept-Encoding: gzip"))
    assert got.body == answer.partition(b"\r\n\r\n")[2]
    assert got.get("content-encoding") != b"gzip"


async def test_event_streams_arrive_event_by_event_compressed_or_not(lab: Lab) -> None:
    node = lab.held()
    router = await lab.http(
        node,
        backend_http=True,
        auto_gzip=True,
        keepalive=0,
        response_buffering=MEGABYTE,
    )
    for accepts in ("gzip", "identity"):
        client = await lab.open(router, ask("/", f"Accept-Encoding: {accepts}"))
        upstream, _ = await node.next_head()
        await upstream.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"uWSGI-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        head = await client.head()
        inflate = zlib.decompressobj(31) if head.get("content-encoding") else None
        for event in (b"data: 1\n\n", b"data: 2\n\n"):
            await upstream.send(b"%x\r\n%b\r\n" % (len(event), event))
            piece = await client.chunk()
            assert (inflate.decompress(piece) if inflate else piece) == event
        client.reset()
        await upstream.ending()


# --- answers without a body ---


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("length", ["", "Content-Length: 5"])
@pytest.mark.parametrize("http", [False, True])
async def test_204_and_304_end_with_their_head(
    lab: Lab, http: bool, status: str, length: str
) -> None:
    node = http_or_uwsgi(lab, http, says(b"", *filter(None, [length]), status=status, length=False))
    router = await lab.http(node, backend_http=http, keepalive=0, auto_chunked=True, auto_gzip=True)
    client = await lab.open(router)
    for _ in range(2):
        await client.send(ask("/", "Accept-Encoding: gzip"))
        answer = await client.answer()
        assert answer.start == f"HTTP/1.1 {status}".encode()
        assert answer.get("transfer-encoding") is None
        wanted = b"5" if length and status.startswith("304") else None
        assert answer.get("content-length") == wanted
        assert not answer.closes


@pytest.mark.parametrize("framing", ["length", "chunked", "end"])
@pytest.mark.parametrize("gzip", [False, True])
async def test_head_ends_with_its_head_whatever_it_announces(
    lab: Lab, framing: str, gzip: bool
) -> None:
    head = framed(framing, b"hello", *(["uWSGI-Encoding: gzip"] if gzip else []))
    head = head.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    router = await lab.to(node := lab.http_node(always(head)), auto_chunked=True, auto_gzip=True)
    client = await lab.open(router)
    for _ in range(2):
        await client.send(ask("/", "Accept-Encoding: gzip", method="HEAD"))
        assert (await client.answer("HEAD")).status == 200
    assert node.connections == 1


async def test_the_fields_of_an_answer_pass_and_those_of_the_connection_do_not(lab: Lab) -> None:
    node = lab.http_node(
        always(
            says(
                b"",
                "Set-Cookie: a=1",
                "Set-Cookie: b=2",
                "Connection: X-Secret, keep-alive",
                "X-Secret: 1",
                "Keep-Alive: timeout=5",
                "X-Other:  kept ",
            )
        )
    )
    answer = await lab.get(await lab.to(node))
    assert [value for name, value in answer.fields if name == b"set-cookie"] == [b"a=1", b"b=2"]
    assert answer.get("x-other") == b"kept"
    for name in ("x-secret", "keep-alive", "connection"):
        assert answer.get(name) is None


async def test_a_uwsgi_node_may_answer_like_cgi(lab: Lab) -> None:
    router = await lab.http(lab.node(answers(b"Status: 404 Not Found\r\nX: y\r\n\r\nnot here")))
    answer = await lab.get(router)
    assert (answer.start, answer.body) == (b"HTTP/1.1 404 Not Found", b"not here")
    assert answer.get("status") is None


# --- 1xx ---

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"


@pytest.mark.parametrize("http", [False, True])
async def test_interim_answers_are_passed_on(lab: Lab, http: bool) -> None:
    node = http_or_uwsgi(lab, http, HINTS + b"HTTP/1.1 102 Processing\r\n\r\n" + HINTS + OK)
    router = await lab.http(node, backend_http=http, keepalive=0)
    client = await lab.open(router)
    for _ in range(2):
        await client.send(ask())
        got = [await client.answer() for _ in range(4)]
        assert [answer.status for answer in got] == [103, 102, 103, 200]
        assert got[0].get("link") == b"</a>; rel=preload"


async def test_interim_answers_come_when_they_are_sent(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), backend_http=True)
    client = await lab.open(router, ask())
    upstream, _ = await node.next_head()
    for byte in HINTS:
        await upstream.send(bytes((byte,)))
    assert (await client.answer()).status == 103
    await upstream.send(OK)
    assert (await client.answer()).status == 200


async def test_http_10_clients_see_no_interim_answers(lab: Lab) -> None:
    router = await lab.to(lab.http_node(always(HINTS + OK)))
    assert (await lab.get(router, ask(version="1.0"))).status == 200


async def test_a_node_that_never_gets_to_the_point_is_given_up(lab: Lab) -> None:
    router = await lab.to(lab.http_node(always(HINTS * 33 + OK)))
    client = await lab.open(router, ask())
    statuses = [(await client.answer()).status for _ in range(33)]
    assert statuses == [103] * 32 + [502]


async def test_an_end_after_an_interim_answer_is_no_answer(lab: Lab) -> None:
    """Nor is the request sent again: the node has begun to work on it."""
    bad, good = lab.http_node(always(HINTS, close=True)), lab.http_node()
    router = await lab.to(bad, good)
    client = await lab.open(router, ask())
    assert [(await client.answer()).status for _ in range(2)] == [103, 502]
    assert good.requests == []


# --- answers that end too early ---


@pytest.mark.parametrize("ends", ["close", "reset"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("http", [False, True])
async def test_an_answer_that_is_cut_short_never_passes_for_a_whole_one(
    lab: Lab, http: bool, framing: str, version: str, ends: str
) -> None:
    """The client is reset: an orderly end would be the end of the body for HTTP/1.0."""
    seen = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.either_head(http=http)
        await peer.send(framed(framing, b"x" * 5000)[:-700])
        await seen.wait()
        if ends == "reset":
            peer.reset()

    node = lab.node(script)
    router = await lab.http(node, backend_http=http, keepalive=0, auto_gzip=True)
    client = await lab.open(router, ask(version=version))
    await client.head()
    seen.set()
    body, how = await client.ending()
    assert how == "reset"
    assert not body.endswith(b"0\r\n\r\n")
    line = await lab.log.line("502 cut-short")
    assert node.address in line
    assert (await router.at_rest()).failed == {"cut-short": 1}


async def test_a_reset_of_an_answer_without_a_length_is_no_end_of_it(lab: Lab) -> None:
    seen = asyncio.Event()

    router = await lab.http(
        lab.node(plays(b"HTTP/1.1 200 OK\r\n\r\nhalf of an ans", seen, Then.RESET, http=True)),
        backend_http=True,
        keepalive=0,
        auto_chunked=True,
    )
    client = await lab.open(router, ask())
    await client.head()
    seen.set()
    body, how = await client.ending()
    assert how == "reset"
    assert not body.endswith(b"0\r\n\r\n")


async def test_a_compressed_answer_that_is_cut_short_is_not_completed(lab: Lab) -> None:
    router = await lab.to(
        lab.http_node(always(says(b"x" * 99, "uWSGI-Encoding: gzip")[:-1], close=True)),
        auto_gzip=True,
    )
    client = await lab.open(router, ask("/", "Accept-Encoding: gzip"))
    body, how = await client.ending()
    assert how == "reset"
    assert not body.endswith(b"0\r\n\r\n")


async def test_a_chunked_answer_that_breaks_its_framing_is_cut_off(lab: Lab) -> None:
    router = await lab.to(
        lab.http_node(
            always(
                says(b"", "Transfer-Encoding: chunked", length=False) + b"3\r\nabcX\r\n0\r\n\r\n"
            )
        )
    )
    client = await lab.open(router, ask())
    assert (await client.ending())[1] == "reset"
    assert "a chunk's data is not followed by CR LF" in await lab.log.line("502 bad-answer")


async def test_a_node_that_stalls_inside_its_answer_cuts_it_short(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), backend_http=True, timeout=0.1)
    client = await lab.open(router, ask())
    upstream, _ = await node.next_head()
    await upstream.send(OK[:-1])
    await client.head()
    assert (await client.ending())[1] == "reset"
    await lab.log.line("504 stalled")


# --- answers that go on too long, or are none ---


@pytest.mark.parametrize("how", ["at once", "later"])
async def test_what_a_node_sends_behind_its_answer_reaches_nobody(lab: Lab, how: str) -> None:
    """Neither this client nor the next: it could be an answer that an attacker wrote."""
    forged = says(b"forged")

    async def answer(peer: Peer, _request: Message) -> bool:
        if how == "at once":
            await peer.send(OK + forged)
        else:
            await peer.send(OK)
            await peer.send(forged)
        return True

    router = await lab.to(node := lab.http_node(answer))
    client = await lab.open(router)
    for _ in range(3):
        await client.send(ask())
        assert (await client.answer()).body == b"ok"
        await until(lambda: router.gateway.upstreams.idle == 0)
    assert node.connections == 3
    if how == "at once":
        await lab.log.line("bytes more than its answer announced")


async def test_a_body_that_a_node_sends_for_head_reaches_nobody(lab: Lab) -> None:
    router = await lab.to(node := lab.http_node(always(says(b"body of a HEAD"))))
    client = await lab.open(router, ask(method="HEAD"))
    assert (await client.answer("HEAD")).status == 200
    await client.send(ask("/next"))
    assert (await client.answer()).body == b"body of a HEAD"
    assert node.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: evil\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    ],
    ids=["ssh", "http2", "bare-lf", "lengths", "cl-te", "no-field", "large", "101"],
)
@pytest.mark.parametrize("http", [False, True])
async def test_what_is_no_answer_becomes_502(lab: Lab, http: bool, answer: bytes) -> None:
    node = http_or_uwsgi(lab, http, answer, close=True)
    router = await lab.http(node, backend_http=http, keepalive=0)
    got = await lab.get(router)
    assert (got.status, got.get("x-uwsgi-router-reason")) == (502, b"bad-answer")
    assert node.address in await lab.log.line("502 bad-answer")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX: y",
        b"HTTP/1.1 2",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1",
    ],
    ids=["head", "status-line", "behind-103", "behind-100"],
)
@pytest.mark.parametrize("http", [False, True])
async def test_an_answer_that_ends_inside_its_head_is_cut_short(
    lab: Lab, http: bool, answer: bytes
) -> None:
    node = http_or_uwsgi(lab, http, answer, close=True)
    router = await lab.http(node, backend_http=http, keepalive=0)
    client = await lab.open(router, ask())
    while (got := await client.answer()).status < 200:
        pass
    assert (got.status, got.get("x-uwsgi-router-reason")) == (502, b"cut-short")
    assert node.address in await lab.log.line("502 cut-short")


@pytest.mark.parametrize("http", [False, True])
async def test_a_client_hears_which_protocol_it_should_have_asked_for(lab: Lab, http: bool) -> None:
    upgrade = ("Upgrade: HTTP/2.0", "Connection: Upgrade")
    said = says(b"no", *upgrade, status="426 Upgrade Required")
    node = http_or_uwsgi(lab, http, said, close=True)
    router = await lab.http(node, backend_http=http, keepalive=0)
    got = await lab.get(router)
    assert (got.status, got.get("upgrade"), got.body) == (426, b"HTTP/2.0", b"no")
    assert b"Upgrade" in (got.get("connection") or b"")


async def test_an_answer_is_no_answer_to_a_request_that_was_cut_off(lab: Lab) -> None:
    """A 502 of ours to a request whose body is still to come ends the connection."""
    router = await lab.to(lab.http_node(always(b"garbage\r\n", close=True)))
    answer = await lab.get(router, ask("/", "Content-Length: 9", method="POST") + b"123456789")
    assert (answer.status, answer.closes) == (502, True)


# --- a client that reads slowly ---


def floods(size: int) -> Answerer:
    async def answer(peer: Peer, _request: Message) -> bool:
        await peer.send(says(bytes(size)))
        return True

    return answer


async def test_without_response_buffering_a_slow_client_holds_its_node(lab: Lab) -> None:
    node = lab.http_node(floods(8 * MEGABYTE), unix=True)
    router = await lab.to(node, listen=(str(lab.path()),))
    client = await lab.open(router, ask())
    await client.head()
    link = client_link(router)
    await until(lambda: link.backlog)
    assert link.backlog < MEGABYTE
    assert node_links(router)
    assert len(await client.exactly(8 * MEGABYTE)) == 8 * MEGABYTE
    await client.send(ask())
    assert len((await client.answer()).body) == 8 * MEGABYTE


async def test_with_response_buffering_the_node_is_free_while_the_client_reads(lab: Lab) -> None:
    node = lab.http_node(floods(4 * MEGABYTE), unix=True)
    router = await lab.to(node, listen=(str(lab.path()),), response_buffering=8 * MEGABYTE)
    client = await lab.open(router, ask())
    await client.head()
    await until(lambda: router.gateway.upstreams.idle == 1)
    link = client_link(router)
    assert link.backlog > 2 * MEGABYTE
    assert len(await client.exactly(4 * MEGABYTE)) == 4 * MEGABYTE
    await client.send(ask())
    assert len((await client.answer()).body) == 4 * MEGABYTE
    assert node.connections == 1


async def test_response_buffering_has_a_limit(lab: Lab) -> None:
    node = lab.http_node(floods(16 * MEGABYTE), unix=True)
    router = await lab.to(node, listen=(str(lab.path()),), response_buffering=2 * MEGABYTE)
    client = await lab.open(router, ask())
    await client.head()
    link = client_link(router)
    await until(lambda: link.backlog > 2 * MEGABYTE)
    assert link.backlog < 3 * MEGABYTE
    assert node_links(router)
    assert len(await client.exactly(16 * MEGABYTE)) == 16 * MEGABYTE


@pytest.mark.parametrize(
    "line", ["X-Accel-Buffering: no", "Content-Type: text/event-stream; charset=utf-8"]
)
async def test_nothing_is_buffered_that_says_so(lab: Lab, line: str) -> None:
    async def answer(peer: Peer, _request: Message) -> bool:
        await peer.send(says(bytes(16 * MEGABYTE), line))
        return True

    node = lab.http_node(answer, unix=True)
    router = await lab.to(node, listen=(str(lab.path()),), response_buffering=32 * MEGABYTE)
    client = await lab.open(router, ask())
    await client.head()
    link = client_link(router)
    await until(lambda: link.backlog)
    assert link.backlog < MEGABYTE
    client.close()


@pytest.mark.parametrize("buffering", [0, 8 * MEGABYTE])
async def test_a_client_that_reads_nothing_is_blamed_itself(lab: Lab, buffering: int) -> None:
    node = lab.http_node(floods(4 * MEGABYTE), unix=True)
    router = await lab.to(
        node, listen=(str(lab.path()),), response_buffering=buffering, timeout=0.1
    )
    client = await lab.open(router, ask())
    await client.head()
    await lab.log.line("408 client-stalled")
    await router.at_rest()
    assert lab.log.having("stalled inside") == []


async def test_post_and_get_of_one_client_get_each_its_own_answer(lab: Lab) -> None:
    async def answer(peer: Peer, request: Message) -> bool:
        await peer.send(says(request.start + request.body))
        return True

    router = await lab.to(lab.http_node(answer), lab.http_node(answer))
    client = await lab.open(router)
    for number in range(20):
        await client.send(ask(f"/{number}") + post(b"%d" % number))
        assert (await client.answer()).body == b"GET /%d HTTP/1.1" % number
        assert (await client.answer()).body == b"POST / HTTP/1.1%d" % number


@pytest.mark.parametrize(("size", "chunk"), [(500_000, 65_536), (4_000_000, 262_144)])
async def test_more_is_read_at_once_of_a_long_body(lab: Lab, size: int, chunk: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    held = asyncio.Event()

    async def answer(peer: Peer, _request: Message) -> bool:
        await peer.send(head + bytes(size - 1))
        await held.wait()
        await peer.send(b"!")
        return True

    router = await lab.to(lab.http_node(answer))
    client = await lab.open(router, ask())
    await client.head()
    await client.exactly(size - 1)
    (pump,) = [one for one in living(Answers) if one.fiber.poller is router.gateway.context.poller]
    assert pump.chunk == chunk
    del pump
    held.set()
    assert await client.exactly(1) == b"!"
    client.close()
