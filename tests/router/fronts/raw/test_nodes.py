"""Nodes of a raw router: configured, announced for its listener, computed; drained, held for, down, full."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import phases
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.router import Router
from tests.lab.waiting import until
from uwsgi_router.router.admin.stats.document import document
from uwsgi_router.router.admin.stats.metrics import render


async def announced(lab: Lab, **options: Any) -> Router:
    router = await lab.raw(subscription_servers=("127.0.0.1:0",), **options)
    router.table.registry._started -= 1000
    return router


def named(lab: Lab, name: bytes) -> Node:
    async def script(peer: Peer) -> None:
        await peer.send(name)
        assert await peer.rest() == b""

    return lab.node(script)


async def said(lab: Lab, router: Router, size: int = 1) -> bytes:
    client = await lab.client(router)
    data = await client.exactly(size)
    client.eof()
    assert await client.rest() == b""
    client.close()
    return data


async def test_a_node_announces_itself_for_a_listener(lab: Lab) -> None:
    router = await announced(lab)
    router.announce(named(lab, b"a").address, b"127.0.0.1:0")
    router.announce(named(lab, b"b").address, b"127.0.0.1:1")
    assert {await said(lab, router) for _ in range(4)} == {b"a"}


async def test_a_listener_may_be_a_path(lab: Lab) -> None:
    path = str(lab.path())
    router = await announced(lab, listen=(path,))
    router.announce(named(lab, b"a").address, path.encode())
    assert await said(lab, router) == b"a"


async def test_a_listener_may_have_no_host(lab: Lab) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    router = await announced(lab, listen=(f":{port}",))
    router.announce(named(lab, b"a").address, f":{port}".encode())
    client = await lab.client(router, "127.0.0.1")
    assert await client.exactly(1) == b"a"
    client.close()


async def test_nodes_take_turns_by_their_weights(lab: Lab) -> None:
    router = await announced(lab)
    router.announce(named(lab, b"a").address, b"127.0.0.1:0", weight=2)
    router.announce(named(lab, b"b").address, b"127.0.0.1:0")
    answers = [await said(lab, router) for _ in range(6)]
    assert (answers.count(b"a"), answers.count(b"b")) == (4, 2)


async def test_without_a_node_a_client_is_closed_at_once(lab: Lab) -> None:
    router = await announced(lab)
    client = await lab.open(router, b"anybody?")
    assert (await client.ending())[0] == b""
    assert (await router.at_rest()).failed == {"unknown-key": 1}
    await lab.log.line("unknown-key")


async def test_a_client_may_be_held_until_one_announces_itself(lab: Lab) -> None:
    router = await announced(lab, hold=5.0)
    node = router.announce(lab.refused_tcp(), b"127.0.0.1:0")
    client = await lab.open(router, b"")
    await until(lambda: phases(router) == ["hold"])
    assert node.death_mark
    router.announce(named(lab, b"a").address, b"127.0.0.1:0")
    assert await client.exactly(1) == b"a"
    client.close()


async def test_a_drained_node_keeps_its_connections_and_gets_no_new_one(lab: Lab) -> None:
    router = await announced(lab)
    first = named(lab, b"a")
    router.announce(first.address, b"127.0.0.1:0")
    client = await lab.client(router)
    assert await client.exactly(1) == b"a"
    going = router.instance.operator().drain(first.address, by="a test")
    router.announce(named(lab, b"b").address, b"127.0.0.1:0")
    assert {await said(lab, router) for _ in range(3)} == {b"b"}
    ended = asyncio.get_running_loop().create_task(going.ended(10))
    client.eof()
    assert await client.rest() == b""
    assert (await ended).running == 0
    client.close()


async def test_a_node_that_is_down_costs_no_client_its_connection(lab: Lab) -> None:
    router = await lab.raw(to=(lab.refused_tcp(), named(lab, b"a").address, lab.missing_unix()))
    assert {await said(lab, router) for _ in range(20)} == {b"a"}
    assert router.counters.failed == {}


async def test_max_retries_is_the_number_of_further_nodes(lab: Lab) -> None:
    nodes = (lab.refused_tcp(), lab.refused_tcp(), named(lab, b"a").address)
    router = await lab.raw(to=nodes, max_retries=1)
    client = await lab.client(router)
    assert (await client.ending())[0] == b""
    assert "option=rawrouter-max-retries=1" in await lab.log.line("failed: ")
    await router.at_rest()


async def test_a_fallback_stands_in(lab: Lab) -> None:
    router = await lab.raw(to=(lab.refused_tcp(),), fallback=(named(lab, b"f").address,))
    assert await said(lab, router) == b"f"


async def test_the_key_is_put_into_a_pattern_and_behind_a_base(lab: Lab, tmp_path: Path) -> None:
    at = str(tmp_path / "127.0.0.1:0")

    async def script(peer: Peer) -> None:
        await peer.send(b"a")

    lab.node(script, unix=True, at=at)
    for router in (
        await lab.raw(use_pattern=f"{tmp_path}/%s"),
        await lab.raw(use_base=f"{tmp_path}/"),
    ):
        client = await lab.client(router)
        assert await client.rest() == b"a"


async def test_a_function_may_choose(lab: Lab) -> None:
    asked = []
    node = named(lab, b"a")

    def choose(key: bytes) -> str:
        asked.append(key)
        return node.address

    router = await lab.raw(use_code_string=choose)
    assert await said(lab, router) == b"a"
    assert asked == [b"127.0.0.1:0"]


async def test_a_node_may_have_a_name(lab: Lab) -> None:
    node = named(lab, b"a")
    port = node.address.rpartition(":")[2]
    router = await lab.raw(to=(f"localhost:{port}",))
    assert await said(lab, router) == b"a"


async def test_a_raw_router_is_announced_to_nobody(lab: Lab) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.setblocking(False)
        address = f"127.0.0.1:{other.getsockname()[1]}"
        router = await announced(lab, subscription={"resubscribe": (address,)})
        router.announce(named(lab, b"a").address, b"127.0.0.1:0")
        assert await said(lab, router) == b"a"
        await router.stop()
        with pytest.raises(BlockingIOError):
            other.recv(4096)


async def test_statistics_are_live_and_have_its_name(lab: Lab) -> None:
    node = lab.held()
    router = await lab.raw(node)
    client = await lab.open(router, b"12345")
    upstream = await node.next()
    assert await upstream.exactly(5) == b"12345"
    shown: dict[str, Any] = document(router.gateway, now=0, wall=0)
    assert shown["rawrouter"] == ["127.0.0.1:0"]
    assert shown["active_sessions"] == 1
    (static,) = shown["static_nodes"]
    assert (static["name"], static["hits"]) == (node.address, 1)
    metrics = b"".join(render(router.gateway, now=0, wall=0)).decode()
    assert 'uwsgi_router_client_received_bytes_total{router="rawrouter"} 5.0' in metrics
    (status,) = router.instance.operator().status(None)
    assert (status.node, status.requests) == (node.address, 1)
    client.close()


async def test_clients_have_a_limit(lab: Lab) -> None:
    router = await lab.raw(named(lab, b"a"), max_connections_per_client=1)
    first = await lab.client(router)
    assert await first.exactly(1) == b"a"
    second = await lab.client(router)
    assert (await second.ending())[0] == b""
    await lab.log.line("refused a connection")
    first.close()


async def test_a_stop_lets_connections_end_and_then_cuts_them_off(lab: Lab) -> None:
    router = await lab.raw(named(lab, b"a"))
    client = await lab.client(router)
    assert await client.exactly(1) == b"a"
    await router.stop(0.1)
    assert (await client.ending())[0] == b""
    assert router.counters.failed == {"stopped": 1}
