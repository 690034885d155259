"""The stats port over real sockets: who gets what, and that nobody can hold it up."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.lab.waiting import until
from tests.router.admin.stats.fixtures import WALL, Source, announce
from uwsgi_router.router.admin.stats.server import StatsLimits, StatsServer
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.subscriptions.node import Node
from uwsgi_router.subscriptions.registry import Registry

#: Short silences, so that tests are quick; everything else as in production.
QUICK = StatsLimits(peek=0.05)


def loopback_listener(family: socket.AddressFamily = socket.AF_INET) -> BoundSocket:
    sock = socket.socket(family)
    sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    sock.listen(100)
    sock.setblocking(False)
    return BoundSocket(sock, "127.0.0.1:0")


def unix_listener(path: str) -> BoundSocket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen(100)
    sock.setblocking(False)
    return BoundSocket(sock, path)


@asynccontextmanager
async def serving(
    source: Source | None = None,
    *,
    listener: BoundSocket | None = None,
    limits: StatsLimits = QUICK,
    wait_for_http: bool = False,
) -> AsyncIterator["Port"]:
    loop = asyncio.get_running_loop()
    listener = listener or loopback_listener()
    address = listener.sock.getsockname()
    server = StatsServer(
        [listener],
        source or Source(registry=Registry(started=0.0)),
        loop=loop,
        wall_clock=lambda: WALL,
        wait_for_http=wait_for_http,
        limits=limits,
    )
    server.start()
    port = Port(server, listener.sock.family, address)
    try:
        yield port
    finally:
        await server.close()
        port.close()


class Port:
    """The server, its address, and the clients that a test made."""

    def __init__(
        self, server: StatsServer, family: int, address: "tuple[object, ...] | str"
    ) -> None:
        self.server = server
        self._family = family
        self._address = address
        self._clients: list[socket.socket] = []

    async def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        client = socket.socket(self._family)
        self._clients.append(client)
        client.setblocking(False)
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(client, self._address)
        return client

    async def ask(self, *pieces: bytes) -> bytes:
        """Send the pieces, each in a packet of its own, and return all that comes back."""
        client = await self.connect()
        for piece in pieces:
            await send(client, piece)
        return await everything(client)

    def close(self) -> None:
        for client in self._clients:
            client.close()


async def send(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)
    # The server takes it before the next piece is sent: both share this loop.
    for _ in range(3):
        await asyncio.sleep(0)


async def everything(client: socket.socket) -> bytes:
    """Read until the server closes."""
    loop = asyncio.get_running_loop()
    received = b""
    while data := await loop.sock_recv(client, 65536):
        received += data
    return received


def parse(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    version, status, _phrase = first.split(" ", 2)
    assert version == "HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines)
    return int(status), {name.lower(): text for name, text in headers.items()}, body


def large_source(keys: int) -> Source:
    registry = Registry(started=0.0, max_keys=2 * keys)
    for number in range(keys):
        announce(registry, b"key%d.example.com" % number, "127.0.0.1:3031")
    return Source(registry=registry)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_client_that_only_reads_gets_the_raw_document(family: socket.AddressFamily) -> None:
    async with serving(listener=loopback_listener(family)) as port:
        answer = await port.ask()
    assert answer.startswith(b'{\n\t"version":"')
    assert list(json.loads(answer))[-1] == "idle_closed"


async def test_unix_socket_serves_both_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = str(tmp_path_factory.mktemp("s") / "stats.sock")
    async with serving(listener=unix_listener(path)) as port:
        assert json.loads(await port.ask())["fastrouter"]
        # Browsers do not reach UNIX sockets, so any Host will do.
        status, _, body = parse(await port.ask(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"))
    assert status == 200
    assert json.loads(body)["fastrouter"]


async def test_client_that_half_closes_at_once_gets_the_raw_document_at_once() -> None:
    async with serving(limits=replace(QUICK, peek=3600.0, total=3600.0)) as port:
        client = await port.connect()
        client.shutdown(socket.SHUT_WR)
        assert json.loads(await everything(client))


@pytest.mark.parametrize("line", [b"\n", b"stats\n", b"\x16\x03\x01\x02\x00\x01"])
async def test_client_that_sends_something_else_gets_the_raw_document(line: bytes) -> None:
    async with serving() as port:
        assert json.loads(await port.ask(line))


async def test_get_is_answered_with_the_document() -> None:
    async with serving() as port:
        answer = await port.ask(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    status, headers, body = parse(answer)
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert list(json.loads(body))[-1] == "idle_closed"


@pytest.mark.parametrize("wait_for_http", [False, True])
async def test_no_page_of_another_origin_may_read_it(wait_for_http: bool) -> None:
    async with serving(wait_for_http=wait_for_http) as port:
        request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example\r\n\r\n"
        _, headers, _ = parse(await port.ask(request))
        assert not any(name.startswith("access-control") for name in headers)
        rebound = await port.ask(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    status, _, body = parse(rebound)
    assert status == 421
    assert b"fastrouter" not in body


async def test_metrics_are_prometheus_text() -> None:
    async with serving(large_source(3)) as port:
        status, headers, body = parse(await port.ask(b"GET /metrics HTTP/1.1\r\n\r\n"))
    assert status == 200
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    names = {family.name for family in text_string_to_metric_families(body.decode())}
    assert {"uwsgi_router_requests", "uwsgi_router_node_requests"} <= names


@pytest.mark.parametrize("path", [b"/", b"/metrics"])
async def test_head_is_answered_without_a_body(path: bytes) -> None:
    async with serving() as port:
        status, _, body = parse(await port.ask(b"HEAD " + path + b" HTTP/1.1\r\n\r\n"))
    assert (status, body) == (200, b"")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /favicon.ico HTTP/1.1\r\n\r\n", 404),
        (b"DELETE / HTTP/1.1\r\n\r\n", 405),
        (b"GET / FTP\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, 431),
    ],
)
async def test_other_requests_are_refused_in_http(request_: bytes, status: int) -> None:
    async with serving() as port:
        got, headers, body = parse(await port.ask(request_))
    assert got == status
    assert body.endswith(b"\n")
    assert ("allow" in headers) == (status == 405)


async def test_refusal_reaches_a_client_that_is_still_sending_a_body() -> None:
    async with serving() as port:
        head = b"POST / HTTP/1.1\r\nContent-Length: 300000\r\n\r\n"
        status, _, _ = parse(await port.ask(head, b"x" * 100_000, b"x" * 100_000))
    assert status == 405


@pytest.mark.parametrize("wait_for_http", [False, True])
async def test_request_byte_by_byte_is_the_same_request(wait_for_http: bool) -> None:
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(wait_for_http=wait_for_http) as port:
        status, _, body = parse(await port.ask(*(bytes((byte,)) for byte in request)))
    assert status == 200
    assert body.startswith(b"# HELP")


async def test_surplus_bytes_after_the_request_change_nothing() -> None:
    async with serving() as port:
        once = await port.ask(b"GET / HTTP/1.1\r\n\r\n")
        twice = await port.ask(b"GET / HTTP/1.1\r\n\r\n" * 2)
    assert parse(once)[0] == parse(twice)[0] == 200
    assert json.loads(parse(twice)[2]).keys() == json.loads(parse(once)[2]).keys()


async def test_request_that_never_ends_is_answered_in_http_and_cut() -> None:
    async with serving(limits=replace(QUICK, request=0.1)) as port:
        assert parse(await port.ask(b"GET / HTTP/1.1\r\nHost: local"))[0] == 408


async def test_request_that_ends_in_its_head_gets_no_raw_document() -> None:
    async with serving() as port:
        client = await port.connect()
        await send(client, b"GET / HTTP/1.1\r\nHost: local")
        client.shutdown(socket.SHUT_WR)
        assert parse(await everything(client))[0] == 400


async def test_with_stats_http_a_silent_client_gets_nothing() -> None:
    async with serving(limits=replace(QUICK, request=0.1), wait_for_http=True) as port:
        assert await port.ask() == b""


async def test_with_stats_http_a_client_may_think_longer_than_the_peek() -> None:
    async with serving(wait_for_http=True) as port:
        client = await port.connect()
        await asyncio.sleep(2 * QUICK.peek)
        await send(client, b"GET / HTTP/1.1\r\n\r\n")
        assert parse(await everything(client))[0] == 200


async def test_with_stats_http_something_else_is_refused_in_http() -> None:
    async with serving(wait_for_http=True) as port:
        assert parse(await port.ask(b"stats\n"))[0] == 400


async def test_large_document_arrives_whole_and_others_are_served_meanwhile() -> None:
    async with serving(large_source(3_000)) as port:
        slow = await port.connect(receive_buffer=4096)
        await send(slow, b"GET / HTTP/1.1\r\n\r\n")
        status, _, body = parse(await port.ask(b"HEAD / HTTP/1.1\r\n\r\n"))
        assert (status, body) == (200, b"")
        assert len(json.loads(parse(await everything(slow))[2])["subscriptions"]) == 3_000


@pytest.mark.parametrize(
    "limits",
    [
        replace(QUICK, stalled=0.2),
        replace(QUICK, stalled=3600.0, total=3.0),
    ],
    ids=["nothing taken", "total time"],
)
async def test_client_that_does_not_read_is_cut(limits: StatsLimits) -> None:
    async with serving(large_source(9_000), limits=limits) as port:
        client = await port.connect(receive_buffer=4096)
        client.shutdown(socket.SHUT_WR)
        await until(lambda: port.server.clients)
        await until(lambda: not port.server.clients)
        received = await everything(client)
    assert received.startswith(b"{")
    with pytest.raises(json.JSONDecodeError):
        json.loads(received)


_PATIENT = replace(QUICK, peek=3600.0, request=3600.0, stalled=3600.0, total=3600.0)


async def test_half_requests_make_room_for_whole_ones_the_oldest_first() -> None:
    async with serving(limits=replace(_PATIENT, connections=2)) as port:
        halves = [await port.connect() for _ in range(20)]
        for half in halves:
            await send(half, b"GET / HT")
        assert parse(await port.ask(b"GET / HTTP/1.1\r\n\r\n"))[0] == 200
        # Those that have waited for the longest time went, and only as many as had to.
        *oldest, youngest = halves
        for half in oldest:
            assert await everything(half) == b""
        await send(youngest, b"TP/1.1\r\n\r\n")
        assert parse(await everything(youngest))[0] == 200


async def test_who_takes_nothing_of_its_answer_makes_room_too() -> None:
    async with serving(large_source(9_000), limits=replace(_PATIENT, connections=1)) as port:
        lazy = await port.connect(receive_buffer=4096)
        await send(lazy, b"GET / HTTP/1.1\r\n\r\n")
        assert parse(await port.ask(b"HEAD / HTTP/1.1\r\n\r\n"))[0] == 200


class Watched:
    """Kept connections, which are asked for each node that is shown: how often in one turn of the loop."""

    idle = 0

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked = 0
        self.turns: list[int] = []

    def counts(self, _node: Node) -> tuple[int, int]:
        if not self._asked:
            self._loop.call_soon(self._turn_over)
        self._asked += 1
        return 0, 0

    def _turn_over(self) -> None:
        self.turns.append(self._asked)
        self._asked = 0


@pytest.mark.parametrize("path", [b"/", b"/metrics"])
async def test_eight_scrapers_take_no_more_of_a_turn_than_one(path: bytes) -> None:
    source = large_source(1_000)
    watched = source.upstreams = Watched(asyncio.get_running_loop())
    async with serving(source) as port:
        scrapers = [await port.connect() for _ in range(8)]
        for scraper in scrapers:
            await send(scraper, b"GET %b HTTP/1.1\r\n\r\n" % path)
        answers = await asyncio.gather(*map(everything, scrapers))
    assert all(answer.count(b"key999.example.com") for answer in answers)
    assert sum(watched.turns) == 8 * 1_000
    assert max(watched.turns) <= 50


@pytest.mark.parametrize("path", [b"/", b"/metrics"])
async def test_of_an_answer_whose_client_is_gone_nothing_more_is_made(path: bytes) -> None:
    source = large_source(9_000)
    assert source.registry is not None
    (node,) = source.registry.pools[b"key8999.example.com"].nodes
    held = sys.getrefcount(node)
    watched = source.upstreams = Watched(asyncio.get_running_loop())
    async with serving(source, limits=_PATIENT) as port:
        client = await port.connect(receive_buffer=4096)
        await send(client, b"GET %b HTTP/1.1\r\n\r\n" % path)
        await asyncio.get_running_loop().sock_recv(client, 100)
        client.close()
        await until(lambda: not port.server.clients)
        assert not port.server._turns._waiting
        assert sys.getrefcount(node) == held
    assert sum(watched.turns) < 9_000


async def test_client_that_resets_disturbs_nobody() -> None:
    async with serving(large_source(2_000)) as port:
        rude = await port.connect()
        await send(rude, b"GET / HTTP/1.1\r\n\r\n")
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        rude.close()
        assert parse(await port.ask(b"GET / HTTP/1.1\r\n\r\n"))[0] == 200


async def test_close_cuts_clients_and_frees_the_address() -> None:
    listener = loopback_listener()
    address = listener.sock.getsockname()
    async with serving(listener=listener, limits=replace(QUICK, peek=3600.0)) as port:
        client = await port.connect()
        while_open = await port.ask(b"HEAD / HTTP/1.1\r\n\r\n")
        assert parse(while_open)[0] == 200
    assert client.fileno() == -1 or client.recv(1) == b""
    with socket.socket() as late, pytest.raises(ConnectionRefusedError):
        late.connect(address)


async def test_page_that_cannot_be_made_ends_its_connection_and_nothing_else() -> None:
    errors: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
    source = Source(registry=Registry(started=0.0))
    async with serving(source) as port:
        source.sockets = (None,)  # type: ignore[assignment]
        answer = await port.ask(b"GET / HTTP/1.1\r\n\r\n")
        assert b"fastrouter" not in answer
        source.sockets = ("127.0.0.1:1",)
        assert parse(await port.ask(b"GET / HTTP/1.1\r\n\r\n"))[0] == 200
    assert len(errors) == 1
