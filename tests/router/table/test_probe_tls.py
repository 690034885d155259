"""Checks of nodes that speak TLS: verified as by requests."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.tls import Authority, TlsPeer, inside_tls, server_context
from tests.lab.waiting import until
from tests.subscriptions.table import Table
from uwsgi_router.protocol.uwsgi import PONG
from uwsgi_router.router.certificates.nodes import NodeTls
from uwsgi_router.router.config.health_checks import Checks
from uwsgi_router.router.config.model import RouterConfig
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.table.probe import probe
from uwsgi_router.subscriptions.node import SubscribedNode

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    resolver = Resolver(asyncio.get_running_loop())
    yield resolver
    resolver.close()


def says(data: bytes, asked: list[bytes]) -> Any:
    async def play(peer: TlsPeer) -> None:
        asked.append(await peer.some())
        await peer.send(data)

    return play


async def checked(resolver: Resolver, node: SubscribedNode, **options: Any) -> str | None:
    checks = Checks(ping=True, path="/health", timeout=5)
    return await probe(node, checks, resolver, NodeTls(RouterConfig(**options)))


def announced(node: Node, proto: str = "https") -> SubscribedNode:
    table = Table(protocols={"https", "suwsgi"})
    table.announce(node.address, b"example.com", proto=proto)
    return table.node(node.address, b"example.com")


@pytest.mark.parametrize(("proto", "answer"), [("https", OK), ("suwsgi", PONG)])
async def test_they_are_asked_inside_tls(
    lab: Lab, authority: Authority, resolver: Resolver, proto: str, answer: bytes
) -> None:
    asked: list[bytes] = []
    context = server_context(authority.issue("127.0.0.1"))
    node = announced(lab.node(inside_tls(context, says(answer, asked))), proto)
    assert await checked(resolver, node, backend_ca=authority.file) == ""
    (question,) = asked
    assert question.startswith(b"GET /health " if proto == "https" else b"d\0\0\0")


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("127.0.0.1", {}, "can't be believed: unable to get local issuer certificate"),
        ("other.example", {"ca": True}, "can't be believed: IP address mismatch"),
        ("other.example", {"ca": True, "backend_server_name": "other.example"}, ""),
        ("other.example", {"backend_insecure": True}, ""),
    ],
)
async def test_they_are_believed_as_by_requests(
    lab: Lab,
    authority: Authority,
    resolver: Resolver,
    name: str,
    options: dict[str, Any],
    why: str,
) -> None:
    options = dict(options)
    if options.pop("ca", False):
        options["backend_ca"] = authority.file
    context = server_context(authority.issue(name))
    node = announced(lab.node(inside_tls(context, says(OK, []))))
    found = await checked(resolver, node, **options)
    assert found is not None
    assert (why in found) if why else not found
    assert found.startswith("TLS: its certificate") or not why


async def test_they_may_want_a_certificate(
    lab: Lab, authority: Authority, resolver: Resolver
) -> None:
    context = server_context(authority.issue("127.0.0.1"), authority.file)
    node = announced(lab.node(inside_tls(context, says(OK, []))))
    files = authority.issue("router")
    assert await checked(resolver, node, backend_ca=authority.file)
    assert not await checked(resolver, node, backend_ca=authority.file, backend_certificate=files)


async def test_one_that_speaks_no_tls_fails(lab: Lab, authority: Authority) -> None:
    async def plain(peer: Any) -> None:
        await peer.some()
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    resolver = Resolver(asyncio.get_running_loop())
    node = announced(lab.node(plain))
    assert await checked(resolver, node, backend_ca=authority.file) == "TLS: wrong version number"
    resolver.close()


async def test_a_refused_connect_says_so(
    resolver: Resolver, lab: Lab, authority: Authority
) -> None:
    table = Table(protocols={"https", "suwsgi"})
    address = lab.refused_tcp()
    table.announce(address, b"example.com", proto="https")
    node = table.node(address, b"example.com")
    assert await checked(resolver, node, backend_ca=authority.file) == "Connection refused"


async def test_a_router_checks_its_nodes_with_its_own_authorities(
    lab: Lab, authority: Authority
) -> None:
    subscription = {"check": Checks(path="/health", interval=0.02, fall=1)}
    context = server_context(authority.issue("127.0.0.1"))
    stranger = Authority.made(lab.tmp_path / "stranger")
    strange = server_context(stranger.issue("127.0.0.1"))
    asked: list[bytes] = []
    good = lab.node(inside_tls(context, says(OK, asked)))
    bad = lab.node(inside_tls(strange, says(OK, [])))
    router = await lab.announced(backend_ca=authority.file, subscription=subscription)
    nodes = [router.announce(one.address, b"example.com", proto="https") for one in (good, bad)]
    await until(lambda: nodes[1].check_failure and len(asked) > 1)
    assert "can't be believed" in (nodes[1].check_failure or "")
    assert not nodes[0].check_failure
