"""Drains with a time of their own for streams, and what operators see of running requests."""

import asyncio

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.messages import OK, ask, says
from tests.lab.router import Router
from tests.lab.waiting import until_asked
from uwsgi_router.router.admin.control.operator import Drained, Operator

EVENTS = says(b"", "Content-Type: text/event-stream", "Transfer-Encoding: chunked", length=False)
#: The node's address, as the only one of ``http-to``.
LAST = b"0\r\n\r\n"


async def opened(lab: Lab, head: bytes) -> tuple[Router, Peer, Peer]:
    """A router with one node that has begun an answer; both ends of that."""
    node = lab.held()
    router = await lab.http(node, keepalive=True)
    client = await lab.client(router)
    await client.send(ask("/"))
    upstream = await node.next()
    await upstream.packet()
    if head:
        await upstream.send(head)
        await client.head()
    return router, upstream, client


def operator(router: Router) -> Operator:
    return router.instance.operator()


def name_of(router: Router) -> str:
    (status,) = operator(router).status()
    return status.node


async def test_a_stream_ends_behind_an_event_when_its_time_is_over(lab: Lab) -> None:
    router, upstream, client = await opened(lab, EVENTS)
    (status,) = await operator(router).running()
    assert (status.running, status.waiting, status.streams, status.tunnels) == (1, 0, 1, 0)
    going = operator(router).drain(name_of(router), by="a test", streams=0.0)
    waiting = asyncio.get_running_loop().create_task(going.ended(3600))
    await upstream.send(b"9\r\ndata: 1\n\n\r\n")
    assert (await client.rest()).endswith(LAST)
    assert await waiting == Drained(1, 0, known=True)


async def test_requests_are_not_waited_for_as_long_as_streams(lab: Lab) -> None:
    router, upstream, client = await opened(lab, b"")
    going = operator(router).drain(name_of(router), by="a test", streams=3600.0)
    assert await going.ended(0.05) == Drained(1, 1, known=True)
    await upstream.send(OK)
    upstream.close()
    client.close()


async def test_what_waits_for_an_answer_is_told(lab: Lab) -> None:
    router, upstream, client = await opened(lab, b"")

    async def waits() -> bool:
        return [one.waiting for one in await operator(router).running()] == [1]

    await until_asked(waits)
    (first,) = await operator(router).running()
    await asyncio.sleep(0.05)
    (later,) = await operator(router).running()
    assert first.waiting_since is not None
    assert later.waiting_since is not None
    assert later.waiting_since >= first.waiting_since + 0.04
    (bare,) = operator(router).status()
    assert (bare.waiting, bare.streams) == (None, None)
    upstream.close()
    client.close()
