"""Routers of one program with the same ForwarderSubscriptionServer have one table of nodes."""

import asyncio
import socket
from typing import Any

import pytest

from tests.lab.lab import Lab
from tests.lab.log import Log
from tests.lab.messages import KEY, OK, request
from tests.lab.processes import free_port
from tests.lab.waiting import until
from tests.router.api.asking import ANY_PORT, ask
from uwsgi_router.protocol.subscription import Subscription, decode, encode
from uwsgi_router.router.api import (
    ForwarderSubscriptionServer,
    ParameterError,
    RouterFast,
    RouterHttp,
    StartError,
)

ASK = b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


def announce(router: Any, address: str, **fields: Any) -> None:
    host, _, port = router.subscription_addresses[0].rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(encode(Subscription("subscribe", KEY, address, **fields)), (host, int(port)))


def pair() -> tuple[RouterFast, RouterHttp]:
    server = ForwarderSubscriptionServer(ANY_PORT)
    return RouterFast(ANY_PORT, forward_to=server), RouterHttp(ANY_PORT, forward_to=server)


def waiting(router: RouterHttp) -> int:
    assert router._instance is not None
    return router._instance.gateways[0].counters.queueing


@pytest.fixture
def unused() -> str:
    """An address for announces."""
    return f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"


async def test_a_node_announces_itself_once_and_serves_both(lab: Lab, log: Log) -> None:
    fast, http = pair()
    async with fast, http:
        assert fast.subscription_addresses == http.subscription_addresses
        announce(http, lab.node().address)
        await log.line("new node")
        assert await ask(fast, request()) == OK
        assert (await ask(http, ASK)).startswith(b"HTTP/1.1 200")
        assert [node.requests for node in fast.status()] == [2]
        assert fast.status() == http.status()


async def test_either_may_stop_and_start_while_the_other_runs(lab: Lab, log: Log) -> None:
    fast, http = pair()
    await fast.start()
    await http.start()
    announce(fast, lab.node().address)
    await log.line("new node")
    await fast.stop()
    announce(http, lab.node().address, weight=2)
    await log.line("weight 2")
    assert (await ask(http, ASK)).startswith(b"HTTP/1.1 200")
    await fast.start()
    assert len(fast.status()) == 2
    assert await ask(fast, request()) == OK
    await http.stop()
    assert await ask(fast, request()) == OK
    await fast.stop()


async def test_the_last_one_ends_the_table(lab: Lab) -> None:
    fast, http = pair()
    await fast.start()
    await http.start()
    (address,) = fast.subscription_addresses
    await asyncio.gather(fast.stop(), http.stop())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        host, _, port = address.rpartition(":")
        sock.bind((host, int(port)))
    async with fast:
        announce(fast, lab.node().address)
        await lab.log.line("new node")


async def test_the_connections_to_a_node_are_counted_together(lab: Lab, log: Log) -> None:
    server = ForwarderSubscriptionServer(ANY_PORT)
    one, two = (
        RouterHttp(ANY_PORT, forward_to=server).set_backend_params(connections=1) for _ in range(2)
    )
    node = lab.held()
    async with one, two:
        announce(one, node.address, proto="http")
        await log.line("new node")
        first = asyncio.create_task(ask(one, ASK))
        upstream = await node.next()
        second = asyncio.create_task(ask(two, ASK))
        await until(lambda: waiting(two))
        await upstream.send(NO_CONTENT)
        upstream.close()
        assert (await first).startswith(b"HTTP/1.1 204")
        upstream = await node.next()
        await upstream.send(NO_CONTENT)
        upstream.close()
        assert (await second).startswith(b"HTTP/1.1 204")


async def test_a_node_at_an_address_of_the_other_router_is_refused(log: Log) -> None:
    fast, http = pair()
    async with fast, http:
        announce(fast, http.addresses[0])
        await log.line("refused a subscription datagram")
        assert fast.status() == []


async def test_other_routers_are_told_of_those_that_run(log: Log) -> None:
    fast, http = pair()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.setblocking(False)

        async def told(command: str) -> tuple[str, str | None]:
            async with asyncio.timeout(10):
                while True:
                    datagram = await asyncio.get_running_loop().sock_recv(other, 5000)
                    heard = decode(datagram)
                    if heard.command == command:
                        return heard.address, heard.proto

        address = "{}:{}".format(*other.getsockname())
        http.set_option("http-resubscribe", address)
        await http.start()
        announce(http, "127.0.0.1:9")
        web = http.addresses[0]
        assert await told("subscribe") == (web, "http")
        await fast.start()
        # What everybody understands.
        assert await told("unsubscribe") == (web, "http")
        assert await told("subscribe") == (fast.addresses[0], "uwsgi")
        gone = fast.addresses[0]
        await fast.stop()
        assert await told("unsubscribe") == (gone, "uwsgi")
        assert await told("subscribe") == (web, "http")
        await http.stop()
        assert await told("unsubscribe") == (web, "http")


async def test_options_of_the_table_are_the_first_ones(log: Log) -> None:
    fast, http = pair()
    fast.set_subscription_params(tolerance=30)
    async with fast, http:
        pass
    http.set_subscription_params(balancing_algo="lrc")
    async with fast:
        with pytest.raises(ParameterError) as caught:
            await http.start()
    told = str(caught.value)
    assert "RouterHttp(forward_to=ForwarderSubscriptionServer(" in told
    assert "has another subscription-tolerance, subscription-algo: set the same for both" in told


async def test_two_objects_for_one_address_are_refused(log: Log, unused: str) -> None:
    fast = RouterFast(ANY_PORT, forward_to=ForwarderSubscriptionServer(unused))
    http = RouterHttp(ANY_PORT, forward_to=ForwarderSubscriptionServer(unused))
    async with fast:
        with pytest.raises(ParameterError, match="give both the same object"):
            await http.start()
    async with http:
        assert http.subscription_addresses == (unused,)


async def test_one_that_cannot_start_leaves_the_other_alone(lab: Lab, log: Log) -> None:
    fast, http = pair()
    async with fast:
        taken = RouterHttp(fast.addresses[0], forward_to=fast._server)
        with pytest.raises(StartError, match="already in use"):
            await taken.start()
        announce(fast, lab.node().address)
        await log.line("new node")
        assert await ask(fast, request()) == OK
        async with http:
            assert await ask(fast, request()) == OK


async def test_on_another_event_loop_it_is_refused(log: Log) -> None:
    fast, http = pair()
    async with fast:
        elsewhere = asyncio.to_thread(asyncio.run, http.start())
        with pytest.raises(RuntimeError, match="runs on another event loop"):
            await elsewhere
