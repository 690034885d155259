"""TLS of clients ends at the SSL router, and bytes go on; or the raw router passes it on, by the name in the hello."""

import asyncio
import hashlib
import random
import ssl
from dataclasses import replace
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.router import Router
from tests.lab.tls import Authority, TlsPeer, served, server_context
from tests.lab.waiting import until
from uwsgi_router.protocol.proxy import encode_proxy_v1, parse_proxy_header
from uwsgi_router.router.config.types import SecureListener

MEGABYTE = 1024 * 1024
CLIENT, SERVER = ("2001:db8::9", 4711), ("2001:db8::1", 25)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("tls"))


async def echoes(peer: Peer) -> None:
    while data := await peer.some():
        await peer.send(data)


async def ssl_router(lab: Lab, authority: Authority, *nodes: str, **options: Any) -> Router:
    return await lab.raw(to=nodes, secure=(authority.listener(),), **options)


async def secured(
    lab: Lab, router: Router, authority: Authority, name: str = "localhost"
) -> TlsPeer:
    client = await lab.client(router)
    peer = TlsPeer(client.sock, authority.client(), name)
    await peer.handshake()
    return peer


# --- the SSL router ---


async def test_what_was_encrypted_passes_as_it_is(lab: Lab, authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        asked = await peer.rest()
        await peer.send(b"you said " + asked)

    router = await ssl_router(lab, authority, lab.node(script).address)
    client = await secured(lab, router, authority)
    await client.send(b"hello")
    await client.half_close()
    assert await client.ending() == (b"you said hello", "closed")
    assert (await router.at_rest()).completed == 1


async def test_the_node_may_be_the_first_to_speak(lab: Lab, authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"220 ready\r\n")
        assert await peer.exactly(4) == b"QUIT"

    router = await ssl_router(lab, authority, lab.node(script).address)
    client = await secured(lab, router, authority)
    assert await client.exactly(11) == b"220 ready\r\n"
    await client.send(b"QUIT")
    assert await client.ending() == (b"", "closed")
    client.close()


async def test_many_small_pieces_pass(lab: Lab, authority: Authority) -> None:
    """uWSGI's loses all but the first one."""
    router = await ssl_router(lab, authority, lab.node(echoes).address)
    client = await secured(lab, router, authority)
    for number in range(300):
        message = b"%d," % number
        await client.send(message)
        assert await client.exactly(len(message)) == message
    client.eof()
    assert await client.ending() == (b"", "closed")


@pytest.mark.parametrize("unix", [False, True])
async def test_megabytes_pass_both_ways_at_once(lab: Lab, authority: Authority, unix: bool) -> None:
    piece = random.Random(1).randbytes(MEGABYTE)
    digest = hashlib.sha256(piece * 16).hexdigest()

    async def play(peer: Peer) -> None:
        async def send() -> None:
            for _ in range(16):
                await peer.send(piece)
            if not isinstance(peer, TlsPeer):
                peer.eof()

        sending = asyncio.get_running_loop().create_task(send())
        read = hashlib.sha256()
        while data := await peer.some(MEGABYTE):
            read.update(data)
        await sending
        assert read.hexdigest() == digest
        if isinstance(peer, TlsPeer):
            # Its own OpenSSL would take what comes behind its goodbye for an error.
            await peer.half_close()

    router = await ssl_router(lab, authority, lab.node(play, unix=unix).address)
    client = await secured(lab, router, authority)
    await play(client)
    client.close()
    counters = await router.at_rest()
    assert (counters.bytes_received, counters.bytes_sent) == (16 * MEGABYTE, 16 * MEGABYTE)
    assert (counters.completed, counters.failed) == (1, {})


async def test_a_client_may_go_on_after_the_nodes_end(lab: Lab, authority: Authority) -> None:
    node = lab.held()
    router = await ssl_router(lab, authority, node.address)
    client = await secured(lab, router, authority)
    upstream = await node.next()
    await upstream.send(b"bye")
    upstream.eof()
    assert await client.ending() == (b"bye", "closed")
    await client.send(b"and another thing")
    assert await upstream.exactly(17) == b"and another thing"
    client.eof()
    assert await upstream.rest() == b""


async def test_a_node_may_end_in_the_middle_of_what_its_client_sends(
    lab: Lab, authority: Authority
) -> None:
    """OpenSSL looks for the client's goodbye when it has said its own, and does not like what it finds."""
    node = lab.held()
    router = await ssl_router(lab, authority, node.address)
    client = await secured(lab, router, authority)
    upstream = await node.next()
    piece = random.Random(2).randbytes(MEGABYTE)

    async def send() -> None:
        for _ in range(24):
            await client.send(piece)
        await client.half_close()

    sending = asyncio.get_running_loop().create_task(send())
    assert await upstream.exactly(MEGABYTE) == piece
    upstream.eof()
    for _ in range(23):
        assert await upstream.exactly(MEGABYTE) == piece
    assert await upstream.rest() == b""
    await sending
    assert await client.ending() == (b"", "closed")
    counters = await router.at_rest()
    assert (counters.completed, counters.failed, counters.client_aborts) == (1, {}, 0)


async def test_a_client_that_is_cut_off_resets_the_node(lab: Lab, authority: Authority) -> None:
    """An end without close_notify is no end: anybody on the way could have made it."""
    node = lab.held()
    router = await ssl_router(lab, authority, node.address)
    client = await secured(lab, router, authority)
    upstream = await node.next()
    await client.send(b"half a mess")
    assert await upstream.exactly(11) == b"half a mess"
    client.sock.shutdown(1)
    assert await upstream.ending() == (b"", "reset")
    client.close()
    assert (await router.at_rest()).client_aborts == 1


async def test_a_nodes_reset_is_no_end_either(lab: Lab, authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"half an ans")
        assert await peer.some() == b"x"
        peer.reset()

    router = await ssl_router(lab, authority, lab.node(script).address)
    client = await secured(lab, router, authority)
    assert await client.exactly(11) == b"half an ans"
    await client.send(b"x")
    assert (await client.ending())[1] == "reset"
    assert (await router.at_rest()).failed == {"node-reset": 1}


async def test_a_slow_client_stops_its_node(lab: Lab, authority: Authority) -> None:
    node = lab.held(unix=True)
    router = await ssl_router(lab, authority, node.address)
    client = await secured(lab, router, authority)
    upstream = await node.next()
    sent = await upstream.send_until_stuck(50 * MEGABYTE)
    assert sent < 20 * MEGABYTE
    upstream.eof()
    read = 0
    while data := await client.some(MEGABYTE):
        read += len(data)
    assert read == sent
    client.eof()


async def test_who_speaks_no_tls_is_closed(lab: Lab, authority: Authority) -> None:
    router = await ssl_router(lab, authority, lab.held().address)
    client = await lab.open(router, b"GET / HTTP/1.1\r\n\r\n")
    assert (await client.ending())[0] == b""
    assert router.counters.requests == 0


async def test_without_a_node_a_client_is_closed(lab: Lab, authority: Authority) -> None:
    router = await ssl_router(lab, authority, lab.refused_tcp())
    client = await secured(lab, router, authority)
    assert (await client.ending())[0] == b""
    assert (await router.at_rest()).failed == {"connect": 1}


async def test_clients_may_need_a_certificate(lab: Lab, authority: Authority) -> None:
    files = replace(authority.issue(), client_ca=authority.file, ca_required=True)
    listener = SecureListener("127.0.0.1:0", files)
    router = await lab.raw(lab.node(echoes), secure=(listener,))
    client = await lab.client(router)
    without = TlsPeer(client.sock, authority.client())
    await without.handshake()
    with pytest.raises(ssl.SSLError, match="certificate required"):
        await without.some()
    client = await lab.client(router)
    peer = TlsPeer(client.sock, authority.client(authority.issue("client")))
    await peer.handshake()
    await peer.send(b"x")
    assert await peer.exactly(1) == b"x"
    peer.eof()


async def test_proxies_tell_of_clients_and_nodes_are_told(lab: Lab, authority: Authority) -> None:
    node = lab.held()
    router = await ssl_router(lab, authority, node.address, proxy_protocol=(), send_proxy="1")
    client = await lab.open(router, encode_proxy_v1(CLIENT, SERVER))
    peer = TlsPeer(client.sock, authority.client())
    await peer.handshake()
    await peer.send(b"hello")
    upstream, data = await node.next(), b""
    while not data.endswith(b"hello"):
        data += await upstream.some()
    header = parse_proxy_header(data)
    assert header is not None
    assert header.source == CLIENT
    assert data[header.size :] == b"hello"
    peer.eof()


def named(lab: Lab, name: bytes) -> str:
    async def script(peer: Peer) -> None:
        await peer.send(name)
        await peer.rest()

    return lab.node(script).address


async def test_the_key_is_the_listener_or_the_name(lab: Lab, authority: Authority) -> None:
    for by_name in (False, True):
        router = await lab.raw(
            secure=(authority.listener(),), subscription_servers=("127.0.0.1:0",), sni=by_name
        )
        router.table.registry._started -= 1000
        router.announce(named(lab, b"listener"), b"127.0.0.1:0")
        router.announce(named(lab, b"a"), b"a.example")
        client = await lab.client(router)
        context = authority.client()
        context.check_hostname = False
        peer = TlsPeer(client.sock, context, "A.example")
        await peer.handshake()
        said = b"a" if by_name else b"listener"
        assert await peer.exactly(len(said)) == said
        peer.eof()
        assert await peer.ending() == (b"", "closed")


# --- the raw router, by name ---


def tls_server(lab: Lab, authority: Authority, name: str) -> str:
    """A node that speaks TLS itself, and says its name."""
    context = server_context(authority.issue(name))

    async def script(peer: Peer) -> None:
        node = await served(peer, context)
        await node.send(name.encode())
        assert await node.some() == b"bye"
        node.eof()

    return lab.node(script).address


async def by_name(lab: Lab, *announced: tuple[str, bytes], **options: Any) -> Router:
    router = await lab.raw(
        subscription_servers=("127.0.0.1:0",),
        sni=True,
        **options,
    )
    router.table.registry._started -= 1000
    for address, key in announced:
        router.announce(address, key)
    return router


async def test_the_name_in_the_hello_chooses_the_node(lab: Lab, authority: Authority) -> None:
    names = ("a.example", "b.example")
    router = await by_name(
        lab, *((tls_server(lab, authority, name), name.encode()) for name in names)
    )
    for name in names:
        client = await lab.client(router)
        peer = TlsPeer(client.sock, authority.client(), name)
        await peer.handshake()
        assert await peer.exactly(len(name)) == name.encode()
        await peer.send(b"bye")
        assert await peer.ending() == (b"", "closed")
        peer.close()
    assert (await router.at_rest()).completed == 2


async def test_a_hello_may_come_byte_by_byte(lab: Lab, authority: Authority) -> None:
    router = await by_name(lab, (tls_server(lab, authority, "a.example"), b"a.example"))
    client = await lab.client(router)
    peer = TlsPeer(client.sock, authority.client(), "a.example")
    for byte in await peer.hello():
        await client.send(bytes((byte,)))
        await asyncio.sleep(0)
    await peer.handshake()
    assert await peer.exactly(9) == b"a.example"
    await peer.send(b"bye")
    assert await peer.ending() == (b"", "closed")


@pytest.mark.parametrize(
    "said",
    [
        b"EHLO me\r\n",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
    ],
    ids=["SMTP", "PostgreSQL", "half a hello"],
)
async def test_what_names_nobody_goes_to_the_listeners_nodes(lab: Lab, said: bytes) -> None:
    node = lab.held()
    router = await by_name(lab, (node.address, b"127.0.0.1:0"), connect_timeout=0.5)
    client = await lab.open(router, said)
    upstream = await node.next()
    assert await upstream.exactly(len(said)) == said
    client.close()


async def test_a_silent_client_goes_there_after_a_while(lab: Lab) -> None:
    router = await by_name(lab, (named(lab, b"220"), b"127.0.0.1:0"), connect_timeout=0.1)
    client = await lab.client(router)
    assert await client.exactly(3) == b"220"
    client.eof()
    await until(lambda: router.gateway.active_sessions == 0)


async def test_a_proxy_header_comes_before_the_hello(lab: Lab, authority: Authority) -> None:
    node = tls_server(lab, authority, "a.example")
    router = await by_name(lab, (node, b"a.example"), proxy_protocol=())
    client = await lab.client(router)
    peer = TlsPeer(client.sock, authority.client(), "a.example")
    await client.send(encode_proxy_v1(CLIENT, SERVER) + await peer.hello())
    await peer.handshake()
    assert await peer.exactly(9) == b"a.example"
    await peer.send(b"bye")
    assert await peer.ending() == (b"", "closed")


async def test_a_name_without_a_node_is_closed(lab: Lab, authority: Authority) -> None:
    router = await by_name(lab, (named(lab, b"x"), b"127.0.0.1:0"))
    client = await lab.client(router)
    peer = TlsPeer(client.sock, authority.client(), "c.example")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await peer.handshake()
    assert (await router.at_rest()).failed == {"unknown-key": 1}
