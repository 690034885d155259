"""Streams of events at a reload: they end between two events, in order, once their time is over."""

from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.messages import ask, says
from tests.lab.router import Router
from tests.lab.waiting import until

LAST = b"0\r\n\r\n"


def begin(*fields: str, kind: str = "text/event-stream") -> bytes:
    return says(b"", f"Content-Type: {kind}", "Transfer-Encoding: chunked", *fields, length=False)


def chunk(data: bytes) -> bytes:
    return b"%X\r\n%s\r\n" % (len(data), data)


class Stream:
    """A stream of events through a router."""

    def __init__(self, router: Router, node: Peer, client: Peer) -> None:
        self.router = router
        self.node = node
        self.client = client

    async def send(self, data: bytes) -> None:
        """Have the node send data, and wait until it has reached the client."""
        await self.node.send(chunk(data))
        assert await self.client.exactly(len(chunk(data))) == chunk(data)

    def reload(self) -> None:
        """Leave everything to another process, as a reload begins."""
        self.router.gateway.connections.hand_on(5.0, 1.0, 5.0)

    def end(self) -> None:
        """Let the time of streams be over."""
        self.router.gateway.connections.end_streams()

    async def ended(self, expected: bytes = b"") -> None:
        """Wait until both sides have seen the end, the client one in order behind these bytes."""
        assert await self.client.rest() == expected + LAST
        assert await self.node.rest() == b""
        counters = self.router.counters
        await until(lambda: counters.completed == 1)
        assert sum(counters.failed.values()) == 0


async def opened(lab: Lab, head: bytes, **options: Any) -> Stream:
    node = lab.held()
    router = await lab.http(node, keepalive=True, **options)
    client = await lab.client(router)
    await client.send(ask("/events"))
    peer = await node.next()
    await peer.packet()
    await peer.send(head)
    await client.head()
    return Stream(router, peer, client)


async def test_one_that_is_between_two_events_ends_at_once(lab: Lab) -> None:
    stream = await opened(lab, begin())
    stream.reload()
    await stream.send(b"data: 1\n\n")
    stream.end()
    await stream.ended()


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
async def test_one_inside_an_event_ends_behind_it(lab: Lab, end: bytes) -> None:
    stream = await opened(lab, begin())
    stream.reload()
    await stream.send(b"data: 1" + end + b"data: 2")
    stream.end()
    await stream.send(b" and more")
    await stream.node.send(chunk(b", the end" + end + b"data: 3" + end))
    await stream.ended(chunk(b", the end" + end))


@pytest.mark.parametrize("cut", [1, 2, 3])
async def test_a_blank_line_that_comes_in_pieces_is_one(lab: Lab, cut: int) -> None:
    stream = await opened(lab, begin())
    stream.reload()
    await stream.send(b"data: 1")
    stream.end()
    end = b"\r\n\r\n"
    await stream.send(end[:cut])
    await stream.node.send(chunk(end[cut:] + b"data: 2\r\n\r\n"))
    await stream.ended(chunk(end[cut:]))


async def test_one_that_was_silent_all_the_time_ends_at_once(lab: Lab) -> None:
    stream = await opened(lab, begin())
    await stream.send(b"data: 1\n\ndata: half of it")
    stream.reload()
    stream.end()
    await stream.ended()


async def test_one_that_begins_after_the_reload_ends_too(lab: Lab) -> None:
    stream = await opened(lab, begin())
    stream.router.gateway.connections.reloading = True
    stream.end()
    stream.end()
    await stream.ended()


async def test_a_node_that_ends_it_itself_ends_it(lab: Lab) -> None:
    stream = await opened(lab, begin())
    stream.reload()
    await stream.send(b"data: 1\n")
    stream.end()
    await stream.node.send(LAST)
    assert await stream.client.exactly(len(LAST)) == LAST


SIZED = says(b"", "Content-Length: 9", "Content-Type: text/event-stream", length=False)


@pytest.mark.parametrize("head", [begin(kind="text/plain"), begin("Content-Encoding: gzip"), SIZED])
async def test_other_answers_go_on(lab: Lab, head: bytes) -> None:
    stream = await opened(lab, head)
    stream.reload()
    stream.end()
    body = b"some text" if b"Content-Length" in head else chunk(b"some\n\ntext") + LAST
    await stream.node.send(body)
    assert await stream.client.exactly(len(body)) == body


async def test_an_answer_without_framing_ends_with_its_connection(lab: Lab) -> None:
    head = says(b"", "Content-Type: text/event-stream", "Connection: close", length=False)
    node = lab.held()
    router = await lab.http(node)
    client = await lab.client(router)
    await client.send(b"GET / HTTP/1.0\r\nHost: example.com\r\n\r\n")
    peer = await node.next()
    await peer.packet()
    await peer.send(head + b"data: 1\n\n")
    await client.head()
    assert await client.exactly(9) == b"data: 1\n\n"
    stream = Stream(router, peer, client)
    stream.reload()
    stream.end()
    assert await client.rest() == b""
    await until(lambda: router.counters.completed == 1)
