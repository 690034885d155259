"""Stopping: drained within the mercy, or at once."""

import asyncio
from dataclasses import replace

import pytest

from tests.lab.inside import open_sockets, phases
from tests.lab.lab import Lab
from tests.lab.messages import KEY, OK, ask, post, request, says
from tests.lab.router import Router
from tests.lab.waiting import until


def pause_accepting(router: Router) -> None:
    """Let further clients wait in the backlog."""
    for acceptor in router.gateway._acceptors:
        acceptor.pause()


async def test_a_request_under_way_is_finished(lab: Lab) -> None:
    router = await lab.router(node := lab.held())
    client = await lab.open(router, request())
    upstream, _ = await node.next_packet()
    stopping = asyncio.get_running_loop().create_task(router.stop(30))
    await lab.log.line("finishing")
    await upstream.send(OK)
    upstream.eof()
    assert await client.rest() == OK
    await stopping
    await router.at_rest()


async def test_new_clients_are_refused_meanwhile(lab: Lab) -> None:
    router = await lab.router(node := lab.held())
    client = await lab.open(router, request())
    upstream = await node.next()
    stopping = asyncio.get_running_loop().create_task(router.stop(30))
    await lab.log.line("finishing")
    with pytest.raises(ConnectionRefusedError):
        await lab.client(router)
    upstream.close()
    await client.rest()
    await stopping


async def test_who_waits_in_the_backlog_is_still_served(lab: Lab) -> None:
    """Closing the listener would reset these."""
    router = await lab.router(lab.node())
    pause_accepting(router)
    clients = [await lab.open(router, request()) for _ in range(5)]
    stopping = asyncio.get_running_loop().create_task(router.stop(30))
    assert [await client.rest() for client in clients] == [OK] * 5
    await stopping


async def test_a_held_request_is_still_released_by_an_announce(lab: Lab) -> None:
    router = await lab.subscribed(hold=30)
    router.announce("127.0.0.1:9")
    router.leave("127.0.0.1:9")
    client = await lab.open(router, request())
    await until(lambda: router.counters.holding)
    stopping = asyncio.get_running_loop().create_task(router.stop(30))
    await lab.log.line("finishing")
    router.announce(lab.node().address)
    assert await client.rest() == OK
    await stopping


async def test_what_outlasts_the_mercy_is_cut_off_and_logged(lab: Lab) -> None:
    router = await lab.router(node := lab.held())
    client = await lab.open(router, request())
    await (await node.next()).packet()
    await router.stop(0.05)
    assert (await client.ending())[0] == b""
    assert "1 requests are cut off" in await lab.log.line("reload-mercy=0.05")
    await router.at_rest()
    assert router.counters.failed["stopped"] == 1


@pytest.mark.parametrize("mercy", [0, 0.2])
async def test_nothing_is_left_open(lab: Lab, mercy: float) -> None:
    """Whatever the sessions were doing, those in the backlog included."""
    before = len(open_sockets())
    node = lab.held()
    hole, busy = lab.black_hole(), lab.busy_unix()
    router = await lab.subscribed(hold=30, post_buffering=100)
    router.announce(node.address)
    router.announce(hole.address, b"hole")
    router.announce(busy.address, b"busy")
    router.announce("127.0.0.1:9", b"gone")
    router.leave("127.0.0.1:9", b"gone")
    sent = (
        b"",
        request()[:9],
        request(),
        request("POST", length=99),
        request(host="hole"),
        request(host="busy"),
        request(host="gone"),
    )
    clients = [await lab.open(router, data) for data in sent]
    all_of_them = {"request", "answer", "body", "connect", "busy", "hold"}
    await until(lambda: set(phases(router)) == all_of_them)
    pause_accepting(router)
    clients.append(await lab.open(router, request()))
    await router.stop(mercy)
    assert router.gateway.active_sessions == 0
    nodes = list(router.table.registry.pools[KEY].nodes)
    assert [(node.reference, node.connecting) for node in nodes] == [(0, 0)]
    for client in clients:
        await client.ending()
        client.close()
    await node.close()
    hole.close()
    busy.close()
    assert len(open_sockets()) <= before


async def test_a_client_that_never_sent_a_request_does_not_hold_up_the_stop(lab: Lab) -> None:
    router = await lab.router(lab.node(), timeout=60)
    client = await lab.client(router)
    await until(lambda: router.gateway.active_sessions == 1)
    began = asyncio.get_running_loop().time()
    await router.stop(30)
    assert asyncio.get_running_loop().time() - began < 5
    assert (await client.ending())[0] == b""


# --- HTTP clients, whose connections may have no request ---


async def seconds_of_stop(router: Router, mercy: float = 30) -> float:
    began = asyncio.get_running_loop().time()
    await router.stop(mercy)
    return asyncio.get_running_loop().time() - began


async def test_idle_kept_connections_are_no_requests(lab: Lab) -> None:
    router = await lab.to(lab.http_node())
    client = await lab.open(router, ask())
    assert (await client.answer()).status == 200
    assert await seconds_of_stop(router) < 4
    assert await client.ending() == (b"", "closed")
    assert not [line for line in lab.log.lines if "finishing" in line]


async def test_only_requests_that_run_are_counted(lab: Lab) -> None:
    router = await lab.to(node := lab.held())
    idle = await lab.open(router, ask())
    upstream = await node.next()
    await upstream.request()
    await upstream.send(OK)
    assert (await idle.answer()).status == 200
    running = await lab.open(router, ask())
    await upstream.request()
    stopping = asyncio.get_running_loop().create_task(router.stop(30))
    assert "1 requests are finishing" in await lab.log.line("finishing")
    await upstream.send(OK)
    answer = await running.answer()
    assert (answer.status, answer.closes) == (200, True)
    await stopping


async def test_a_pipelined_request_that_nobody_has_begun_does_not_hold_up_the_stop(
    lab: Lab,
) -> None:
    """Its client is told by the end of the connection, behind a whole answer."""
    router = await lab.to(node := lab.held())
    client = await lab.open(router, ask("/1") + ask("/2"))
    upstream = await node.next()
    await upstream.request()
    stopping = asyncio.get_running_loop().create_task(seconds_of_stop(router))
    await lab.log.line("1 requests are finishing")
    await upstream.send(OK)
    answer = await client.answer()
    assert (answer.body, answer.closes) == (b"ok", True)
    assert await client.ending() == (b"", "closed")
    assert await stopping < 4


async def test_part_of_a_pipelined_request_does_not_hold_up_the_stop(lab: Lab) -> None:
    lab.timing = replace(lab.timing, last_request=0.1)
    router = await lab.to(lab.http_node())
    client = await lab.open(router, ask("/1") + ask("/2")[:9])
    assert (await client.answer()).status == 200
    assert await seconds_of_stop(router) < 4
    assert (await client.answer()).status == 408


@pytest.mark.parametrize("stopped_before", [False, True])
async def test_an_answered_client_that_goes_on_sending_does_not_hold_up_the_stop(
    lab: Lab, stopped_before: bool
) -> None:
    router = await lab.to(node := lab.held())
    client = await lab.open(router, post(b"", "/", "X-A: b").replace(b"h: 0", b"h: 99999"))
    upstream = await node.next()
    await upstream.head()
    loop = asyncio.get_running_loop()

    async def goes_on() -> None:
        while True:
            await client.send(b"x")
            await asyncio.sleep(0.05)

    sending = loop.create_task(goes_on())
    if stopped_before:
        stopping = loop.create_task(seconds_of_stop(router))
        await lab.log.line("1 requests are finishing")
    await upstream.send(says(b"too much", status="413 Content Too Large"))
    assert (await client.answer()).body == b"too much"
    if not stopped_before:
        await until(lambda: phases(router) == ["linger"])
        stopping = loop.create_task(seconds_of_stop(router))
    assert await stopping < 4
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
