"""Exchanges that are not simply a request and then its answer, over HTTP nodes of our own."""

from collections.abc import Iterator

import pytest

from tests.lab.clients import Client, Peer
from tests.lab.commands import HttpRouter
from tests.lab.messages import Message, says
from tests.lab.nodes import Kind, Node, in_a_thread
from tests.lab.place import Place
from tests.lab.scripts import always

MEGABYTE = 1_000_000
LARGE = 32 * MEGABYTE


def router_to(lab: Place, node: Node, *options: str) -> HttpRouter:
    return lab.http_before(node, "--http-auto-chunked", *options)


@pytest.fixture
def node() -> Iterator[Node]:
    with in_a_thread() as node:
        yield node


TOO_LARGE = b"too large\n" * 1000


async def hasty(peer: Peer) -> None:
    """Answers as soon as it has read a head; reads nothing of the body, and closes."""
    await peer.head()
    await peer.send(says(TOO_LARGE, "Connection: close", status="413 Content Too Large"))


def test_an_early_answer_arrives_whole_while_the_client_still_sends(lab: Place) -> None:
    with in_a_thread(script=hasty) as node:
        router = router_to(lab, node)
        for fields in (["Content-Length: 50000000"], ["Transfer-Encoding: chunked"]):
            with router.client() as client:
                client.request("POST", "/up", *fields)
                if "chunked" in fields[0]:
                    client.send(b"2faf080\r\n")
                try:
                    for _ in range(50):
                        client.send(bytes(MEGABYTE))
                except (BrokenPipeError, ConnectionResetError):
                    pass  # It has stopped reading, which it may.
                answer = client.answer()
            assert (answer.status, answer.body, answer.closes) == (413, TOO_LARGE, True)


def test_early_hints_reach_clients_that_know_them(lab: Place, node: Node) -> None:
    router = router_to(lab, node)
    with router.client() as client:
        client.request("GET", "/hints")
        assert [client.answer().status, client.answer().status] == [103, 200]
        assert client.get("/next").status == 200
    with router.client() as client:
        client.send(b"GET /hints HTTP/1.0\r\nHost: example.com\r\n\r\n")
        assert client.answer().status == 200
        assert client.ending() == (b"", "closed")


def test_a_head_that_answers_head_with_a_length_has_no_body(lab: Place, node: Node) -> None:
    router = router_to(lab, node)
    with router.client() as client:
        for _ in range(3):
            client.request("HEAD", "/")
            client.request("GET", "/")
            assert int(client.final("HEAD").get("content-length") or b"0") > 0
            assert client.final().body == b"GET / 0\n"
    assert node.connections == 1


def test_responses_of_every_framing_leave_the_connection_good(lab: Place, node: Node) -> None:
    router = router_to(lab, node)
    with router.client() as client:
        for path in ("/204", "/chunked", "/304", "/", "/nocl", "/hints", "/") * 3:
            answer = client.get(path)
            assert answer.status in {200, 204, 304}
            assert not answer.closes
            assert answer.status != 200 or answer.body == f"GET {path} 0\n".encode()


# --- a node whose answer the client is slow to read ---


async def large(peer: Peer, request: Message) -> bool:
    """Answers ``/large`` with more than all sockets on the way can hold."""
    await peer.send(says(bytes(LARGE) if request.target == b"/large" else b"small"))
    return True


def slow(router: HttpRouter) -> Client:
    """A client that has asked for much and reads nothing of it."""
    client = router.client()
    client.request("GET", "/large")
    return client


def test_with_response_buffering_a_slow_reader_does_not_hold_the_node(lab: Place) -> None:
    with in_a_thread(answer=large) as node:
        router = router_to(
            lab, node, "--http-response-buffering=40000000", "--http-backend-connections=1"
        )
        with slow(router) as reader, router.client() as client:
            assert client.get("/small").body == b"small"
            assert len(reader.final().body) == LARGE
        assert node.connections == 1


def test_a_client_that_goes_in_the_middle_of_an_answer_frees_the_node(lab: Place) -> None:
    with in_a_thread(answer=large) as node:
        router = router_to(lab, node, "--http-backend-connections=1")
        reader = slow(router)
        reader.head()
        reader.sock.close()
        with router.client() as client:
            assert client.get("/small").body == b"small"


# --- bodies that are too large, or never end ---


@pytest.mark.parametrize("kind", ["http", "uwsgi"], ids=["HttpNode", "UwsgiNode"])
@pytest.mark.parametrize("framing", ["Content-Length: 1001", "Transfer-Encoding: chunked"])
def test_a_body_above_the_limit_gets_413(lab: Place, kind: Kind, framing: str) -> None:
    with in_a_thread(kind) as node:
        router = lab.http_before(node, "--http-body-limit=1000")
        with router.client() as client:
            client.request("POST", "/", framing)
            body = bytes(1001)
            client.send(b"3e9\r\n%b\r\n0\r\n\r\n" % body if "chunked" in framing else body)
            assert client.answer().status == 413
            assert client.ending() == (b"", "closed")
        with router.client() as client:
            assert client.post("/", bytes(1000)).status == 200
        assert [seen.target for seen in node.requests] == [b"/"]


@pytest.mark.parametrize("kind", ["http", "uwsgi"], ids=["HttpNode", "UwsgiNode"])
def test_a_client_that_goes_inside_its_body_leaves_no_whole_request(lab: Place, kind: Kind) -> None:
    with in_a_thread(kind) as node:
        router = lab.http_before(node)
        for framing in ("Content-Length: 1000", "Transfer-Encoding: chunked"):
            with router.client() as client:
                client.request("POST", "/cut", framing)
                client.send(b"64\r\n" + bytes(100) + b"\r\n")
        with router.client() as client:
            assert client.get("/last").status == 200
        router.stop()
        assert [seen.target for seen in node.requests] == [b"/last"]


# --- answers that are no good ---


BAD = {
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "no HTTP": b"220 mail.example.com ESMTP\r\n\r\n",
    "gzip coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD)
def test_an_answer_that_can_be_read_in_two_ways_becomes_502(lab: Place, name: str) -> None:
    with in_a_thread(answer=always(BAD[name])) as node:
        router = router_to(lab, node)
        with router.client() as client:
            assert client.get("/").status == 502


CUT = {
    "length": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nabc",
    "chunked": b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nabc",
}


@pytest.mark.parametrize("name", CUT)
def test_a_client_can_tell_that_an_answer_was_cut(lab: Place, name: str) -> None:
    with in_a_thread(answer=always(CUT[name], close=True)) as node:
        router = router_to(lab, node)
        with router.client() as client:
            client.request("GET", "/")
            data, _how = client.ending()
        assert not data.endswith(b"0\r\n\r\n")
        assert b"abc" in data or b" 502 " in data


def test_bytes_behind_an_answer_are_not_the_next_one(lab: Place) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
    with in_a_thread(answer=always(answer + answer.replace(b"good", b"evil"))) as node:
        router = router_to(lab, node)
        with router.client() as client:
            for _ in range(5):
                assert client.get("/").body == b"good"
