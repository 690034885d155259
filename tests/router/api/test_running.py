"""A router inside a program: it serves, tells where, ends cleanly, and leaves the process alone."""

import asyncio
import logging
import os
import signal
import socket

import pytest

from tests.lab.lab import Lab
from tests.lab.log import Log
from tests.lab.messages import KEY, OK, request
from tests.lab.scripts import answers_with_its_request
from tests.lab.waiting import until
from tests.router.api.asking import ANY_PORT, ask, connect
from uwsgi_router.protocol.subscription import Subscription, encode
from uwsgi_router.router.api import (
    ForwarderCode,
    ForwarderSubscriptionServer,
    ParameterError,
    RouterFast,
    StartError,
)


async def refused(address: str) -> bool:
    try:
        (await connect(address)).close()
    except ConnectionRefusedError:
        return True
    return False


async def test_it_serves_inside_async_with_and_not_after(lab: Lab) -> None:
    router = RouterFast(ANY_PORT, forward_to=lab.node().address)
    assert not router.addresses
    async with router as same:
        assert same is router
        (address,) = router.addresses
        assert not address.endswith(":0")
        assert await ask(router) == OK
    assert router.addresses == ()
    assert await refused(address)


async def test_serve_runs_until_it_is_cancelled(lab: Lab) -> None:
    router = RouterFast(ANY_PORT, forward_to=lab.node().address)
    task = asyncio.get_running_loop().create_task(router.serve())
    await until(lambda: router.addresses)
    address = router.addresses[0]
    assert await ask(router) == OK
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await refused(address)


async def test_a_stop_lets_requests_finish(lab: Lab) -> None:
    node = lab.held()
    router = RouterFast(ANY_PORT, forward_to=node.address)
    await router.start()
    address = router.addresses[0]
    client = await connect(address)
    await client.send(request())
    upstream, _ = await node.next_packet()
    stopping = asyncio.get_running_loop().create_task(router.stop())
    await lab.log.line("1 requests are finishing, they have 60 s")
    assert await refused(address)
    await upstream.send(OK)
    upstream.close()
    assert await client.rest() == OK
    await stopping
    client.close()


async def test_mercy_ends(lab: Lab) -> None:
    node = lab.held()
    router = RouterFast(ANY_PORT, forward_to=node.address).set_extra_params(mercy=0.05)
    async with router:
        client = await connect(router.addresses[0])
        await client.send(request())
        await node.next()
    assert lab.log.having("reload-mercy=0.05 is over: 1 requests are cut off")
    assert (await client.ending())[0] == b""
    client.close()


async def test_a_second_cancellation_ends_what_still_runs(lab: Lab) -> None:
    node = lab.held()
    router = RouterFast(ANY_PORT, forward_to=node.address)
    task = asyncio.get_running_loop().create_task(router.serve())
    await until(lambda: router.addresses)
    client = await connect(router.addresses[0])
    await client.send(request())
    await node.next()
    task.cancel()
    await lab.log.line("requests are finishing")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await client.ending())[0] == b""
    client.close()


async def test_it_can_be_started_again(lab: Lab) -> None:
    router = RouterFast(ANY_PORT, forward_to=lab.node().address)
    for _ in range(2):
        async with router:
            assert await ask(router) == OK


async def test_several_in_one_loop(lab: Lab) -> None:
    names = [str(number).encode() for number in range(3)]
    nodes = [lab.node(answers_with_its_request()) for _ in names]
    routers = [RouterFast(ANY_PORT, forward_to=node.address) for node in nodes]
    async with routers[0], routers[1], routers[2]:
        assert len({router.addresses for router in routers}) == 3
        for router in routers:
            assert KEY in await ask(router)
    assert [node.connections for node in nodes] == [1, 1, 1]


async def test_a_function_of_the_program_chooses(lab: Lab) -> None:
    nodes = {b"a.example": lab.node().address}
    async with RouterFast(ANY_PORT, forward_to=ForwarderCode(nodes.get)) as router:
        assert await ask(router, request(host="a.example")) == OK
        assert await ask(router, request(host="b.example")) == b""


async def test_nodes_announce_themselves_at_the_address_that_is_told(lab: Lab) -> None:
    router = RouterFast(ANY_PORT, forward_to=ForwarderSubscriptionServer(ANY_PORT))
    router.set_basic_params(stats_server=str(lab.path()))
    async with router:
        host, _, port = router.subscription_addresses[0].rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            announce = Subscription("subscribe", KEY, lab.node().address)
            sock.sendto(encode(announce), (host, int(port)))
        await lab.log.line("new node")
        assert await ask(router) == OK
        stats = await connect(router.stats_addresses[0])
        assert b"example.com" in await stats.rest()
        stats.close()


async def test_an_address_in_use_is_a_start_error_and_leaves_nothing(lab: Lab) -> None:
    async with RouterFast(ANY_PORT, forward_to=":1") as first:
        (taken,) = first.addresses
        path = str(lab.path())
        second = RouterFast([path, taken], forward_to=":1")
        with pytest.raises(StartError, match=taken):
            await second.start()
        assert second.addresses == ()
        assert os.listdir(lab.tmp_path) == []


async def test_what_fails_while_it_starts_leaves_nothing(lab: Lab) -> None:
    path = str(lab.path())
    module = lab.tmp_path / "m.py"
    module.write_text("f = 5\n")
    router = RouterFast(path, forward_to=ForwarderCode(str(module), "f"))
    with pytest.raises(StartError, match=r"m\.py"):
        await router.start()
    assert os.listdir(lab.tmp_path) == ["m.py"]
    assert router.addresses == ()
    await router.stop()


async def test_it_can_run_only_once_at_a_time(lab: Lab) -> None:
    async with RouterFast(ANY_PORT, forward_to=":1") as router:
        with pytest.raises(RuntimeError, match="runs already"):
            await router.start()
        assert router.addresses


async def test_without_an_address_it_does_not_start() -> None:
    with pytest.raises(ParameterError, match="on=None"):
        await RouterFast(forward_to=":1").start()


async def test_it_leaves_the_process_alone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def state() -> object:
        handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        root, area = logging.getLogger(), logging.getLogger("uwsgi-router")
        logs = [(list(logger.handlers), logger.level) for logger in (root, area)]
        return handlers, logs, os.getuid(), os.getgid(), os.getcwd(), dict(os.environ)

    before = state()
    router = RouterFast(ANY_PORT, forward_to=lab.node().address)
    router.set_owner_params(uid="nobody").set_option("chdir", "/").set_option("env", "A=1")
    with pytest.warns(UserWarning, match="chdir, env, fastrouter-uid: only the command"):
        await router.start()
    assert await ask(router) == OK
    assert state() == before
    await router.stop()
    assert state() == before


async def test_oddities_are_logged_as_the_command_does(log: Log) -> None:
    async with RouterFast(ANY_PORT):
        pass
    assert log.having(
        "RouterFast knows no node, so every request fails: give one of ForwarderCache"
    )
