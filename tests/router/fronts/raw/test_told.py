"""What nodes of a raw router are told of clients: PROXY headers, XCLIENT; and what their peers tell the router."""

import asyncio
import json

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import phases
from tests.lab.lab import Lab
from tests.lab.waiting import until
from uwsgi_router.protocol.proxy import encode_proxy_v1, encode_proxy_v2, parse_proxy_header

GREETING = b"220 mail.example ESMTP\r\n"
SECOND = b"220 hello again\r\n"
CLIENT = ("203.0.113.9", 4711)
SERVER = ("203.0.113.1", 25)


async def told_header(upstream: Peer, more: bytes = b"hello") -> tuple[object, object]:
    """Source and destination in the header that a node gets, with exactly these bytes behind it."""
    data = b""
    while not data.endswith(more):
        data += await upstream.some()
    header = parse_proxy_header(data)
    assert header is not None
    assert data[header.size :] == more
    return header.source, header.destination


# --- PROXY headers for nodes ---


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_node_is_told_who_the_client_is(lab: Lab, version: str) -> None:
    node = lab.held()
    router = await lab.raw(node, send_proxy=version)
    client = await lab.open(router, b"hello")
    upstream = await node.next()
    told = await told_header(upstream)
    assert told == (client.sock.getsockname(), router.address)
    client.close()


async def test_it_is_told_before_anybody_speaks(lab: Lab) -> None:
    node = lab.held()
    router = await lab.raw(node, send_proxy="1")
    client = await lab.client(router)
    upstream = await node.next()
    assert (await upstream.exactly(6)) == b"PROXY "
    client.close()


@pytest.mark.parametrize("version", ["1", "2"])
async def test_over_ipv6_too(lab: Lab, version: str) -> None:
    node = lab.held()
    router = await lab.raw(node, send_proxy=version, listen=("[::1]:0",))
    client = await lab.client(router)
    await client.send(b"hello")
    assert await told_header(await node.next()) == (
        client.sock.getsockname()[:2],
        router.address[:2],
    )
    client.close()


@pytest.mark.parametrize("version", ["1", "2"])
async def test_ipv4_inside_ipv6_is_ipv4(lab: Lab, version: str) -> None:
    node = lab.held()
    router = await lab.raw(node, send_proxy=version, listen=("[::]:0",))
    client = await lab.client(router, "127.0.0.1")
    await client.send(b"hello")
    assert await told_header(await node.next()) == (
        client.sock.getsockname(),
        ("127.0.0.1", router.address[1]),
    )
    client.close()


@pytest.mark.parametrize(
    ("version", "header"),
    [("1", b"PROXY UNKNOWN\r\n"), ("2", encode_proxy_v2(None, None))],
)
async def test_a_unix_client_has_no_address(lab: Lab, version: str, header: bytes) -> None:
    node = lab.held()
    router = await lab.raw(node, send_proxy=version, listen=(str(lab.path()),))
    client = await lab.open(router, b"hello")
    upstream = await node.next()
    assert await upstream.exactly(len(header) + 5) == header + b"hello"
    client.close()


async def test_the_next_node_is_told_it_too(lab: Lab) -> None:
    node = lab.held()
    router = await lab.raw(send_proxy="1", to=(lab.refused_tcp(), node.address))
    client = await lab.open(router, b"hello")
    assert (await told_header(await node.next()))[0] == client.sock.getsockname()
    client.close()


# --- PROXY headers of clients ---


@pytest.mark.parametrize(
    "header", [encode_proxy_v1(CLIENT, SERVER), encode_proxy_v2(CLIENT, SERVER)]
)
async def test_a_proxy_tells_who_the_client_is(lab: Lab, header: bytes) -> None:
    node = lab.held()
    router = await lab.raw(node, proxy_protocol=("127.0.0.0/8",), send_proxy="1")
    client = await lab.open(router, header + b"hello")
    assert await told_header(await node.next()) == (CLIENT, SERVER)
    client.close()


async def test_its_header_may_come_byte_by_byte(lab: Lab) -> None:
    node = lab.held()
    router = await lab.raw(node, proxy_protocol=(), send_proxy="1")
    client = await lab.client(router)
    for byte in encode_proxy_v1(CLIENT, SERVER) + b"hello":
        await client.send(bytes((byte,)))
        await asyncio.sleep(0)
    assert await told_header(await node.next()) == (CLIENT, SERVER)
    client.close()


async def test_others_are_not_believed(lab: Lab) -> None:
    node = lab.held()
    router = await lab.raw(node, proxy_protocol=("192.0.2.0/24",))
    header = encode_proxy_v1(CLIENT, SERVER)
    client = await lab.open(router, header)
    upstream = await node.next()
    assert await upstream.exactly(len(header)) == header
    client.close()


async def test_without_a_header_it_is_refused(lab: Lab) -> None:
    node = lab.held()
    router = await lab.raw(node, proxy_protocol=())
    client = await lab.open(router, b"EHLO me\r\n")
    assert (await client.ending())[0] == b""
    assert "bad-proxy-header" in await lab.log.line("failed: ")
    assert (await router.at_rest()).failed == {"bad-proxy-header": 1}
    assert node.connections == 0


async def test_an_end_behind_the_header_is_a_half_close(lab: Lab) -> None:
    node = lab.held()
    router = await lab.raw(node, proxy_protocol=())
    client = await lab.open(router, encode_proxy_v1(CLIENT, SERVER) + b"all of it")
    client.eof()
    upstream = await node.next()
    assert await upstream.rest() == b"all of it"
    await upstream.send(b"thanks")
    upstream.close()
    assert await client.rest() == b"thanks"


async def test_a_header_that_does_not_come_is_not_waited_for(lab: Lab) -> None:
    router = await lab.raw(lab.held(), proxy_protocol=(), connect_timeout=0.1)
    client = await lab.open(router, b"PROXY ")
    assert (await client.ending())[0] == b""
    assert (await router.at_rest()).requests == 0


# --- XCLIENT ---


async def test_an_smtp_server_is_told_who_the_client_is(lab: Lab) -> None:
    node = lab.held()
    router = await lab.raw(node, xclient=True)
    client = await lab.client(router)
    upstream = await node.next()
    await upstream.send(GREETING)
    assert await upstream.exactly(24) == b"XCLIENT ADDR=127.0.0.1\r\n"
    await upstream.send(SECOND)
    assert await client.exactly(len(SECOND)) == SECOND
    await client.send(b"EHLO me\r\n")
    assert await upstream.exactly(9) == b"EHLO me\r\n"
    client.close()


async def test_nobody_says_anything_before_that(lab: Lab) -> None:
    """What a client sends too early could be a XCLIENT of its own."""
    node = lab.held()
    router = await lab.raw(node, xclient=True)
    client = await lab.open(router, b"XCLIENT ADDR=192.0.2.1\r\n")
    upstream = await node.next()
    await until(lambda: phases(router) == ["answer"])
    for byte in GREETING:
        await upstream.send(bytes((byte,)))
        await asyncio.sleep(0)
    assert await upstream.exactly(48) == b"XCLIENT ADDR=127.0.0.1\r\nXCLIENT ADDR=192.0.2.1\r\n"
    client.close()


async def test_a_greeting_of_several_lines_is_one_greeting(lab: Lab) -> None:
    node = lab.held()
    router = await lab.raw(node, xclient=True)
    client = await lab.client(router)
    upstream = await node.next()
    await upstream.send(b"220-mail.example\r\n220-be nice\r\n" + GREETING + b"more")
    assert await upstream.exactly(24) == b"XCLIENT ADDR=127.0.0.1\r\n"
    assert await client.exactly(4) == b"more"
    client.close()


async def test_a_server_that_serves_nobody_is_told_nothing(lab: Lab) -> None:
    refusal = b"554 no service here\r\n"

    async def script(peer: Peer) -> None:
        await peer.send(refusal)
        assert await peer.exactly(6) == b"QUIT\r\n"

    router = await lab.raw(lab.node(script), xclient=True)
    client = await lab.client(router)
    assert await client.exactly(len(refusal)) == refusal
    await client.send(b"QUIT\r\n")
    assert await client.rest() == b""


async def test_an_ipv6_client_has_its_tag(lab: Lab) -> None:
    node = lab.held()
    router = await lab.raw(node, xclient=True, listen=("[::1]:0",))
    client = await lab.client(router)
    upstream = await node.next()
    await upstream.send(GREETING)
    assert await upstream.exactly(23) == b"XCLIENT ADDR=IPV6:::1\r\n"
    client.close()


async def test_a_unix_client_has_no_xclient(lab: Lab) -> None:
    router = await lab.raw(lab.node(says_greeting), xclient=True, listen=(str(lab.path()),))
    client = await lab.client(router)
    assert await client.rest() == GREETING


async def says_greeting(peer: Peer) -> None:
    await peer.send(GREETING)


async def test_what_is_no_smtp_server_fails(lab: Lab) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"SSH-2.0-OpenSSH_9.2\r\n")
        assert await peer.some() == b""

    router = await lab.raw(lab.node(script), xclient=True)
    client = await lab.client(router)
    assert await client.rest() == b""
    assert "bad-answer" in await lab.log.line("is no SMTP server")
    assert (await router.at_rest()).failed == {"bad-answer": 1}


async def test_a_greeting_that_does_not_come_is_not_waited_for(lab: Lab) -> None:
    router = await lab.raw(lab.held(), xclient=True, timeout=0.1)
    client = await lab.client(router)
    assert await client.rest() == b""
    assert "sent no greeting for 0.1 s" in await lab.log.line("no-answer-in-time")
    await router.at_rest()


async def test_a_server_that_ends_instead_of_greeting_ends_the_client(lab: Lab) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"220 h")

    router = await lab.raw(lab.node(script), xclient=True)
    client = await lab.client(router)
    assert await client.ending() == (b"220 h", "closed")
    client.close()


async def test_a_server_that_resets_instead_resets_the_client(lab: Lab) -> None:
    async def script(peer: Peer) -> None:
        peer.reset()

    router = await lab.raw(lab.node(script), xclient=True)
    client = await lab.client(router)
    assert await client.ending() == (b"", "reset")
    await router.at_rest()


async def test_both_may_be_asked_for(lab: Lab) -> None:
    node = lab.held()
    router = await lab.raw(node, xclient=True, send_proxy="1", proxy_protocol=())
    client = await lab.open(router, encode_proxy_v1(CLIENT, SERVER))
    upstream = await node.next()
    header = encode_proxy_v1(CLIENT, SERVER)
    assert await upstream.exactly(len(header)) == header
    await upstream.send(GREETING)
    assert await upstream.exactly(26) == b"XCLIENT ADDR=203.0.113.9\r\n"
    client.close()


# --- what the operator is told ---


async def test_the_access_log_has_a_line_for_each_connection(lab: Lab) -> None:
    log = lab.tmp_path / "access.log"

    async def script(peer: Peer) -> None:
        assert await peer.rest() == b"question"
        await peer.send(b"the answer")

    node = lab.node(script)
    router = await lab.raw(node, access_log=str(log), access_log_format="json")
    client = await lab.open(router, b"question")
    client.eof()
    assert await client.rest() == b"the answer"
    await router.at_rest()
    await until(lambda: log.exists() and log.read_text().endswith("\n"))
    entry = json.loads(log.read_text())
    expected = {
        "client": "127.0.0.1",
        "key": "127.0.0.1:0",
        "bytes_in": 8,
        "bytes_out": 10,
        "node": node.address,
        "tries": 1,
        "status": 0,
        "reason": "-",
    }
    assert {name: entry[name] for name in expected} == expected
    assert entry["connect"] > 0
    assert entry["total"] > 0
