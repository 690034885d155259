"""Limits of connections: of a router and of one client; idle ones make room, the others are refused."""

import socket
from dataclasses import replace
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import phases
from tests.lab.lab import Lab
from tests.lab.messages import OK, ask, request
from tests.lab.router import Router
from tests.lab.scripts import always
from tests.lab.waiting import until
from uwsgi_router.router.proxy.connection_limits import ConnectionLimits

NOBODY: tuple[str, ...] = ()
HALF = b"GET / HTTP/1.1\r\nHost: exam"


async def busy(lab: Lab, router: Router, count: int) -> list[Peer]:
    """Clients whose requests a node holds."""
    before = phases(router).count("answer")
    clients = [await lab.open(router, ask()) for _ in range(count)]
    await until(lambda: phases(router).count("answer") == before + count)
    return clients


def refused(router: Router) -> dict[str, int]:
    return dict(router.counters.refused_connections)


# --- of a router ---


async def test_one_connection_too_many_is_refused_with_503_and_the_option(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), max_connections=3, backend_http=True)
    clients = await busy(lab, router, 3)
    answer = await lab.get(router, b"")
    assert (answer.status, answer.get("retry-after")) == (503, b"1")
    assert answer.get("x-uwsgi-router-reason") == b"too-many-connections"
    line = await lab.log.line("refused a connection from 127.0.0.1")
    assert line.endswith("3 are open and none is idle option=http-max-connections=3")
    assert refused(router) == {"max-connections": 1}
    assert router.counters.requests == 3
    # One leaves: there is a place again.
    upstream = await node.next()
    await upstream.head()
    await upstream.send(OK)
    upstream.close()
    assert (await clients[0].answer()).status == 200
    clients[0].close()
    await until(lambda: len(router.gateway.connections) == 2)
    await busy(lab, router, 1)
    assert refused(router) == {"max-connections": 1}


@pytest.mark.parametrize("sent", [b"", HALF], ids=["nothing", "half a head"])
async def test_clients_without_a_request_make_room_the_oldest_first(lab: Lab, sent: bytes) -> None:
    lab.timing = replace(lab.timing, idle_grace=0.0)
    router = await lab.http(lab.http_node(always(OK)), max_connections=3, backend_http=True)
    idle = [await lab.open(router, sent) for _ in range(3)]
    await until(lambda: len(router.gateway.connections) == 3)
    if sent:
        connections = router.gateway.connections.all()
        await until(lambda: all(one.pump.buffered for one in connections))  # type: ignore[attr-defined]
    assert (await lab.get(router)).status == 200
    assert await idle[0].ending() == (b"", "closed")
    await until(lambda: len(router.gateway.connections) == 2)
    assert (refused(router), router.counters.idle_closed) == ({}, 1)


async def test_kept_clients_are_closed_last(lab: Lab) -> None:
    lab.timing = replace(lab.timing, idle_grace=0.0)
    router = await lab.to(lab.http_node(), max_connections=3)
    kept = await lab.open(router, ask())
    assert (await kept.answer()).status == 200
    idle = [await lab.open(router) for _ in range(2)]
    await until(lambda: len(router.gateway.connections) == 3)
    for gone in idle:
        assert (await lab.get(router)).status == 200
        assert await gone.ending() == (b"", "closed")
        await lab.open(router)
        await until(lambda: len(router.gateway.connections) == 3)
    await kept.send(ask())
    assert (await kept.answer()).status == 200


async def test_who_has_just_come_is_not_closed_for_others(lab: Lab) -> None:
    lab.timing = replace(lab.timing, idle_grace=3600.0)
    router = await lab.http(lab.http_node(always(OK)), max_connections=1, backend_http=True)
    client = await lab.open(router)
    await until(lambda: len(router.gateway.connections) == 1)
    assert (await lab.get(router, b"")).status == 503
    await client.send(ask())
    assert (await client.answer()).status == 200


async def test_a_request_that_has_come_and_was_not_read_yet_is_served(lab: Lab) -> None:
    """Its client is idle only as far as the router has looked."""
    lab.timing = replace(lab.timing, idle_grace=0.0)
    router = await lab.http(lab.http_node(always(OK)), max_connections=1, backend_http=True)
    client = await lab.open(router)
    await until(lambda: len(router.gateway.connections) == 1)
    client.sock.send(ask())
    # Nothing is read between these two lines.
    assert router.gateway.connections.close_idle(1) == 0
    assert (await client.answer()).status == 200


async def test_a_fastrouter_closes_what_is_too_many_or_answers_if_it_does_so(lab: Lab) -> None:
    for errors, answered in (("close", b""), ("http", b"HTTP/1.1 503 ")):
        router = await lab.router(lab.held(), max_connections=1, errors=errors)
        await lab.open(router, request())
        await until(lambda router=router: phases(router) == ["answer"])  # type: ignore[misc]
        client = await lab.client(router)
        got, _how = await client.ending()
        assert got.startswith(answered)
        assert bool(got) == bool(answered)
        assert refused(router) == {"max-connections": 1}


async def test_many_that_are_refused_at_once_cost_no_places(lab: Lab) -> None:
    router = await lab.http(lab.held(), max_connections=1, backend_http=True)
    await busy(lab, router, 1)
    clients = [await lab.client(router) for _ in range(100)]
    await until(lambda: refused(router) == {"max-connections": 100})
    told = closed = 0
    for client in clients:
        got, _how = await client.ending()
        told += got.startswith(b"HTTP/1.1 503 ")
        closed += not got
        client.close()
    assert (told, closed) == (64, 36)
    await until(lambda: len(router.gateway.connections) == 1)
    assert len(lab.log.having("refused a connection")) == 1


# --- of one client ---


async def test_one_address_may_have_so_many_and_others_are_served(lab: Lab) -> None:
    router = await lab.http(
        lab.held(),
        listen=("[::]:0",),
        max_connections_per_client=2,
        trusted_proxies=NOBODY,
        backend_http=True,
    )
    port = router.address[1]
    router.address = ("127.0.0.1", port)
    await busy(lab, router, 2)
    answer = await lab.get(router, b"")
    assert answer.get("x-uwsgi-router-reason") == b"too-many-of-client"
    assert "option=http-max-connections-per-client=2" in await lab.log.line("refused a conn")
    assert refused(router) == {"max-connections-per-client": 1}
    # Another address of this machine.
    other = Peer(_from("127.0.0.9", port))
    await other.send(ask())
    await until(lambda: phases(router).count("answer") == 3)
    other.close()


async def test_its_own_idle_connections_make_room_first(lab: Lab) -> None:
    lab.timing = replace(lab.timing, idle_grace=0.0)
    router = await lab.http(
        lab.http_node(always(OK)),
        max_connections_per_client=2,
        trusted_proxies=NOBODY,
        backend_http=True,
    )
    port = router.address[1]
    other = Peer(_from("127.0.0.9", port))
    idle = [await lab.client(router) for _ in range(2)]
    await until(lambda: len(router.gateway.connections) == 3)
    assert (await lab.get(router)).status == 200
    assert await idle[0].ending() == (b"", "closed")
    await other.send(ask())
    assert (await other.answer()).status == 200
    other.close()


@pytest.mark.parametrize("exempt", ["127.0.0.0/8", "unix"])
async def test_trusted_proxies_and_unix_sockets_have_no_limit_of_their_own(
    lab: Lab, exempt: str
) -> None:
    where: dict[str, Any] = {"listen": (str(lab.path()),)} if exempt == "unix" else {}
    router = await lab.http(
        lab.held(),
        max_connections_per_client=1,
        trusted_proxies=(exempt,),
        backend_http=True,
        **where,
    )
    await busy(lab, router, 4)
    assert refused(router) == {}


async def test_behind_a_proxy_header_the_client_counts(lab: Lab) -> None:
    router = await lab.http(
        lab.held(), max_connections_per_client=2, proxy_protocol=(), backend_http=True
    )

    async def come(host: str) -> Peer:
        return await lab.open(router, f"PROXY TCP4 {host} 2.2.2.2 1 2\r\n".encode() + ask())

    for host in ("1.1.1.1", "1.1.1.1", "3.3.3.3"):
        await come(host)
    await until(lambda: phases(router).count("answer") == 3)
    late = await come("1.1.1.1")
    answer = await late.answer()
    assert answer.get("x-uwsgi-router-reason") == b"too-many-of-client"
    late.close()
    await come("3.3.3.3")
    await until(lambda: phases(router).count("answer") == 4)
    assert refused(router) == {"max-connections-per-client": 1}


async def test_who_has_just_told_its_address_does_not_make_room_for_itself(lab: Lab) -> None:
    lab.timing = replace(lab.timing, idle_grace=0.0)
    router = await lab.http(
        lab.held(), max_connections_per_client=1, proxy_protocol=(), backend_http=True
    )
    header = b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"
    await lab.open(router, header + ask())
    await until(lambda: phases(router) == ["answer"])
    late = await lab.open(router)
    await until(lambda: len(router.gateway.connections) == 2)
    await late.send(header)
    assert (await late.answer()).get("x-uwsgi-router-reason") == b"too-many-of-client"
    late.close()
    await until(lambda: phases(router) == ["answer"])
    assert router.counters.idle_closed == 0


def test_clients_are_told_apart_only_while_there_are_as_many_as_one_may_have() -> None:
    limits = ConnectionLimits(0, 4, lambda host, _told: not host)
    limits.came("a")
    assert not limits.counting
    limits.begin(["a"] * 4)
    assert not limits.has_room("a")
    assert limits.has_room("b")
    assert limits.has_room("")
    for remaining in (3, 2):
        limits.left("a", remaining)
        assert limits.counting
    limits.left("a", 1)
    assert not limits.counting
    assert limits.has_room("a")


def test_an_ipv6_client_is_a_network_of_64_bits() -> None:
    limits = ConnectionLimits(0, 2, lambda host, _told: not host)
    limits.begin(["2001:db8::1", "2001:db8::2"])
    assert not limits.has_room("2001:db8::3")
    assert limits.has_room("2001:db8:0:1::1")


def _from(host: str, port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), source_address=(host, 0))
