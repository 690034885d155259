"""A web server over uwsgi, nodes over HTTP: packets become requests, answers lose their framing."""

from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import counts, only_node, phases
from tests.lab.lab import Lab
from tests.lab.messages import OK, Message, chunks, packet, request, says
from tests.lab.nodes import Node
from tests.lab.router import Router
from tests.lab.scripts import always, with_its_request
from tests.lab.waiting import a_few_turns, until
from uwsgi_router.router.config.model import RouterConfig


async def fastrouter(lab: Lab, *nodes: Node, **options: Any) -> Router:
    return await lab.router(to=tuple(node.address for node in nodes), backend_http=True, **options)


def nginx(method: str = "GET", target: str = "/", **more: Any) -> bytes:
    """What nginx sends with its usual uwsgi_params."""
    return request(
        method,
        REQUEST_URI=target,
        PATH_INFO=target,
        REMOTE_ADDR="192.0.2.7",
        REQUEST_SCHEME="https",
        **more,
    )


async def answer_to(lab: Lab, router: Router, data: bytes) -> tuple[bytes, str]:
    client = await lab.open(router, data)
    found = await client.ending()
    client.close()
    return found


# --- the request ---


async def test_a_packet_becomes_a_request(lab: Lab) -> None:
    node = lab.http_node()
    router = await fastrouter(lab, node)
    data = nginx(
        "GET",
        "/path?a=b",
        HTTP_USER_AGENT="curl",
        HTTP_X_FOO="bar",
        HTTP_CONNECTION="keep-alive, X-Foo",
        HTTP_KEEP_ALIVE="300",
        HTTP_TE="trailers",
        HTTP_TRANSFER_ENCODING="",
    )
    assert await answer_to(lab, router, data) == (OK, "closed")
    (seen,) = node.requests
    assert seen.start == b"GET /path?a=b HTTP/1.1"
    assert seen.get("host") == b"example.com"
    assert seen.get("user-agent") == b"curl"
    assert seen.get("x-foo") == b"bar"
    assert seen.get("x-forwarded-for") == b"192.0.2.7"
    assert seen.get("x-forwarded-proto") == b"https"
    for name in ("connection", "keep-alive", "te", "transfer-encoding", "content-length"):
        assert seen.get(name) is None


async def test_what_http_cannot_say_goes_to_a_node_that_speaks_uwsgi(lab: Lab) -> None:
    node, sibling = lab.http_node(), lab.node()
    router = await lab.subscribed()
    router.announce(node.address, proto="http")
    router.announce(sibling.address)
    for _ in range(2):
        assert await answer_to(lab, router, nginx(HTTP_X_FOO="a\nb")) == (OK, "closed")
    assert (node.connections, sibling.connections) == (0, 2)


async def test_a_body_has_exactly_the_announced_length(lab: Lab) -> None:
    """What follows it would be a second request at the node."""
    node = lab.http_node(with_its_request)
    router = await fastrouter(lab, node)
    data = packet(
        [
            ("REQUEST_METHOD", "POST"),
            ("REQUEST_URI", "/"),
            ("HTTP_HOST", "example.com"),
            ("CONTENT_LENGTH", "5"),
            ("CONTENT_TYPE", "text/plain"),
            ("HTTP_CONTENT_LENGTH", "500"),
        ]
    )
    answer, _ = await answer_to(lab, router, data + b"12345GET /smuggled HTTP/1.1\r\n\r\n")
    assert answer.endswith(b"POST / HTTP/1.1\n12345")
    await a_few_turns()
    assert len(node.requests) == 1
    assert node.requests[0].get("content-length") == b"5"


async def test_bytes_behind_a_request_without_a_body_are_no_request(lab: Lab) -> None:
    node = lab.http_node()
    router = await fastrouter(lab, node)
    answer, _ = await answer_to(lab, router, nginx() + b"GET /smuggled HTTP/1.1\r\n\r\n")
    assert answer == OK
    await router.at_rest()
    assert [seen.target for seen in node.requests] == [b"/"]
    assert await counts(router, only_node(router)) == (0, 1)


@pytest.mark.parametrize("buffered", [0, 1000])
async def test_a_body_streams_or_is_collected(lab: Lab, buffered: int) -> None:
    router = await lab.router(node := lab.held(), backend_http=True, post_buffering=buffered)
    data = request("POST", REQUEST_URI="/", length=10)
    client = await lab.open(router, data + b"12345")
    if buffered:
        await until(lambda: phases(router) == ["body"])
        assert node.connections == 0
    else:
        upstream, _ = await node.next_head()
        assert await upstream.exactly(5) == b"12345"
    await client.send(b"67890")
    if buffered:
        upstream = await node.next()
        assert (await upstream.request()).body == b"1234567890"
    else:
        assert await upstream.exactly(5) == b"67890"
    await upstream.send(OK)
    assert await client.rest() == OK


async def test_a_chunked_body_that_the_web_server_did_not_decode_is_refused(lab: Lab) -> None:
    """Its length would be anybody's guess."""
    node = lab.http_node()
    router = await fastrouter(lab, node, errors="http")
    answer, _ = await answer_to(lab, router, nginx("POST", HTTP_TRANSFER_ENCODING="chunked"))
    assert answer.startswith(b"HTTP/1.1 411 ")
    assert node.requests == []


@pytest.mark.parametrize(
    "more",
    [
        {"HTTP_X_FOO": "a\r\nX-Evil: b"},
        {"HTTP_X_FOO": "a\nb"},
        {"HTTP_X-FOO": "a"},
        {"REQUEST_URI": "/ HTTP/1.1\r\nX: y"},
        {"REQUEST_METHOD": "GET /evil"},
    ],
)
async def test_what_http_could_read_otherwise_is_refused(lab: Lab, more: dict[str, str]) -> None:
    node = lab.http_node()
    router = await fastrouter(lab, node, errors="http")
    variables = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/", "HTTP_HOST": "example.com", **more}
    answer, _ = await answer_to(lab, router, packet(variables.items()))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert node.requests == []
    assert await counts(router, only_node(router)) == (0, 0)


# --- the answer ---


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    "body", [b"", b"hello", bytes(range(256)) * 4096], ids=["empty", "short", "long"]
)
async def test_every_framing_becomes_an_answer_that_ends_with_the_connection(
    lab: Lab, body: bytes, version: str
) -> None:
    chunked = says(b"", "Transfer-Encoding: chunked", "Keep-Alive: timeout=9", length=False)
    said = {
        "length": says(body, version=version),
        "chunked": chunked + chunks(*([body[:3], body[3:]] if body[3:] else [])),
        "end": says(body, length=False, version=version),
    }
    if len(body) < 4:
        said["chunked"] = chunked + chunks(*filter(None, [body]))
    for framing, data in said.items():
        router = await fastrouter(lab, lab.http_node(always(data, close=framing == "end")))
        answer, how = await answer_to(lab, router, nginx())
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert (rest, how) == (body, "closed")
        assert head.startswith(b"HTTP/1.1 200 OK")
        for name in (b"transfer-encoding", b"connection", b"keep-alive"):
            assert name not in head.lower()
        if framing == "length":
            assert b"Content-Length: %d" % len(body) in head


async def test_interim_answers_are_swallowed(lab: Lab) -> None:
    """A web server would take the first head for the final one."""
    router = await fastrouter(
        lab, lab.http_node(always(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK))
    )
    assert await answer_to(lab, router, nginx()) == (OK, "closed")


async def test_a_100_is_swallowed_and_the_body_goes_on(lab: Lab) -> None:
    async def answer(peer: Peer, request: Message) -> bool:
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" + says(request.body))
        return True

    router = await fastrouter(lab, lab.http_node(answer))
    data = request("POST", REQUEST_URI="/", HTTP_EXPECT="100-continue", length=4) + b"body"
    assert await answer_to(lab, router, data) == (says(b"body"), "closed")


@pytest.mark.parametrize(
    "answer",
    [
        says(b"x" * 100)[:-10],
        says(b"", "Transfer-Encoding: chunked", length=False) + b"5\r\nabc",
        says(b"", "Transfer-Encoding: chunked", length=False) + b"3\r\nabc\r\n",
    ],
)
async def test_a_truncated_answer_ends_in_a_reset(lab: Lab, answer: bytes) -> None:
    """An orderly end would make it whole, and the web server would keep it in its cache."""
    router = await fastrouter(lab, lab.http_node(always(answer, close=True)))
    assert (await answer_to(lab, router, nginx()))[1] == "reset"
    await lab.log.line("502 cut-short")


@pytest.mark.parametrize("errors", ["http", "close"])
async def test_what_is_no_answer_is_said_as_configured(lab: Lab, errors: str) -> None:
    router = await fastrouter(lab, lab.http_node(always(b"garbage\r\n", close=True)), errors=errors)
    answer, _ = await answer_to(lab, router, nginx())
    assert answer.startswith(b"HTTP/1.1 502 ") if errors == "http" else answer == b""


@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")],
)
async def test_answers_without_a_body_end_with_their_head(
    lab: Lab, method: str, status: str
) -> None:
    said = says(b"", 'ETag: "x"', status=status, length=False)
    node = lab.http_node(always(said))
    router = await fastrouter(lab, node)
    for _ in range(2):
        assert await answer_to(lab, router, nginx(method)) == (said, "closed")
    assert node.connections == 1


# --- the node's connection ---


async def test_the_nodes_connection_is_kept(lab: Lab) -> None:
    node = lab.http_node(with_its_request)
    router = await fastrouter(lab, node)
    for number in range(5):
        answer, _ = await answer_to(lab, router, nginx("GET", f"/{number}"))
        assert answer.endswith(b"GET /%d HTTP/1.1\n" % number)
    assert node.connections == 1
    assert (await router.at_rest()).completed == 5


async def test_one_that_was_closed_meanwhile_loses_nothing(lab: Lab) -> None:
    async def answer(peer: Peer, _request: Message) -> bool:
        await peer.send(OK)
        return False

    node = lab.http_node(answer)
    router = await fastrouter(lab, node)
    for _ in range(10):
        assert (await answer_to(lab, router, nginx()))[0] == OK
        post = request("POST", REQUEST_URI="/", length=4) + b"body"
        assert (await answer_to(lab, router, post))[0] == OK


async def test_a_half_close_of_the_web_server_does_not_reach_the_node(lab: Lab) -> None:
    router = await lab.router(node := lab.held(), backend_http=True)
    client = await lab.open(router, nginx())
    upstream = await node.next()
    await upstream.request()
    client.eof()
    await a_few_turns()
    await upstream.send(OK)
    assert await client.rest() == OK


async def test_an_end_inside_a_body_closes_the_node_at_once(lab: Lab) -> None:
    router = await lab.router(node := lab.held(), backend_http=True)
    client = await lab.open(router, request("POST", REQUEST_URI="/", length=10) + b"half")
    upstream, _ = await node.next_head()
    assert await upstream.exactly(4) == b"half"
    client.eof()
    assert (await upstream.ending())[0] == b""
    assert (await router.at_rest()).client_aborts == 1


async def test_a_websocket_passes_with_what_was_sent_early(lab: Lab) -> None:
    router = await lab.router(node := lab.held(), backend_http=True)
    data = nginx(
        HTTP_CONNECTION="Upgrade",
        HTTP_UPGRADE="websocket",
        HTTP_SEC_WEBSOCKET_KEY="dGhlIHNhbXBsZSBub25jZQ==",
        HTTP_SEC_WEBSOCKET_VERSION="13",
    )
    client = await lab.open(router, data + b"early")
    upstream = await node.next()
    assert (await upstream.head()).get("upgrade") == b"websocket"
    await upstream.send(
        says(b"", "Upgrade: websocket", "Connection: Upgrade", status="101 X", length=False)
        + b"hello"
    )
    answer = await client.answer()
    assert (answer.status, answer.get("upgrade"), answer.get("connection")) == (
        101,
        b"websocket",
        b"Upgrade",
    )
    assert await client.exactly(5) == b"hello"
    assert await upstream.exactly(5) == b"early"
    client.eof()
    assert await upstream.rest() == b""
    upstream.eof()
    assert await client.rest() == b""


async def test_a_101_that_nobody_asked_for_is_no_answer(lab: Lab) -> None:
    router = await fastrouter(
        lab,
        lab.http_node(
            always(says(b"", "Upgrade: x", "Connection: Upgrade", status="101 X", length=False))
        ),
        errors="http",
    )
    assert (await answer_to(lab, router, nginx()))[0].startswith(b"HTTP/1.1 502 ")


async def test_announced_nodes_say_what_they_speak(lab: Lab) -> None:
    """One pool may have both."""
    node = lab.http_node()
    router = await lab.subscribed()
    router.announce(node.address, proto="http")
    router.announce(lab.node().address)
    for _ in range(4):
        assert (await answer_to(lab, router, nginx()))[0].endswith(b"ok")
    assert len(node.requests) == 2
    assert isinstance(router.config, RouterConfig)
