"""gunicorn, uvicorn and uWSGI serve the same small application through the HTTP router."""

import gzip
import hashlib
import os
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect

from tests.lab.clients import Client
from tests.lab.commands import HttpRouter
from tests.lab.messages import chunks
from tests.lab.place import Place, temporary
from tests.lab.servers import KINDS, Server
from tests.peers.web import PAGE

pytestmark = pytest.mark.peers

OPTIONS = ("--http-auto-chunked", "--http-auto-gzip", "--http-websockets")
#: What a connection to a node is known by; uWSGI's HTTP parser does not tell its application.
TELL_PORTS = {"gunicorn-gthread", "uvicorn"}
#: Those that cannot speak WebSocket.
NO_WEBSOCKET = {"gunicorn-sync", "gunicorn-gthread"}


class Site:
    """A router, and one server behind it."""

    def __init__(self, lab: Place, kind: str) -> None:
        self.kind = kind
        self.directory = lab.directory
        self.server: Server = lab.server(kind)
        # A uWSGI thread belongs to a connection as long as that is kept.
        few = ["--http-backend-connections=4"] if kind == "uwsgi-http11" else []
        self.router: HttpRouter = lab.http_before(self.server, *OPTIONS, *few)

    def client(self) -> Client:
        """Return a connection to the router."""
        return self.router.client()


@pytest.fixture(scope="module", params=list(KINDS))
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """One for all tests here: servers take long to start."""
    with temporary() as lab:
        yield Site(lab, request.param)


def digest(body: bytes) -> bytes:
    """What ``/echo`` answers."""
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}\n".encode()


def test_a_client_keeps_its_connection_and_the_router_its_own(site: Site) -> None:
    with site.client() as client:
        answers = [client.get(f"/?{number}") for number in range(8)]
    assert [answer.body for answer in answers] == [b"%d\n" % number for number in range(8)]
    assert not any(answer.closes for answer in answers)
    if site.kind in TELL_PORTS:
        assert len({answer.get("x-port") for answer in answers}) == 1


def test_pipelined_requests_are_answered_in_order(site: Site) -> None:
    with site.client() as client:
        client.send(
            b"".join(b"GET /?%d HTTP/1.1\r\nHost: example.com\r\n\r\n" % n for n in range(10))
        )
        assert [client.final().body for _ in range(10)] == [b"%d\n" % n for n in range(10)]


def test_a_pipelined_request_behind_a_body_is_no_part_of_it(site: Site) -> None:
    with site.client() as client:
        client.request("POST", "/echo", body=b"x" * 1000)
        client.request("POST", "/echo", "Transfer-Encoding: chunked", body=chunks(b"ab", b"c"))
        client.request("GET", "/?last")
        bodies = [client.final().body for _ in range(3)]
    assert bodies == [digest(b"x" * 1000), digest(b"abc"), b"last\n"]


def test_head_has_a_length_and_no_body(site: Site) -> None:
    with site.client() as client:
        client.request("HEAD", "/?1")
        assert client.final("HEAD").get("content-length") == b"2"
        assert client.get("/?next").body == b"next\n"


def test_100_continue_is_sent_once_before_the_body(site: Site) -> None:
    body = b"y" * 300_000
    with site.client() as client:
        fields = ("Expect: 100-continue", f"Content-Length: {len(body)}")
        client.request("POST", "/echo", *fields)
        if site.kind != "uwsgi-http11":  # It never says so: its clients have to stop waiting.
            assert client.answer().status == 100
        client.send(body)
        answer = client.answer()
        assert (answer.status, answer.body) == (200, digest(body))
        assert client.get("/?next").body == b"next\n"


@pytest.mark.parametrize("size", [1, 100_000, 3_000_000])
def test_uploads_arrive_whole(site: Site, size: int) -> None:
    body = os.urandom(size)
    with site.client() as client:
        assert client.post("/echo", body).body == digest(body)
        cut = size // 3
        encoded = chunks(*filter(None, (body[:cut], body[cut : 2 * cut], body[2 * cut :])))
        answer = client.post("/echo", encoded, "Transfer-Encoding: chunked")
        assert answer.body == digest(body)
        assert client.get("/?next").body == b"next\n"


def test_an_answer_without_a_length_comes_in_chunks(site: Site) -> None:
    with site.client() as client:
        answer = client.get("/pieces?count=100")
        assert (answer.framing, len(answer.body.splitlines())) == ("chunked", 100)
        assert client.get("/?next").body == b"next\n"


def test_an_answer_without_a_length_ends_with_the_connection_of_an_http_1_0_client(
    site: Site,
) -> None:
    with site.client() as client:
        client.send(b"GET /pieces?count=100 HTTP/1.0\r\nHost: example.com\r\n\r\n")
        answer, how = client.ending()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert (len(body.splitlines()), how) == (100, "closed")


def test_an_answer_is_compressed_when_node_and_client_wish_so(site: Site) -> None:
    with site.client() as client:
        compressed = client.get("/gzip", "Accept-Encoding: gzip")
        assert compressed.get("content-encoding") == b"gzip"
        assert b"accept-encoding" in (compressed.get("vary") or b"").lower()
        assert gzip.decompress(compressed.body) == PAGE
        plain = client.get("/gzip", "Accept-Encoding: gzip;q=0")
        assert (plain.get("content-encoding"), plain.body) == (None, PAGE)
        assert compressed.get("uwsgi-encoding") is None


def test_server_sent_events_arrive_one_by_one(site: Site) -> None:
    fifo = site.directory / "events"
    os.mkfifo(fifo)
    try:
        with site.client() as client:
            client.request("GET", f"/events?fifo={fifo}", "Accept-Encoding: gzip")
            with fifo.open("wb", buffering=0) as events:
                events.write(b"first\n")
                assert client.head().get("transfer-encoding") == b"chunked"
                assert client.chunk() == b"data: first\n\n"
                for number in range(5):
                    events.write(b"%d\n" % number)
                    assert client.chunk() == b"data: %d\n\n" % number
            assert client.chunk() == b""
            assert client.get("/?next").body == b"next\n"
    finally:
        fifo.unlink()


@pytest.mark.parametrize(
    "site", [kind for kind in KINDS if kind not in NO_WEBSOCKET], indirect=True
)
def test_websocket_messages_are_echoed(site: Site) -> None:
    messages = [b"", b"one", b"\0" * 70_000, os.urandom(300_000)]
    with connect(f"ws://{site.router.address}/ws", compression=None, max_size=None) as socket:
        for message in messages:
            socket.send(message)
            assert socket.recv(timeout=10) == message


def test_a_node_hears_where_a_client_is(site: Site) -> None:
    with site.client() as client:
        client_address = client.sock.getsockname()[0]
        address, chain, scheme = client.get("/origin").body.decode().splitlines()
    assert (chain, scheme) == (client_address, "http")
    assert address == client_address
