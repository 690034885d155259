"""What stands around an HTTP request: proxies, redirects, the access log, error pages, holding, stopping."""

import asyncio
import json
import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import only_node, upstreams_of
from tests.lab.lab import Lab
from tests.lab.messages import OK, ask, post, says
from tests.lab.router import Router
from tests.lab.scripts import Script, always
from tests.lab.waiting import a_few_turns, until
from uwsgi_router.protocol.proxy import encode_proxy_v1, encode_proxy_v2
from uwsgi_router.router.config.model import RedirectListener

SOURCE = ("192.0.2.7", 4711)
DESTINATION = ("198.51.100.1", 80)


def tells_its_variables(*names: str) -> Script:
    async def script(peer: Peer) -> None:
        variables = (await peer.packet()).variables
        values = [variables.get(name.encode(), b"-") for name in names]
        await peer.send(says(b" ".join(values)))

    return script


# --- PROXY protocol ---


@pytest.mark.parametrize(
    "header",
    [encode_proxy_v1(SOURCE, DESTINATION), encode_proxy_v2(SOURCE, DESTINATION)],
    ids=["v1", "v2"],
)
@pytest.mark.parametrize("peers", [(), ("127.0.0.1",), ("10.0.0.0/8", "127.0.0.0/8")])
async def test_a_proxy_says_who_the_client_is_once_for_all_requests(
    lab: Lab, header: bytes, peers: tuple[str, ...]
) -> None:
    node = lab.node(tells_its_variables("REMOTE_ADDR", "REMOTE_PORT", "HTTP_X_FORWARDED_FOR"))
    router = await lab.http(node, proxy_protocol=peers, keepalive=0)
    client = await lab.open(router)
    for byte in header:
        await client.send(bytes((byte,)))
    for _ in range(2):
        await client.send(ask())
        assert (await client.answer()).body == b"192.0.2.7 4711 192.0.2.7"


async def test_a_second_header_is_no_request(lab: Lab) -> None:
    """A client behind the proxy could write one."""
    router = await lab.to(node := lab.http_node(), proxy_protocol=())
    header = encode_proxy_v1(SOURCE, DESTINATION)
    client = await lab.open(router, header + ask() + header + ask())
    assert [(await client.answer()).status for _ in range(2)] == [200, 400]
    assert len(node.requests) == 1


@pytest.mark.parametrize(
    "data",
    [ask(), b"PROXY TCP4 nonsense\r\n" + ask(), b"PROXY TCP4 1.1.1.1 2.2.2.2 1 99999\r\n" + ask()],
)
async def test_without_a_valid_header_there_is_no_service(lab: Lab, data: bytes) -> None:
    router = await lab.to(node := lab.http_node(), proxy_protocol=())
    assert (await lab.get(router, data)).status == 400
    assert "PROXY header" in await lab.log.line("400 bad-proxy-header")
    assert node.requests == []


async def test_peers_that_are_not_listed_must_not_send_one(lab: Lab) -> None:
    router = await lab.to(node := lab.http_node(), proxy_protocol=("10.0.0.0/8",))
    assert (await lab.get(router)).status == 200
    header = encode_proxy_v1(SOURCE, DESTINATION)
    assert (await lab.get(router, header + ask())).status == 400
    assert len(node.requests) == 1


async def test_a_peer_on_a_unix_socket_may_be_listed(lab: Lab) -> None:
    node = lab.node(tells_its_variables("REMOTE_ADDR"))
    router = await lab.http(node, proxy_protocol=("unix",), listen=(str(lab.path()),))
    header = encode_proxy_v1(SOURCE, DESTINATION)
    assert (await lab.get(router, header + ask())).body == b"192.0.2.7"


@pytest.mark.parametrize("sent", [b"", b"PROXY TC"])
@pytest.mark.parametrize("ends", [False, True])
async def test_a_header_that_does_not_come_ends_the_connection(
    lab: Lab, sent: bytes, ends: bool
) -> None:
    """In silence: it may have been a health check of the proxy's."""
    router = await lab.to(lab.http_node(), proxy_protocol=(), headers_timeout=0.05)
    client = await lab.open(router, sent)
    if ends:
        client.eof()
    assert (await client.ending())[0] == b""
    assert (await router.at_rest()).requests == 0


async def test_a_header_that_names_nobody_leaves_the_peer(lab: Lab) -> None:
    router = await lab.http(lab.node(tells_its_variables("REMOTE_ADDR")), proxy_protocol=())
    assert (await lab.get(router, b"PROXY UNKNOWN\r\n" + ask())).body == b"127.0.0.1"


# --- trusted proxies ---

FORWARDED = (
    "X-Forwarded-For: 203.0.113.9, 192.0.2.7",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: public.example",
    "X-Real-IP: 203.0.113.9",
)
NAMES = (
    "REMOTE_ADDR",
    "HTTPS",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_REAL_IP",
)


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [
        (
            ("127.0.0.0/8",),
            b"192.0.2.7 on 203.0.113.9, 192.0.2.7, 127.0.0.1 https public.example 203.0.113.9",
        ),
        (
            ("127.0.0.0/8", "192.0.2.0/24"),
            b"203.0.113.9 on 203.0.113.9, 192.0.2.7, 127.0.0.1 https public.example 203.0.113.9",
        ),
        ((), b"127.0.0.1 - 127.0.0.1 http example.com -"),
    ],
    ids=["peer", "chain", "nobody"],
)
async def test_who_is_trusted_is_believed(
    lab: Lab, trusted: tuple[str, ...], expected: bytes
) -> None:
    router = await lab.http(lab.node(tells_its_variables(*NAMES)), trusted_proxies=trusted)
    assert (await lab.get(router, ask("/", *FORWARDED))).body == expected


async def test_trust_goes_by_who_the_proxy_header_names(lab: Lab) -> None:
    """Not by the balancer in front, which passes on what anybody writes."""
    router = await lab.http(lab.node(tells_its_variables(*NAMES)), proxy_protocol=())
    header = encode_proxy_v1(("198.51.100.99", 1), DESTINATION)
    body = (await lab.get(router, header + ask("/", *FORWARDED))).body
    assert body == b"198.51.100.99 - 198.51.100.99 http example.com -"


async def test_a_client_on_a_unix_socket_is_trusted_and_has_no_address(lab: Lab) -> None:
    node = lab.node(tells_its_variables("REMOTE_ADDR", "REMOTE_PORT", "SERVER_PORT"))
    router = await lab.http(node, listen=(str(lab.path()),))
    assert (await lab.get(router)).body == b"0.0.0.0 0 "
    forwarded = ask("/", "X-Forwarded-For: 192.0.2.7")
    assert (await lab.get(router, forwarded)).body.startswith(b"192.0.2.7 ")


async def test_a_node_hears_the_true_port_of_the_client(lab: Lab) -> None:
    router = await lab.http(lab.node(tells_its_variables("REMOTE_PORT", "SERVER_PORT")))
    client = await lab.open(router, ask())
    expected = f"{client.sock.getsockname()[1]} {router.address[1]}".encode()
    assert (await client.answer()).body == expected


# --- variables ---


async def test_variables_of_the_configuration_come_last(lab: Lab) -> None:
    node = lab.node(tells_its_variables("HTTP_X", "MINE", "SERVER_NAME"))
    router = await lab.http(
        node,
        variables=(("MINE", "a=b"), ("HTTP_X", "ours")),
        server_name_as_http_host=True,
        modifier1=5,
        modifier2=6,
    )
    assert (await lab.get(router, ask("/", "X: theirs"))).body == b"ours a=b example.com"
    seen: list[tuple[int, int]] = []

    async def modifiers(peer: Peer) -> None:
        seen.append((await peer.packet()).modifiers)
        await peer.send(OK)

    router = await lab.http(lab.node(modifiers), modifier1=5, modifier2=6)
    await lab.get(router)
    assert seen == [(5, 6)]


# --- redirects to https ---


async def redirecting(lab: Lab, port: int | None = None, **options: Any) -> Router:
    """A router all of whose clients come to the door that redirects."""
    node = lab.http_node()
    router = await lab.to(node, redirects=(RedirectListener("127.0.0.1:0", port),), **options)
    ((bound, _port),) = router.instance.routers[0].redirecting
    router.address = bound.sock.getsockname()
    return router


@pytest.mark.parametrize(
    ("data", "port", "status", "location"),
    [
        (ask("/a?b=c"), None, 301, b"https://example.com/a?b=c"),
        (ask("/", host="example.com:8080"), 8443, 301, b"https://example.com:8443/"),
        (ask("/", host="[::1]:80"), 443, 301, b"https://[::1]/"),
        (ask(method="HEAD"), None, 301, b"https://example.com/"),
        (ask(method="POST"), None, 308, b"https://example.com/"),
        (ask("http://other.example/x"), None, 301, b"https://other.example/x"),
    ],
)
async def test_every_request_is_redirected(
    lab: Lab, data: bytes, port: int | None, status: int, location: bytes
) -> None:
    router = await redirecting(lab, port)
    client = await lab.open(router, data)
    answer = await client.answer()
    assert (answer.status, answer.get("location"), answer.closes) == (status, location, True)
    assert await client.rest() == b""
    assert (await router.at_rest()).completed == 1
    assert only_node(router).requests == 0


async def test_a_redirect_is_not_reset_by_a_body_that_nobody_reads(lab: Lab) -> None:
    router = await redirecting(lab)
    client = await lab.open(router, ask("/", "Content-Length: 1000000", method="POST"))
    assert (await client.answer()).status == 308
    assert await client.rest() == b""
    for _ in range(10):
        await client.send(bytes(100_000))


async def test_acme_challenges_are_served(lab: Lab) -> None:
    router = await redirecting(lab)
    assert (await lab.get(router, ask("/.well-known/acme-challenge/token"))).status == 200
    # The path is looked at, not what it is written like.
    assert (await lab.get(router, ask("/.well-known/acme-challenge/../../secret"))).status == 301


def challenge(folder: Path) -> None:
    """Answer a challenge as certbot does."""
    place = folder / ".well-known" / "acme-challenge"
    place.mkdir(parents=True)
    (place / "a_Token").write_bytes(b"a_Token.hash")


@pytest.mark.parametrize("redirects", [True, False])
async def test_challenges_are_answered_before_redirects_and_nodes(
    lab: Lab, redirects: bool
) -> None:
    challenge(lab.tmp_path)
    webroot = str(lab.tmp_path)
    if redirects:
        router = await redirecting(lab, acme_webroot=webroot)
    else:
        router = await lab.to(lab.http_node(), acme_webroot=webroot, keepalive=0)
    path = "/.well-known/acme-challenge/"
    answer = await lab.get(router, ask(path + "a_Token"))
    assert (answer.status, answer.body, answer.closes) == (200, b"a_Token.hash", True)
    answer = await lab.get(router, ask("/.well-known/x/../acme-challenge/a%5fToken"))
    assert answer.body == b"a_Token.hash"
    answer = await lab.get(router, ask(path + "a_Token", method="HEAD"), "HEAD")
    assert (answer.status, answer.get("content-length"), answer.body) == (200, b"12", b"")
    for data in (
        ask(path + "other"),
        ask(path),
        ask(path + "a%2fa_Token"),
        ask(path + "a_Token", method="DELETE"),
    ):
        answer = await lab.get(router, data)
        assert (answer.status, answer.get("x-uwsgi-router-reason")) == (404, b"no-challenge")
    totals = await router.at_rest()
    assert (totals.requests, totals.completed) == (7, 3)
    assert only_node(router).requests == 0
    other = await lab.get(router, ask("/.well-known/acme-challenge"))
    assert other.status == (301 if redirects else 200)


async def test_what_is_no_request_is_not_redirected(lab: Lab) -> None:
    router = await redirecting(lab)
    assert (await lab.get(router, ask(host=None))).status == 400


# --- the access log ---


class AccessLog:
    """The access log of a router, as text or as JSON."""

    def __init__(self, lab: Lab) -> None:
        self.path: Path = lab.tmp_path / "access.log"

    async def lines(self, count: int) -> list[str]:
        await until(lambda: self.path.read_text().count("\n") >= count)
        return self.path.read_text().splitlines()

    async def entries(self, count: int) -> list[dict[str, Any]]:
        return [json.loads(line) for line in await self.lines(count)]


@pytest.fixture
def log_at_once(lab: Lab) -> None:
    lab.timing = replace(lab.timing, log_delay=0.0)


pytestmark = pytest.mark.usefixtures("log_at_once")


async def test_a_line_for_each_request(lab: Lab) -> None:
    access, node = AccessLog(lab), lab.http_node()
    router = await lab.to(node, access_log=str(access.path))
    client = await lab.open(router)
    sent = [ask("/first"), post(b"12345", "/second")]
    for data in sent:
        await client.send(data)
        await client.answer()
    first, second = await access.lines(2)
    pattern = (
        r"\S+Z \w+-1 127\.0\.0\.1 \"GET /first HTTP/1\.1\" example\.com 200"
        rf" in={len(sent[0])} out=40 node={re.escape(node.address)} tries=1 connect=0\.\d+"
        r" first_byte=0\.\d+ total=0\.\d+ reason=-"
    )
    assert re.fullmatch(pattern, first)
    assert f'"POST /second HTTP/1.1" example.com 200 in={len(sent[1])} out=40' in second
    assert " connect=0.000000 " in second


async def test_all_bytes_that_were_read_are_in_the_log(lab: Lab) -> None:
    """Those that no node took too: of a body that is too large, and what came behind its refusal."""
    access = AccessLog(lab)
    router = await lab.to(lab.http_node(), access_log=str(access.path), body_limit=10)
    first = ask("/first")
    second = ask("/second", "Content-Length: 100000", method="POST") + bytes(1000)
    client = await lab.open(router, first + second)
    assert (await client.answer()).status == 200
    assert (await client.answer()).status == 413
    await client.send(bytes(500))
    client.eof()
    assert (await client.ending())[1] == "closed"
    sizes = [int(line.split(" in=")[1].split()[0]) for line in await access.lines(2)]
    assert sizes == [len(first), len(second) + 500]
    assert router.counters.bytes_received == sum(sizes)


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"BAD\r\n\r\n", 400, None),
        (ask("/", "Content-Length: 99", method="POST"), 413, "body-too-large"),
        (ask(host="unknown.example"), 404, "unknown-key"),
        (ask(host="down.example"), 503, "no-node"),
        (ask(host="refused.example"), 502, "connect"),
        (ask(), 200, "-"),
    ],
    ids=["bad", "large", "unknown", "down", "refused", "ok"],
)
async def test_failures_are_logged_with_their_reason(
    lab: Lab, data: bytes, status: int, reason: str | None
) -> None:
    access, node = AccessLog(lab), lab.http_node()
    router = await lab.announced(
        access_log=str(access.path), access_log_format="json", body_limit=10
    )
    router.announce(node.address, proto="http")
    router.announce("127.0.0.1:9", b"down.example")
    router.leave("127.0.0.1:9", b"down.example")
    router.announce(lab.refused_tcp(), b"refused.example")
    assert (await lab.get(router, data)).status == status
    (entry,) = await access.entries(1)
    assert entry["status"] == status
    assert reason is None or entry["reason"] == reason
    assert entry["bytes_out"] > 0
    if status == 200:
        assert (entry["node"], entry["tries"], entry["key"]) == (node.address, 1, "example.com")
        assert entry["bytes_in"] == len(data)
        assert 0 <= entry["connect"] <= entry["first_byte"] <= entry["total"]


async def test_a_refusal_has_gone_out_when_it_has_not_when_its_client_has_left(lab: Lab) -> None:
    """After a page we read on for a while, so that the client can read it."""
    access = AccessLog(lab)
    router = await lab.http(access_log=str(access.path), access_log_format="json")
    client = await lab.open(router, b"BAD\r\n\r\n")
    assert (await client.answer()).status == 400
    await asyncio.sleep(0.1)  # it takes its time to leave
    client.close()
    (entry,) = await access.entries(1)
    assert (entry["status"], entry["tries"]) == (400, 0)
    assert entry["first_byte"] < 0.1 <= entry["total"]


async def test_without_answers_there_is_no_status(lab: Lab) -> None:
    access = AccessLog(lab)
    router = await lab.http(access_log=str(access.path), access_log_format="json", errors="close")
    client = await lab.open(router, b"BAD\r\n\r\n")
    assert await client.rest() == b""
    (entry,) = await access.entries(1)
    assert (entry["status"], entry["first_byte"], entry["bytes_out"]) == (0, None, 0)


async def test_a_connect_that_failed_took_no_time(lab: Lab) -> None:
    access = AccessLog(lab)
    router = await lab.http(
        to=(lab.refused_tcp(),), access_log=str(access.path), access_log_format="json"
    )
    assert (await lab.get(router)).status == 502
    (entry,) = await access.entries(1)
    assert (entry["connect"], entry["reason"]) == (None, "connect")


async def test_a_client_that_left_is_logged(lab: Lab) -> None:
    access, node = AccessLog(lab), lab.held()
    router = await lab.http(node, access_log=str(access.path), access_log_format="json")
    client = await lab.open(router, ask())
    await (await node.next()).packet()
    client.reset()
    (entry,) = await access.entries(1)
    assert (entry["reason"], entry["status"], entry["first_byte"]) == ("client", 0, None)


async def test_an_answer_that_was_cut_short_is_logged(lab: Lab) -> None:
    access = AccessLog(lab)
    router = await lab.to(
        lab.http_node(always(OK[:-1], close=True)),
        access_log=str(access.path),
        access_log_format="json",
    )
    client = await lab.open(router, ask())
    await client.ending()
    (entry,) = await access.entries(1)
    assert (entry["reason"], entry["status"]) == ("cut-short", 200)


async def test_a_request_that_a_stop_cut_off_is_logged(lab: Lab) -> None:
    access, node = AccessLog(lab), lab.held()
    router = await lab.http(node, access_log=str(access.path), access_log_format="json")
    await lab.open(router, ask())
    await (await node.next()).packet()
    await router.stop(0)
    (entry,) = await access.entries(1)
    assert entry["reason"] == "stopped"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_redirect_is_logged_with_its_status(lab: Lab, method: str) -> None:
    access = AccessLog(lab)
    router = await redirecting(lab, access_log=str(access.path), access_log_format="json")
    status = (await lab.get(router, ask(method=method))).status
    (entry,) = await access.entries(1)
    assert (entry["status"], entry["reason"], entry["node"]) == (status, "-", "")
    assert entry["first_byte"] is not None


async def test_the_time_before_a_request_began_is_not_its_own(lab: Lab) -> None:
    """Browsers open connections before they have something to ask."""
    access = AccessLog(lab)
    router = await lab.to(lab.http_node(), access_log=str(access.path), access_log_format="json")
    client = await lab.open(router)
    for _ in range(2):
        await asyncio.sleep(0.5)  # an idle client
        await client.send(ask())
        await client.answer()
    for entry in await access.entries(2):
        assert entry["total"] < 0.5


async def test_nobody_can_forge_a_line(lab: Lab) -> None:
    access = AccessLog(lab)
    router = await lab.to(lab.http_node(), access_log=str(access.path))
    await lab.get(router, ask('/"%20200%20\xff'))
    (line,) = await access.lines(1)
    assert "\\x22" in line
    assert "\\xff" in line


# --- error pages ---


async def test_pages_may_be_replaced(lab: Lab) -> None:
    page = lab.tmp_path / "503.html"
    page.write_text("<h1>back soon</h1>")
    router = await lab.announced(error_pages=((503, str(page)),))
    router.announce("127.0.0.1:9")
    router.leave("127.0.0.1:9")
    answer = await lab.get(router)
    assert (answer.status, answer.body) == (503, b"<h1>back soon</h1>")
    assert answer.get("content-type") == b"text/html; charset=utf-8"
    assert answer.get("cache-control") == b"no-store"
    # Others are as they were.
    answer = await lab.get(router, ask(host="unknown.example"))
    assert answer.body.startswith(b"404 Not Found\nrequest ")


async def test_an_error_names_the_request_and_nothing_else(lab: Lab) -> None:
    node = lab.refused_tcp()
    router = await lab.http(to=(node,))
    answer = await lab.get(router, ask("/secret"))
    name = answer.get("x-uwsgi-router-request") or b""
    assert answer.body == b"502 Bad Gateway\nrequest " + name + b"\n"
    assert name.decode() in await lab.log.line("failed: 502")


# --- hold ---


async def test_a_held_request_is_released_by_an_announce(lab: Lab) -> None:
    router = await lab.announced(hold=30)
    router.announce("127.0.0.1:9")
    router.leave("127.0.0.1:9")
    client = await lab.open(router, ask() + ask())
    await until(lambda: router.counters.holding == 1)
    router.announce(lab.http_node().address, proto="http")
    for _ in range(2):
        assert (await client.answer()).status == 200


async def test_a_held_request_gets_503_when_nobody_comes(lab: Lab) -> None:
    router = await lab.announced(hold=0.05)
    router.announce("127.0.0.1:9")
    router.leave("127.0.0.1:9")
    answer = await lab.get(router, post(b"body"))
    assert (answer.status, answer.get("x-uwsgi-router-reason")) == (503, b"hold-expired")


async def test_a_held_client_that_leaves_is_forgotten(lab: Lab) -> None:
    router = await lab.announced(hold=30)
    router.announce("127.0.0.1:9")
    router.leave("127.0.0.1:9")
    client = await lab.open(router, ask())
    await until(lambda: router.counters.holding == 1)
    client.reset()
    assert (await router.at_rest()).client_aborts == 1


# --- stopping ---


async def test_idle_clients_are_closed_at_once_and_running_ones_finish(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), backend_http=True, keepalive=60)
    idle, running = await lab.open(router), await lab.open(router)
    await idle.send(ask())
    upstream = await node.next()
    await upstream.request()
    await upstream.send(OK)
    await idle.answer()
    await running.send(ask() + ask("/never"))
    assert (await upstream.request()).target == b"/"
    stopping = asyncio.get_running_loop().create_task(router.stop(30))
    assert await idle.ending() == (b"", "closed")
    await upstream.send(OK)
    answer = await running.answer()
    assert (answer.status, answer.closes) == (200, True)
    assert await running.ending() == (b"", "closed")
    running.close()
    await stopping
    # Nor was a kept connection left to the node.
    assert await upstream.ending() == (b"", "closed")


async def test_who_waits_in_the_backlog_is_still_served(lab: Lab) -> None:
    router = await lab.to(lab.http_node())
    for acceptor in router.gateway._acceptors:
        acceptor.pause()
    clients = [await lab.open(router, ask()) for _ in range(5)]
    stopping = asyncio.get_running_loop().create_task(router.stop(30))
    for client in clients:
        assert (await client.answer()).closes
    await stopping


async def test_a_first_request_still_has_a_moment_to_come(lab: Lab) -> None:
    """A client that had connected may have sent it already; how long it may take is bounded."""
    lab.timing = replace(lab.timing, last_request=0.3)
    router = await lab.to(lab.http_node())
    early, late, never = [await lab.open(router) for _ in range(3)]
    await until(lambda: router.gateway.active_sessions == 3)
    for acceptor in router.gateway._acceptors:
        acceptor.pause()
    backlog = await lab.open(router)
    began = asyncio.get_running_loop().time()
    stopping = asyncio.get_running_loop().create_task(router.stop(30))
    await early.send(ask())
    assert (await early.answer()).status == 200
    await asyncio.sleep(0.1)  # several ticks
    for client in (late, backlog):
        await client.send(ask())
        assert (await client.answer()).status == 200
    assert await never.ending() == (b"", "closed")
    await stopping
    assert asyncio.get_running_loop().time() - began < 2


async def test_a_stop_leaves_no_idle_connection_to_a_node(lab: Lab) -> None:
    router = await lab.to(lab.http_node())
    await lab.get(router)
    await until(lambda: upstreams_of(router).idle == 1)
    await router.stop(0)
    assert upstreams_of(router).idle == 0


# --- cheap mode ---


async def test_in_cheap_mode_clients_wait_until_there_is_a_node(lab: Lab) -> None:
    router = await lab.announced(cheap=True)
    client = await lab.open(router, ask())
    await a_few_turns()
    assert router.gateway.active_sessions == 0
    node = lab.http_node()
    router.announce(node.address, proto="http")
    assert (await client.answer()).status == 200
    router.leave(node.address)
    await until(lambda: router.gateway.cheap)
    # Who is here already is served on; others wait again.
    await client.send(ask())
    assert (await client.answer()).status == 503
    waiting = await lab.open(router, ask())
    await a_few_turns()
    with pytest.raises(BlockingIOError):
        waiting.sock.recv(1, socket.MSG_PEEK)
    router.announce(node.address, proto="http")
    assert (await waiting.answer()).status == 200
