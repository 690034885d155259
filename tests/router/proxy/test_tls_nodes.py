"""Nodes that speak TLS: verified, told apart, kept; and how their answers end."""

import ssl
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.messages import OK, ask, request
from tests.lab.nodes import Node
from tests.lab.tls import Authority, Play, TlsPeer, inside_tls, server_context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("tls"))


async def answers(peer: TlsPeer) -> None:
    """Answer each request until the router has had enough."""
    while True:
        await peer.head()
        await peer.send(OK)


def tls_node(lab: Lab, context: ssl.SSLContext, play: Play = answers, **where: Any) -> Node:
    return lab.node(inside_tls(context, play), **where)


def at(node: Node, scheme: str = "https", host: str = "localhost") -> str:
    return f"{scheme}://{host}:{node.address.rpartition(':')[2]}"


async def test_an_https_node_is_verified_and_its_connection_kept(
    lab: Lab, authority: Authority
) -> None:
    node = tls_node(lab, server_context(authority.issue()))
    router = await lab.http(to=(at(node),), keepalive=0, backend_ca=authority.file)
    client = await lab.client(router)
    for _ in range(3):
        await client.send(ask())
        assert (await client.answer()).status == 200
    client.close()
    assert node.connections == 1
    (static,) = router.gateway.static_nodes or ()
    assert (static.requests, static.proto) == (3, "https")


async def test_an_unknown_authority_is_not_believed(lab: Lab, authority: Authority) -> None:
    stranger = Authority.made(lab.tmp_path / "stranger")
    node = tls_node(lab, server_context(stranger.issue()))
    router = await lab.http(to=(at(node),), backend_ca=authority.file)
    assert (await lab.get(router)).status == 502
    line = await lab.log.line("unable to connect to ")
    assert "TLS: its certificate can't be believed: unable to get local issuer" in line


async def test_the_systems_authorities_do_not_know_it(lab: Lab, authority: Authority) -> None:
    node = tls_node(lab, server_context(authority.issue()))
    router = await lab.http(to=(at(node),))
    assert (await lab.get(router)).status == 502
    await lab.log.line("its certificate can't be believed")


async def test_the_name_has_to_be_the_nodes(lab: Lab, authority: Authority) -> None:
    node = tls_node(lab, server_context(authority.issue("other.example")))
    router = await lab.http(to=(at(node),), backend_ca=authority.file)
    assert (await lab.get(router)).status == 502
    assert "Hostname mismatch" in await lab.log.line("its certificate can't be believed")
    router = await lab.http(
        to=(at(node),), backend_ca=authority.file, backend_server_name="other.example"
    )
    assert (await lab.get(router)).status == 200


async def test_an_address_may_be_the_name(lab: Lab, authority: Authority) -> None:
    node = tls_node(lab, server_context(authority.issue("127.0.0.1")))
    router = await lab.http(to=(at(node, host="127.0.0.1"),), backend_ca=authority.file)
    assert (await lab.get(router)).status == 200


async def test_a_unix_socket_has_no_name_of_its_own(lab: Lab, authority: Authority) -> None:
    node = tls_node(lab, server_context(authority.issue("a.example")), unix=True)
    address = f"https+unix:{node.address}"
    router = await lab.http(to=(address,), backend_ca=authority.file)
    assert (await lab.get(router)).status == 502
    await lab.log.line("backend-server-name")
    named = await lab.http(
        to=(address,), backend_ca=authority.file, backend_server_name="a.example"
    )
    assert (await lab.get(named)).status == 200


async def test_anybody_may_be_believed(lab: Lab) -> None:
    stranger = Authority.made(lab.tmp_path / "stranger")
    node = tls_node(lab, server_context(stranger.issue("whoever")))
    router = await lab.http(to=(at(node),), backend_insecure=True)
    assert (await lab.get(router)).status == 200


async def test_nodes_may_want_a_certificate(lab: Lab, authority: Authority) -> None:
    node = tls_node(lab, server_context(authority.issue(), authority.file))
    router = await lab.http(
        to=(at(node),), backend_ca=authority.file, backend_certificate=authority.issue("router")
    )
    assert (await lab.get(router)).status == 200


async def test_the_next_node_is_tried_if_one_speaks_no_tls(lab: Lab, authority: Authority) -> None:
    async def plain(peer: Peer) -> None:
        await peer.some()
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    node = tls_node(lab, server_context(authority.issue()))
    router = await lab.http(
        to=(at(lab.node(plain)), at(node)), backend_ca=authority.file, connect_timeout=1.0
    )
    assert (await lab.get(router)).status == 200
    await lab.log.line("TLS: ")
    assert router.counters.retries == 1


async def test_a_handshake_has_no_longer_than_a_connect(lab: Lab, authority: Authority) -> None:
    node = tls_node(lab, server_context(authority.issue()))
    router = await lab.http(
        to=(at(lab.held()), at(node)), backend_ca=authority.file, connect_timeout=0.2
    )
    assert (await lab.get(router)).status == 200
    assert router.counters.retries == 1


async def test_announces_say_that_a_node_speaks_tls(lab: Lab, authority: Authority) -> None:
    node = tls_node(lab, server_context(authority.issue("127.0.0.1")))
    router = await lab.announced(backend_ca=authority.file)
    announced = router.announce(node.address, b"example.com", proto="https")
    assert announced.secure
    assert (await lab.get(router)).status == 200


def until_the_end(body: bytes, *, orderly: bool) -> Play:
    async def play(peer: TlsPeer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + body)
        if orderly:
            peer.eof()

    return play


@pytest.mark.parametrize("orderly", [False, True])
async def test_an_answer_that_only_the_end_ends_needs_a_goodbye(
    lab: Lab, authority: Authority, orderly: bool
) -> None:
    """Anybody on the way could have cut it off."""
    play = until_the_end(b"all of it", orderly=orderly)
    node = tls_node(lab, server_context(authority.issue()), play)
    router = await lab.http(to=(at(node),), backend_ca=authority.file)
    client = await lab.open(router, ask())
    data, how = await client.ending()
    assert data.endswith(b"all of it")
    assert how == ("closed" if orderly else "reset")
    counters = await router.at_rest()
    assert counters.failed == ({} if orderly else {"cut-short": 1})


async def test_one_with_a_length_needs_none(lab: Lab, authority: Authority) -> None:
    async def play(peer: TlsPeer) -> None:
        await peer.head()
        await peer.send(OK)

    node = tls_node(lab, server_context(authority.issue()), play)
    router = await lab.http(to=(at(node),), backend_ca=authority.file)
    assert (await lab.get(router)).status == 200
    assert (await router.at_rest()).failed == {}


async def test_a_uwsgi_node_says_no_goodbye(lab: Lab, authority: Authority) -> None:
    async def play(peer: TlsPeer) -> None:
        await peer.packet()
        await peer.send(b"HTTP/1.0 200 OK\r\n\r\nall of it")

    node = tls_node(lab, server_context(authority.issue()), play)
    router = await lab.router(to=(at(node, "suwsgi"),), backend_ca=authority.file)
    assert (await lab.ask(router, request())).endswith(b"all of it")
    counters = await router.at_rest()
    assert (counters.completed, counters.failed) == (1, {})


async def test_relays_may_be_encrypted_on_their_way_to_a_node(
    lab: Lab, authority: Authority
) -> None:
    async def echoes(peer: TlsPeer) -> None:
        while data := await peer.some():
            await peer.send(data)
        peer.eof()

    node = tls_node(lab, server_context(authority.issue()), echoes)
    router = await lab.raw(to=(at(node, "suwsgi"),), backend_ca=authority.file)
    client = await lab.open(router, b"x" * 3_000_000)
    assert await client.exactly(3_000_000) == b"x" * 3_000_000
    client.eof()
    assert await client.ending() == (b"", "closed")


# --- sessions ---


def resuming(lab: Lab, context: ssl.SSLContext, found: list[bool]) -> Node:
    """A node that notes of each connection whether it goes on with the session of an earlier one."""

    async def play(peer: TlsPeer) -> None:
        found.append(bool(peer.tls.session_reused))
        await peer.packet()
        await peer.send(b"HTTP/1.0 200 OK\r\n\r\nall of it")

    return tls_node(lab, context, play)


def of_version(authority: Authority, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = server_context(authority.issue())
    context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_makes_further_handshakes_short(
    lab: Lab, authority: Authority, version: ssl.TLSVersion
) -> None:
    found: list[bool] = []
    node = resuming(lab, of_version(authority, version), found)
    router = await lab.router(to=(at(node, "suwsgi"),), backend_ca=authority.file)
    for _ in range(4):
        assert (await lab.ask(router, request())).endswith(b"all of it")
    assert found == [False, True, True, True]


async def test_a_session_is_worth_nothing_to_who_asks_for_another_name(
    lab: Lab, authority: Authority
) -> None:
    found: list[bool] = []
    node = resuming(lab, server_context(authority.issue()), found)
    router = await lab.router(to=(at(node, "suwsgi"),), backend_ca=authority.file)
    other = await lab.router(
        to=(at(node, "suwsgi"),), backend_ca=authority.file, backend_server_name="other.example"
    )
    for _ in range(2):
        assert (await lab.ask(router, request())).endswith(b"all of it")
    assert await lab.ask(other, request()) == b""
    await lab.log.line("Hostname mismatch")
    assert found == [False, True]


async def test_a_node_that_knows_no_session_any_more_is_verified_anew(
    lab: Lab, authority: Authority
) -> None:
    found: list[bool] = []
    context = server_context(authority.issue())
    contexts = [context, context, server_context(authority.issue()), context]

    async def script(peer: Peer) -> None:
        async def play(peer: TlsPeer) -> None:
            found.append(bool(peer.tls.session_reused))
            await peer.packet()
            await peer.send(b"HTTP/1.0 200 OK\r\n\r\nall of it")

        await inside_tls(contexts[len(found)], play)(peer)

    router = await lab.router(to=(at(lab.node(script), "suwsgi"),), backend_ca=authority.file)
    for _ in contexts:
        assert (await lab.ask(router, request())).endswith(b"all of it")
    # What was refused is not offered again, and another one is not taken at once.
    assert found == [False, True, False, False]
