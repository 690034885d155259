"""Cheap mode: without nodes, clients wait in the backlog."""

from tests.lab.lab import Lab
from tests.lab.messages import OK, request
from tests.lab.waiting import a_few_turns, until
from uwsgi_router.router.config.model import SubscriptionConfig


async def test_clients_wait_in_the_backlog_until_a_node_announces_itself(lab: Lab) -> None:
    node = lab.node()
    router = await lab.subscribed(cheap=True)
    await lab.log.line("cheap mode")
    assert router.gateway.cheap
    client = await lab.open(router, request())
    await a_few_turns()
    assert router.gateway.active_sessions == 0
    router.announce(node.address)
    assert await client.rest() == OK
    await lab.log.line("leaving cheap mode")
    assert not router.gateway.cheap


async def test_the_last_node_that_leaves_makes_it_cheap_again(lab: Lab) -> None:
    node, other = lab.node(), lab.node()
    router = await lab.subscribed(cheap=True)
    router.announce(node.address)
    router.announce(other.address, b"other")
    router.leave(node.address)
    assert lab.log.having("going cheap") == []
    router.leave(other.address, b"other")
    assert router.gateway.cheap
    await lab.log.line("going cheap")
    client = await lab.open(router, request())
    await a_few_turns()
    assert router.gateway.active_sessions == 0
    router.announce(node.address)
    assert await client.rest() == OK


async def test_a_failed_connect_to_the_last_node_makes_it_cheap(lab: Lab) -> None:
    router = await lab.subscribed(cheap=True)
    router.announce(lab.refused_tcp())
    assert await lab.ask(router) == b""
    assert router.gateway.cheap


async def test_a_silent_node_makes_it_cheap_by_time_not_by_a_lost_request(lab: Lab) -> None:
    router = await lab.subscribed(cheap=True)
    announced = router.announce(lab.node().address)
    announced.alive_at -= 4 * SubscriptionConfig().tolerance
    table = router.table
    table.report(table.registry.sweep(table._loop.time() + 1))
    assert router.gateway.cheap


async def test_requests_under_way_are_not_touched(lab: Lab) -> None:
    node = lab.held()
    router = await lab.subscribed(cheap=True)
    router.announce(node.address)
    client = await lab.open(router, request())
    upstream, _ = await node.next_packet()
    router.leave(node.address)
    assert router.gateway.cheap
    await upstream.send(OK)
    upstream.eof()
    assert await client.rest() == OK
    await router.at_rest()


async def test_without_a_subscription_server_cheap_means_nothing(lab: Lab) -> None:
    """uWSGI never serves anything then."""
    router = await lab.router(lab.node(), cheap=True)
    assert not router.gateway.cheap
    assert await lab.ask(router) == OK


async def test_cheap_ends_with_the_first_of_several_nodes_and_not_before(lab: Lab) -> None:
    router = await lab.subscribed(cheap=True)
    router.leave("127.0.0.1:9")
    assert router.gateway.cheap
    router.announce(lab.node().address)
    router.announce(lab.node().address)
    await until(lambda: not router.gateway.cheap)
    assert len(lab.log.having("leaving cheap mode")) == 1
