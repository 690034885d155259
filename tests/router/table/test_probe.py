"""One check: what a node must answer, and what is said of one that does not."""

import asyncio
import errno
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.names import Names
from tests.lab.scripts import Script, held_by_the_test
from tests.subscriptions.table import Table
from uwsgi_router.protocol.uwsgi import PONG
from uwsgi_router.router.certificates.nodes import NodeTls
from uwsgi_router.router.config.health_checks import Checks
from uwsgi_router.router.config.model import RouterConfig
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.table import probe as module
from uwsgi_router.router.table.probe import probe
from uwsgi_router.subscriptions.node import SubscribedNode

QUICK = 0.1
NODE_TLS = NodeTls(RouterConfig())


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    resolver = Resolver(asyncio.get_running_loop())
    yield resolver
    resolver.close()


def announced(address: str, key: bytes = b"example.com", **fields: Any) -> SubscribedNode:
    table = Table(protocols={"uwsgi", "http"})
    table.announce(address, key, **fields)
    return table.node(address, key)


def says(data: bytes, asked: list[bytes] | None = None) -> Script:
    """Reads what it is asked, answers with this and closes."""

    async def script(peer: Peer) -> None:
        got = await peer.some()
        if asked is not None:
            asked.append(got)
        await peer.send(data)

    return script


async def pinged(lab: Lab, resolver: Resolver, script: Script, **options: Any) -> str | None:
    node = announced(lab.node(script).address)
    return await probe(node, Checks(ping=True, **options), resolver, NODE_TLS)


async def got(lab: Lab, resolver: Resolver, data: bytes, **options: Any) -> str | None:
    node = announced(lab.node(says(data)).address, proto="http")
    return await probe(node, Checks(path="/health", **options), resolver, NODE_TLS)


@pytest.mark.parametrize("unix", [False, True])
async def test_a_ping_is_four_bytes_and_so_is_its_answer(
    lab: Lab, resolver: Resolver, unix: bool
) -> None:
    asked: list[bytes] = []
    node = announced(lab.node(says(PONG, asked), unix=unix).address)
    assert await probe(node, Checks(ping=True), resolver, NODE_TLS) == ""
    assert asked == [bytes((100, 0, 0, 0))]
    assert (node.requests, node.rx, node.tx, node.reference) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "it ended the connection without an answer to the ping"),
        (b"d\0", "it ended the connection without an answer to the ping"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "it speaks HTTP, and did not announce that (proto=http)",
        ),
    ],
)
async def test_what_is_no_answer_to_a_ping(
    lab: Lab, resolver: Resolver, answer: bytes, why: str
) -> None:
    assert await pinged(lab, resolver, says(answer)) == why


async def test_silence_fails_after_the_timeout(lab: Lab, resolver: Resolver) -> None:
    why = await pinged(lab, resolver, held_by_the_test, timeout=QUICK)
    assert why == "no answer within 0.1 s"
    node = announced(lab.black_hole().address)
    assert (
        await probe(node, Checks(ping=True, timeout=QUICK), resolver, NODE_TLS)
        == "no answer within 0.1 s"
    )


async def test_a_refused_connect_says_so(lab: Lab, resolver: Resolver) -> None:
    for address in (lab.refused_tcp(), lab.refused_unix()):
        assert (
            await probe(announced(address), Checks(ping=True), resolver, NODE_TLS)
            == "Connection refused"
        )
    missing = announced(lab.missing_unix())
    assert (
        await probe(missing, Checks(ping=True), resolver, NODE_TLS) == "No such file or directory"
    )


async def test_a_full_backlog_and_a_shortage_of_ours_say_nothing_of_the_node(
    lab: Lab, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = announced(lab.busy_unix().address)
    assert await probe(busy, Checks(ping=True), resolver, NODE_TLS) is None

    def exhausted(*_arguments: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(module, "begin", exhausted)
    assert await probe(busy, Checks(ping=True), resolver, NODE_TLS) is None


async def test_a_name_has_several_addresses_and_one_that_answers_is_enough(
    lab: Lab, resolver: Resolver
) -> None:
    port = lab.node(says(PONG)).address.rpartition(":")[2]
    names = Names({"app": ["127.0.0.2", "127.0.0.1"], "gone": []})
    node, gone = announced(f"app:{port}"), announced("gone:1")
    assert await probe(node, Checks(ping=True), names.resolver(), NODE_TLS) == ""
    assert (
        await probe(gone, Checks(ping=True), names.resolver(), NODE_TLS)
        == "Name or service not known"
    )


async def test_a_socket_of_another_user_is_not_asked(lab: Lab, resolver: Resolver) -> None:
    scripted = lab.node(says(PONG), unix=True)
    node = announced(scripted.address)
    node.socket_owner = 12345
    why = await probe(node, Checks(ping=True), resolver, NODE_TLS)
    assert why is not None
    assert "not to the tenant 12345" in why
    assert scripted.connections == 0


async def test_a_get_is_asked_as_a_client_of_the_node_would_ask(
    lab: Lab, resolver: Resolver
) -> None:
    asked: list[bytes] = []
    script = says(b"HTTP/1.1 204 No Content\r\n\r\n", asked)
    node = announced(lab.node(script).address, proto="http")
    assert await probe(node, Checks(path="/health?full=1"), resolver, NODE_TLS) == ""
    line, *fields = asked[0].decode().removesuffix("\r\n\r\n").split("\r\n")
    assert line == "GET /health?full=1 HTTP/1.1"
    expected = {
        "Host: example.com",
        "User-Agent: uwsgi-router-check",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: example.com",
    }
    assert expected <= set(fields)


@pytest.mark.parametrize(
    ("key", "host", "expected"),
    [
        (b"example.com:8080", None, b"example.com:8080"),
        (b"example.com/shop", None, b"example.com"),
        (b".example.com", None, b"example.com"),
        (b"[fd00::1]:80", None, b"[fd00::1]:80"),
        (b"a,b", None, b"localhost"),
        (b"\xff", None, b"localhost"),
        (b"example.com", "health.internal", b"health.internal"),
    ],
)
def test_the_host_is_the_nodes_key_if_that_can_be_one(
    key: bytes, host: str | None, expected: bytes
) -> None:
    node = announced("/a", key, proto="http")
    assert module.host_of(node, Checks(path="/", host=host)) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n\r\nuntil its end",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        # More than is read; its status is what counts.
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(200_000),
    ],
)
async def test_answers_that_pass(lab: Lab, resolver: Resolver, answer: bytes) -> None:
    assert await got(lab, resolver, answer) == ""


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "it answered 503 to GET /health"),
        (b"", "its answer to GET /health is missing: it ended the connection"),
        (PONG, "its answer to GET /health is broken off, or no HTTP/1"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
            "its answer to GET /health is broken off, or no HTTP/1",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, "its answer to GET /health does not begin"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "its answer to GET /health is broken off"),
    ],
)
async def test_answers_that_fail(lab: Lab, resolver: Resolver, answer: bytes, why: str) -> None:
    assert why in (await got(lab, resolver, answer) or "")


async def test_which_statuses_pass_is_configured(lab: Lab, resolver: Resolver) -> None:
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    statuses = ((200, 299), (401, 401))
    assert await got(lab, resolver, answer, statuses=statuses) == ""
    found = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"
    assert await got(lab, resolver, found, statuses=statuses) == "it answered 302 to GET /health"
