"""The HTTP router in operation: large answers, busy nodes, nodes that go, awkward clients."""

import select
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab.clients import Client, Peer, answer_of
from tests.lab.commands import HttpRouter
from tests.lab.messages import Message, ask, chunks, says
from tests.lab.nodes import Node, in_a_thread
from tests.lab.place import Place
from tests.lab.servers import Server
from tests.lab.waiting import wait_until

GIGABYTE = 1 << 30
MEGABYTE = 1 << 20


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["gunicorn-gthread", "uwsgi"])
def test_a_download_of_a_gigabyte_takes_no_memory(lab: Place, kind: str) -> None:
    server = lab.server(kind)
    router = lab.http_before(server)
    with router.client() as client:
        client.get("/download?size=10000000")
        before = router.peak_memory()
        client.request("GET", f"/download?size={GIGABYTE}")
        head = client.head()
        assert head.get("content-length") == b"%d" % GIGABYTE
        assert client.count(GIGABYTE)
        assert client.get("/?next").body == b"next\n"
    assert router.peak_memory() - before < 4 * MEGABYTE


@pytest.mark.peers
def test_a_client_that_does_not_read_stops_the_node_not_the_router(lab: Place) -> None:
    server = lab.server("uvicorn")
    router = lab.http_before(server)
    with router.client() as lazy, router.client() as client:
        client.get("/")
        before = router.peak_memory()
        lazy.request("GET", f"/download?size={100 * MEGABYTE}")
        lazy.head()
        for number in range(200):
            assert client.get(f"/?{number}").body == b"%d\n" % number
        assert router.peak_memory() - before < 4 * MEGABYTE
        assert lazy.count(100 * MEGABYTE)


class Busy:
    """A client that asks again and again over one connection until it is told to stop."""

    def __init__(self, router: HttpRouter) -> None:
        self.answers = 0
        self._client = router.client()

    def run(self, stop: threading.Event) -> None:
        """Ask."""
        with self._client as client:
            while not stop.is_set():
                assert client.get("/?busy").body == b"busy\n"
                self.answers += 1


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["gunicorn-sync", "uwsgi-http11"])
@pytest.mark.parametrize("told", ["by an option", "by the announce"])
def test_eight_busy_clients_of_a_node_with_two_processes_all_get_on(
    lab: Place, kind: str, told: str
) -> None:
    """Each connection that is kept has a process of the node: a third one gets no answer."""
    options = ["--processes", "2", "--threads", "1"] if kind == "uwsgi-http11" else []
    server = lab.server(kind, options=options)
    if told == "by an option":
        router = lab.http_before(server, "--http-backend-connections=2")
    else:
        router = lab.http_router("--http-keepalive", subscriptions=True)
        router.node(server.address, proto="http", cores=2)
    clients = [Busy(router) for _ in range(8)]
    stop = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(client.run, stop) for client in clients]
        try:
            wait_until(lambda: min(c.answers for c in clients) >= 30, "each has 30 answers", 20)
        finally:
            stop.set()
        for run in runs:
            run.result()
    counts = [client.answers for client in clients]
    assert max(counts) < 5 * min(counts), f"unfair: {counts}"


# --- nodes that go ---


class Pair:
    """Two servers of a kind, and a router that takes them in turn over kept connections."""

    def __init__(self, lab: Place, kind: str, *options: str) -> None:
        self.servers: dict[str, Server] = {
            name: lab.server(kind, name=name, options=options) for name in ("left", "right")
        }
        self.router = lab.http_router(
            "--http-keepalive",
            "--http-backend-http",
            "--http-backend-keepalive=60",
            *(f"--http-to={server.address}" for server in self.servers.values()),
        )

    def ask(self, client: Client, count: int) -> list[str]:
        """Send GETs and POSTs in turn; return who answered."""
        names = []
        for number in range(count):
            method, body = ("GET", b"") if number % 4 < 2 else ("POST", b"body")
            client.request(method, f"/?{number}", body=body)
            answer = client.final()
            assert (answer.status, answer.body) == (200, b"%d\n" % number)
            names.append((answer.get("x-node") or b"").decode())
        return names


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["gunicorn-gthread", "uvicorn"])
def test_killing_a_node_between_requests_loses_none(lab: Place, kind: str) -> None:
    pair = Pair(lab, kind)
    with pair.router.client() as client:
        assert set(pair.ask(client, 8)) == {"left", "right"}
        pair.servers["left"].kill()
        wait_until(lambda: not connections_to(pair.servers["left"]), "its connections are gone")
        assert set(pair.ask(client, 8)) == {"right"}


@pytest.mark.peers
def test_connections_that_a_node_closes_when_idle_lose_no_request(lab: Place) -> None:
    pair = Pair(lab, "gunicorn-gthread", "--keep-alive", "1")
    with pair.router.client() as client:
        assert set(pair.ask(client, 8)) == {"left", "right"}
        for server in pair.servers.values():
            assert connections_to(server), "none was kept: this tests nothing"
        wait_until(
            lambda: not any(map(connections_to, pair.servers.values())), "the nodes have closed"
        )
        assert set(pair.ask(client, 8)) == {"left", "right"}


async def closes_at_the_second(peer: Peer, request: Message) -> bool:
    """Answers the first request of each connection; closes when the second one comes."""
    if request.first:
        await peer.send(says(b""))
    return request.first


def test_a_get_that_meets_a_closing_connection_is_sent_again(lab: Place) -> None:
    """What a node does whose idle time ends while a request is under way to it."""
    with in_a_thread(answer=closes_at_the_second) as node:
        router = lab.http_before(node)
        with router.client() as client:
            assert [client.get("/").status for _ in range(10)] == [200] * 10
        assert node.connections > 1
        assert len([seen for seen in node.seen if seen.first]) == 10


def test_a_post_that_meets_a_closing_connection_is_not(lab: Place) -> None:
    with in_a_thread(answer=closes_at_the_second) as node:
        router = lab.http_before(node)
        with router.client() as client:
            assert client.post("/?1", b"body").status == 200
            assert client.post("/?2", b"body").status == 502
        assert [seen.target for seen in node.seen] == [b"/?1", b"/?2"]


def connections_to(server: Server) -> int:
    """How many connections to the server are established, or half-closed by it."""
    port = int(server.address.rpartition(":")[2])
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    remote = (line.split() for line in lines)
    return sum(
        int(fields[2].partition(":")[2], 16) == port and fields[3] in {"01", "08"}
        for fields in remote
    )


# --- awkward clients ---


@pytest.fixture
def node() -> Iterator[Node]:
    with in_a_thread("uwsgi") as node:
        yield node


def test_a_client_that_sends_a_byte_at_a_time_is_cut_at_the_deadline(
    lab: Place, node: Node
) -> None:
    router = lab.http_router("--http-headers-timeout=1", f"--http-to={node.address}")
    started = time.monotonic()
    with router.client() as client:
        for byte in b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Slow: " + b"a" * 1000:
            client.send(bytes([byte]))
            # A pause between bytes, unless it has had enough.
            if select.select([client.sock], [], [], 0.02)[0]:
                break
        assert client.answer().status == 408
        assert client.ending() == (b"", "closed")
    assert 0.9 < time.monotonic() - started < 3
    assert node.seen == []


def test_the_deadline_is_for_each_head_not_for_a_connection(lab: Place, node: Node) -> None:
    router = lab.http_before(node, "--http-headers-timeout=1")
    started = time.monotonic()
    with router.client() as client:
        while time.monotonic() - started < 1.6:
            assert client.get("/").status == 200
            client.readable(0.1)


# --- the other front ---


@pytest.mark.peers
def test_nginx_and_the_fastrouter_reach_gunicorn_over_kept_connections(lab: Place) -> None:
    server = lab.server("gunicorn-gthread")
    router = lab.router(
        "--fastrouter-backend-http", f"--fastrouter-to={server.address}", subscriptions=False
    )
    nginx = lab.nginx(router.address)
    with Client(f"127.0.0.1:{nginx.port}") as client:
        answers = [client.get(f"/?{number}") for number in range(10)]
        answers += [client.post(f"/?{number}", b"body") for number in range(10)]
        assert [answer.body for answer in answers] == [b"%d\n" % n for n in range(10)] * 2
        ports = {answer.get("x-port") for answer in answers}
        assert len(ports) == 1, f"node connections were not kept: {ports}"
        assert len(client.get("/pieces?count=50").body.splitlines()) == 50
        client.request("GET", "/origin", "X-Forwarded-For: 198.51.100.1")
        origin = client.final().body.decode().splitlines()
        assert origin[2] == "http"


def test_a_request_that_the_fastrouter_rebuilds_is_one_request(lab: Place) -> None:
    """nginx passes ``HTTP_TRANSFER_ENCODING`` beside CONTENT_LENGTH: one of them has to go."""
    with in_a_thread() as node:
        router = lab.router(
            "--fastrouter-backend-http", f"--fastrouter-to={node.address}", subscriptions=False
        )
        nginx = lab.nginx(router.address)
        fields = ("Connection: close", "Transfer-Encoding: chunked")
        answer = answer_of(
            f"127.0.0.1:{nginx.port}", ask("/up", *fields, method="POST") + chunks(b"hello")
        )
        assert answer.endswith(b"POST /up 5\n"), answer
        (seen,) = node.seen
        assert (seen.get("content-length"), seen.body, seen.framing) == (b"5", b"hello", "length")
