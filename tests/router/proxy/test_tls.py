"""TLS in front of a router: handshakes and their failures, what passes, how connections end."""

import asyncio
import socket
import ssl
import struct
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import phases
from tests.lab.lab import Lab
from tests.lab.messages import ask, says
from tests.lab.nodes import Node
from tests.lab.router import Router
from tests.lab.scripts import always
from tests.lab.tls import Authority, TlsPeer
from tests.lab.waiting import a_few_turns, until

MEGABYTE = 1024 * 1024
V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("tls"))


async def secure(lab: Lab, authority: Authority, *nodes: Node, **options: Any) -> Router:
    options.setdefault("secure", (authority.listener(),))
    return await lab.to(*nodes, **options)


@pytest.mark.parametrize("version", [V1_2, V1_3])
async def test_requests_are_served_one_after_the_other(
    version: ssl.TLSVersion, lab: Lab, authority: Authority
) -> None:
    node = lab.http_node(always(says(b"hello")))
    router = await secure(lab, authority, node)
    client = await lab.tls_open(router, authority.client(minimum=version, maximum=version))
    for path in ("/1", "/2"):
        await client.send(ask(path))
        assert (await client.answer()).body == b"hello"
    assert [request.get("x-forwarded-proto") for request in node.requests] == [b"https"] * 2
    port = str(router.secure[0][1]).encode()
    assert node.requests[0].get("x-forwarded-port") == port
    assert router.counters.handshakes == {client.tls.version(): 1}
    client.eof()
    assert await client.ending() == (b"", "closed")


async def test_a_uwsgi_node_is_told_by_https(lab: Lab, authority: Authority) -> None:
    node = lab.uwsgi_node(always(says(b"hello")))
    router = await lab.http(node, secure=(authority.listener(),))
    client = await lab.tls_open(router, authority.client(), ask("/"))
    assert (await client.answer()).body == b"hello"
    variables = node.requests[0].variables
    assert variables[b"HTTPS"] == b"on"
    assert variables[b"SERVER_PORT"] == str(router.secure[0][1]).encode()
    assert b"HTTPS_DN" not in variables
    assert b"HTTPS_CLIENT_CERTIFICATE" not in variables


async def test_the_protocol_is_agreed_on(lab: Lab, authority: Authority) -> None:
    router = await secure(lab, authority, lab.http_node())
    for offered, agreed in ((("h2", "http/1.1"), "http/1.1"), (("h2",), None), ((), None)):
        client = await lab.tls_open(router, authority.client(alpn=offered))
        assert client.tls.selected_alpn_protocol() == agreed


@pytest.mark.parametrize("version", [V1_2, V1_3])
async def test_sessions_are_resumed(
    version: ssl.TLSVersion, lab: Lab, authority: Authority
) -> None:
    router = await secure(lab, authority, lab.http_node(always(says(b"x"))))
    context = authority.client(minimum=version, maximum=version)
    first = await lab.tls_open(router, context, ask("/"))
    await first.answer()
    second = await lab.tls_open(router, context, ask("/"), session=first.tls.session)
    await second.answer()
    assert second.tls.session_reused
    assert router.counters.handshakes_resumed == 1


# --- hellos ---


async def dribbled(client: TlsPeer, hello: bytes, size: int) -> None:
    for at in range(0, len(hello), size):
        await asyncio.get_running_loop().sock_sendall(client.sock, hello[at : at + size])
        await a_few_turns()


def in_records(hello: bytes, size: int) -> bytes:
    """The same hello spread over several records."""
    body = hello[5:]
    return b"".join(
        hello[:3] + struct.pack("!H", len(body[at : at + size])) + body[at : at + size]
        for at in range(0, len(body), size)
    )


@pytest.mark.parametrize("unix", [False, True])
async def test_a_hello_may_come_byte_by_byte(unix: bool, lab: Lab, authority: Authority) -> None:
    listener = authority.listener()
    if unix:
        listener = replace(listener, listen=str(lab.path()))
    router = await secure(lab, authority, lab.http_node(always(says(b"x"))), secure=(listener,))
    client = await lab.tls_client(router, authority.client())
    hello = await client.hello()
    polled: list[int] = []
    poller = router.gateway.context.poller
    count_dispatches(poller, polled)
    # The kernel keeps no more than 277 pieces that wait in a UNIX socket.
    await dribbled(client, hello[:-1], 8 if unix else 1)
    # Told of each byte once, and not as long as they are there.
    assert len(polled) <= len(hello) + 10
    await dribbled(client, hello[-1:], 1)
    await client.handshake()
    await client.send(ask("/"))
    assert (await client.answer()).body == b"x"


def count_dispatches(poller: Any, into: list[int]) -> None:
    """Note each turn in which the poller had something to tell."""
    loop = asyncio.get_running_loop()
    descriptor = poller._epoll.fileno()
    loop.remove_reader(descriptor)

    def dispatch() -> None:
        into.append(1)
        poller._dispatch()

    loop.add_reader(descriptor, dispatch)


async def test_a_hello_may_be_spread_over_records(lab: Lab, authority: Authority) -> None:
    router = await secure(lab, authority, lab.http_node(always(says(b"x"))))
    client = await lab.tls_client(router, authority.client())
    # OpenSSL on our side verifies the transcript of messages, not of records.
    await dribbled(client, in_records(await client.hello(), 100), 60)
    await client.handshake()
    await client.send(ask("/"))
    assert (await client.answer()).body == b"x"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "bad-hello"),
        (b"\x80\x2e\x01\x00\x02", "not-tls"),
        (b"\0" * 100, "not-tls"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "not-tls"),
        (b"SSH-2.0-OpenSSH\r\n", "not-tls"),
    ],
)
async def test_garbage_is_closed_and_counted(
    data: bytes, reason: str, lab: Lab, authority: Authority
) -> None:
    router = await secure(lab, authority, lab.http_node())
    client = await lab.tls_client(router, authority.client(), first=data)
    answer, _how = await raw(client).ending()
    alert = b"\x15\x03\x03\x00\x02\x02\x32"
    assert answer == (alert if reason == "bad-hello" else b"")
    assert router.counters.handshakes_failed == {reason: 1}
    assert router.counters.requests == 0


def raw(client: TlsPeer) -> Peer:
    """The connection below TLS."""
    return Peer(client.sock)


async def plain(lab: Lab, router: Router, context: ssl.SSLContext, data: bytes) -> bytes:
    client = await lab.tls_client(router, context, first=data)
    return await raw(client).some()


async def test_plain_http_gets_a_readable_400(lab: Lab, authority: Authority) -> None:
    router = await secure(lab, authority, lab.http_node())
    answer = await plain(lab, router, authority.client(), ask("/x"))
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"https://" in answer
    assert router.counters.handshakes_failed == {"plain-http": 1}


async def test_plain_http_may_be_redirected(lab: Lab, authority: Authority) -> None:
    router = await secure(lab, authority, lab.http_node(), https_plain="redirect")
    port = router.secure[0][1]
    context = authority.client()
    answer = await plain(lab, router, context, ask("/x?y", host="a.example:80"))
    assert answer.startswith(b"HTTP/1.1 301 Moved Permanently\r\n")
    assert b"\r\nLocation: https://a.example:%d/x?y\r\n" % port in answer
    answer = await plain(lab, router, context, b"GET /x HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_an_unfinished_handshake_ends_in_time(lab: Lab, authority: Authority) -> None:
    router = await secure(lab, authority, lab.http_node(), tls={"handshake_timeout": 0.3})
    context = authority.client()
    silent = await lab.tls_client(router, context)
    half = await lab.tls_client(router, context)
    await asyncio.get_running_loop().sock_sendall(half.sock, (await half.hello())[:50])
    waiting = await lab.tls_client(router, context)
    await raw(waiting).send(await waiting.hello())
    await until(lambda: len(router.gateway.connections) == 3)
    assert set(phases(router)) == {"handshake"}
    for client in (silent, half, waiting):
        await raw(client).ending()
    assert router.counters.handshakes_failed == {"timeout": 3}


async def test_half_a_hello_and_an_end_is_closed_at_once(lab: Lab, authority: Authority) -> None:
    router = await secure(lab, authority, lab.http_node())
    client = await lab.tls_client(router, authority.client())
    await asyncio.get_running_loop().sock_sendall(client.sock, (await client.hello())[:50])
    client.sock.shutdown(socket.SHUT_WR)
    assert (await raw(client).ending())[0] == b""
    assert router.counters.handshakes_failed == {"closed": 1}


async def test_the_oldest_of_too_many_handshakes_makes_room(lab: Lab, authority: Authority) -> None:
    node = lab.http_node(always(says(b"x")))
    router = await secure(lab, authority, node, tls={"max_handshakes": 3})
    context = authority.client()
    silent = [await lab.tls_client(router, context) for _ in range(3)]
    await until(lambda: len(router.gateway.connections) == 3)
    client = await lab.tls_open(router, context, ask("/"))
    assert (await client.answer()).body == b"x"
    assert (await raw(silent[0]).ending())[0] == b""
    assert router.counters.handshakes_failed == {"crowded": 1}
    assert len(router.gateway.connections) == 3


async def test_a_client_that_refuses_the_certificate_is_counted(
    lab: Lab, authority: Authority, tmp_path: Path
) -> None:
    router = await secure(lab, authority, lab.http_node())
    stranger = Authority.made(tmp_path / "other")
    client = await lab.tls_client(router, stranger.client())
    with pytest.raises(ssl.SSLCertVerificationError):
        await client.handshake()
    await until(lambda: router.counters.handshakes_failed == {"refused-by-client": 1})


async def test_old_versions_are_refused(lab: Lab, authority: Authority) -> None:
    router = await secure(lab, authority, lab.http_node(), tls={"min_version": "1.3"})
    client = await lab.tls_client(router, authority.client(maximum=V1_2))
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        await client.handshake()
    await until(lambda: router.counters.handshakes_failed == {"version": 1})


async def test_tls_1_1_is_refused(lab: Lab, authority: Authority) -> None:
    router = await secure(lab, authority, lab.http_node())
    context = authority.client()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    client = await lab.tls_client(router, context)
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        await client.handshake()


# --- PROXY headers come before TLS ---

V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + socket.inet_aton("192.0.2.7") * 2 + b"\x12\x34\x01\xbb"


@pytest.mark.parametrize("header", [b"PROXY TCP4 192.0.2.7 192.0.2.8 4660 443\r\n", V2])
async def test_a_proxy_header_stands_before_the_hello(
    header: bytes, lab: Lab, authority: Authority
) -> None:
    node = lab.http_node(always(says(b"x")))
    router = await secure(lab, authority, node, proxy_protocol=("127.0.0.0/8",))
    for size in (1, len(header)):
        client = await lab.tls_client(router, authority.client())
        await dribbled(client, header, size)
        await client.handshake()
        await client.send(ask("/"))
        assert (await client.answer()).body == b"x"
    assert [one.get("x-forwarded-for") for one in node.requests] == [b"192.0.2.7"] * 2


async def test_who_has_to_send_a_proxy_header_and_does_not_is_refused(
    lab: Lab, authority: Authority
) -> None:
    router = await secure(lab, authority, lab.http_node(), proxy_protocol=())
    client = await lab.tls_client(router, authority.client())
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await client.handshake()
    assert router.counters.handshakes_failed == {"proxy-header": 1}


# --- bytes both ways, and the ends ---


async def test_bodies_pass_both_ways_at_once(lab: Lab, authority: Authority) -> None:
    async def echo(peer: Any) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (8 * MEGABYTE))
        left = 8 * MEGABYTE
        while left:
            data = await peer.some()
            left -= len(data)
            await peer.send(data)

    router = await secure(lab, authority, lab.node(echo))
    client = await lab.tls_open(router, authority.client())
    await client.send(ask("/", f"Content-Length: {8 * MEGABYTE}", method="POST"))
    sent = bytes(range(256)) * (8 * MEGABYTE // 256)
    sending = asyncio.ensure_future(client.send(sent))
    answer = await client.answer()
    await sending
    assert answer.body == sent


async def test_a_slow_reader_gets_everything(lab: Lab, authority: Authority) -> None:
    body = bytes(range(256)) * (8 * MEGABYTE // 256)
    router = await secure(lab, authority, lab.http_node(always(says(body))))
    client = await lab.tls_open(router, authority.client(), ask("/"))
    connections = router.gateway.connections
    await until(lambda: any(one.link.backlog for one in connections.all()))
    assert (await client.answer()).body == body


async def test_an_answer_without_a_length_ends_with_close_notify(
    lab: Lab, authority: Authority
) -> None:
    async def until_the_end(peer: Any) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(100_000))

    router = await secure(lab, authority, lab.node(until_the_end), keepalive=None)
    client = await lab.tls_open(router, authority.client(), ask("/"))
    data, how = await client.ending()
    assert data.endswith(bytes(100_000))
    assert how == "closed"


async def test_an_answer_that_was_cut_off_is_truncated(lab: Lab, authority: Authority) -> None:
    async def cut_off(peer: Any) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    router = await secure(lab, authority, lab.node(cut_off))
    client = await lab.tls_open(router, authority.client(), ask("/"))
    data, how = await client.ending()
    assert data.endswith(b"half")
    assert how in ("truncated", "reset")


async def test_a_client_may_end_first_and_gets_its_answer(lab: Lab, authority: Authority) -> None:
    answered = asyncio.Event()

    async def late(peer: Any) -> None:
        await peer.head()
        await answered.wait()
        await peer.send(says(b"late"))

    router = await secure(lab, authority, lab.node(late))
    client = await lab.tls_open(router, authority.client(), ask("/"))
    await client.half_close()
    await a_few_turns()
    answered.set()
    assert (await client.answer()).body == b"late"


async def test_a_client_that_is_cut_off_has_gone(lab: Lab, authority: Authority) -> None:
    node = lab.held()
    router = await secure(lab, authority, node)
    client = await lab.tls_open(router, authority.client(), ask("/"))
    await node.next_head()
    client.sock.shutdown(socket.SHUT_WR)
    await until(lambda: router.counters.client_aborts == 1)


async def test_changes_of_keys_pass(lab: Lab, authority: Authority) -> None:
    """Data, and a second close_notify, behind a body of many records."""
    router = await secure(lab, authority, lab.http_node(always(says(b"x"))))
    client = await lab.tls_open(router, authority.client())
    for _ in range(3):
        await client.send(ask("/", f"Content-Length: {MEGABYTE}", method="POST") + bytes(MEGABYTE))
        assert (await client.answer()).body == b"x"


async def test_a_refused_body_is_answered_and_the_rest_thrown_away(
    lab: Lab, authority: Authority
) -> None:
    router = await secure(lab, authority, lab.http_node(), body_limit=1000)
    client = await lab.tls_open(router, authority.client())
    await client.send(ask("/", f"Content-Length: {MEGABYTE}", method="POST"))
    sending = asyncio.ensure_future(client.send(bytes(MEGABYTE)))
    assert (await client.answer()).status == 413
    assert await client.ending() == (b"", "closed")
    await asyncio.gather(sending, return_exceptions=True)


# --- the router stops ---


async def test_a_handshake_under_way_ends_when_the_router_stops(
    lab: Lab, authority: Authority
) -> None:
    router = await secure(lab, authority, lab.http_node())
    client = await lab.tls_client(router, authority.client())
    await until(lambda: len(router.gateway.connections) == 1)
    await router.stop(mercy=5)
    assert (await raw(client).ending())[0] == b""
