"""Requests whose nodes a cache names: what the client sees when the cache, an item or a node is no good."""

from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.messages import KEY, OK, Packet, request, status_of
from tests.lab.router import Router
from tests.lab.scripts import Script, answers_with_its_request
from uwsgi_router.protocol.cache import Hit, decode_command, encode_hit
from uwsgi_router.router.config.model import CacheConfig, CacheItem


async def cached(lab: Lab, value: str | None, **options: Any) -> Router:
    """A router with a cache that holds this for the usual key."""
    items = () if value is None else (CacheItem("nodes", KEY.decode(), value),)
    process = {"named_caches": (CacheConfig("nodes", 10),), "cache_items": items}
    return await lab.router(use_cache="nodes", process=process, **options)


def cache_server(value: str | None) -> Script:
    """Another server's cache that holds this for every key."""

    async def script(peer: Peer) -> None:
        assert decode_command((await peer.packet()).raw)
        if value is not None:
            await peer.send(encode_hit(Hit(len(value))) + value.encode())

    return script


async def test_the_node_gets_the_modifier_that_the_item_names(lab: Lab) -> None:
    node = lab.node(answers_with_its_request())
    router = await cached(lab, f"{node.address},5")
    assert Packet(await lab.ask(router)).modifiers == (5, 0)


async def test_the_next_node_of_the_item_serves_and_the_failed_one_rests(lab: Lab) -> None:
    bad, good = lab.refused_tcp(), lab.node()
    router = await cached(lab, f"{bad}|{good.address}", errors="http")
    assert [await lab.ask(router) for _ in range(4)] == [OK] * 4
    assert len(lab.log.having("unable to connect to")) == 1


async def test_a_missing_item_is_an_unknown_key(lab: Lab) -> None:
    router = await cached(lab, None, errors="http", fallback=(lab.node().address,))
    assert status_of(await lab.ask(router)) == 404
    assert "the cache has no item of this key" in await lab.log.line("unknown-key")


async def test_a_missing_item_goes_to_the_fallback_if_asked_for(lab: Lab) -> None:
    fallback = (lab.node().address,)
    router = await cached(lab, None, fallback=fallback, fallback_on_no_key=True)
    assert await lab.ask(router) == OK


async def test_an_item_that_names_no_nodes_is_a_502_that_names_the_item(lab: Lab) -> None:
    router = await cached(lab, "secret-host:port", errors="http")
    answer = await lab.ask(router)
    assert status_of(answer) == 502
    assert b"the item example.com of the cache nodes" in answer
    assert b"secret" not in answer
    assert "bad-item" in await lab.log.line("failed: 502")


async def test_another_servers_item(lab: Lab) -> None:
    node = lab.node()
    server = lab.node(cache_server(node.address))
    router = await lab.router(use_cache=f"nodes@{server.address}", errors="http")
    assert [await lab.ask(router) for _ in range(3)] == [OK] * 3
    assert server.connections == 1


@pytest.mark.parametrize("on_no_key", [True, False])
async def test_another_server_that_lacks_the_item(lab: Lab, on_no_key: bool) -> None:
    server = lab.node(cache_server(None))
    router = await lab.router(
        use_cache=f"nodes@{server.address}",
        errors="http",
        fallback=(lab.node().address,),
        fallback_on_no_key=on_no_key,
    )
    for _ in range(2):
        answer = await lab.ask(router)
        assert answer == OK if on_no_key else status_of(answer) == 404


async def test_another_server_that_is_away_is_a_502_or_the_fallbacks_turn(lab: Lab) -> None:
    away = f"nodes@{lab.refused_tcp()}"
    router = await lab.router(use_cache=away, errors="http")
    answer = await lab.ask(router)
    assert status_of(answer) == 502
    assert b"does not answer: Connection refused" in answer
    router = await lab.router(use_cache=away, errors="http", fallback=(lab.node().address,))
    assert await lab.ask(router) == OK


async def test_another_server_that_is_silent_is_a_504_in_time(lab: Lab) -> None:
    server = lab.held()
    router = await lab.router(
        use_cache=f"nodes@{server.address}", errors="http", connect_timeout=0.2
    )
    assert status_of(await lab.ask(router)) == 504
    assert "option=fastrouter-connect-timeout=0.2" in await lab.log.line("failed: 504")


async def test_stopping_does_not_wait_for_another_server(lab: Lab) -> None:
    server = lab.held()
    router = await lab.router(use_cache=f"nodes@{server.address}")
    client = await lab.open(router, request())
    await server.next()
    await router.stop()
    assert (await client.ending())[0] == b""
