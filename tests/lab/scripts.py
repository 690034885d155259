"""What nodes do: answers to requests, and scripts of whole connections."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from enum import Enum, auto

from tests.lab.clients import Peer
from tests.lab.messages import OK, Message, chunks, says

#: Plays one connection, which is closed at its end.
Script = Callable[[Peer], Awaitable[None]]
#: Answers a request; True: the node goes on with the connection.
Answerer = Callable[[Peer, Message], Awaitable[bool]]

# --- answers ---


def always(*answers: bytes, close: bool = False) -> Answerer:
    """Says these one after the other, and the last one again and again."""
    left = list(answers) or [OK]

    async def answer(peer: Peer, _request: Message) -> bool:
        await peer.send(left.pop(0) if len(left) > 1 else left[0])
        return not close

    return answer


async def with_its_request(peer: Peer, request: Message) -> bool:
    """Says what it was sent."""
    await peer.send(says(request.start + b"\n" + request.body))
    return True


async def answers_by_path(peer: Peer, request: Message) -> bool:
    """Answers as the path asks: ``/204 /304 /nocl /ws /chunked /hints``; 200 otherwise."""
    path = request.target.partition(b"?")[0]
    if path == b"/ws" and request.get("upgrade") == b"websocket":
        accept = accept_key(request.get("sec-websocket-key") or b"")
        upgrade = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}")
        await peer.send(says(b"", *upgrade, status="101 Switching Protocols", length=False))
        await echoes(peer)
        return False
    if path == b"/204":
        await peer.send(says(b"", status="204 No Content", length=False))
        return True
    if path == b"/304":
        await peer.send(says(b"", 'ETag: "1"', status="304 Not Modified", length=False))
        return True
    body = b"%b %b %d\n" % (request.method, request.target, len(request.body))
    if path == b"/nocl":
        # Without a length the end of the connection is the end of the answer.
        await peer.send(says(body, "Content-Type: text/plain", length=False))
        return False
    if path == b"/chunked" and not request.variables:
        await peer.send(says(b"", "Transfer-Encoding: chunked", length=False) + chunks(body))
        return True
    if path == b"/hints":
        await peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
    await peer.send(says(body).removesuffix(body if request.method == b"HEAD" else b""))
    return True


def accept_key(key: bytes) -> str:
    """Sec-WebSocket-Accept of a key (RFC 6455, 4.2.2)."""
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest).decode()


# --- scripts ---


def answers(data: bytes = OK) -> Script:
    """Reads the whole request and answers it."""

    async def script(peer: Peer) -> None:
        got = await peer.packet()
        await peer.exactly(got.length)
        await peer.send(data)

    return script


def answers_with_its_request() -> Script:
    """Answers with the packet and the body that it got."""

    async def script(peer: Peer) -> None:
        got = await peer.packet()
        await peer.send(got.raw + await peer.exactly(got.length))

    return script


class Then(Enum):
    """A step of :func:`plays` that sends nothing.

    Attributes:
        END: the client's end has to come next.
        RESET: the connection is reset.
    """

    END = auto()
    RESET = auto()


def plays(*steps: bytes | int | asyncio.Event | Then, http: bool = False) -> Script:
    """Reads a head, then does each step: sends bytes, reads so many, waits for an event, …"""

    async def script(peer: Peer) -> None:
        await peer.either_head(http=http)
        for step in steps:
            if isinstance(step, bytes):
                await peer.send(step)
            elif isinstance(step, int):
                await peer.exactly(step)
            elif isinstance(step, asyncio.Event):
                await step.wait()
            elif step is Then.END:
                assert await peer.rest() == b""
            else:
                peer.reset()

    return script


async def closes_without_a_byte(peer: Peer) -> None:
    got = await peer.packet()
    await peer.exactly(got.length)


async def resets_without_a_byte(peer: Peer) -> None:
    await peer.packet()
    peer.reset()


async def never_answers(peer: Peer) -> None:
    await peer.packet()
    await peer.rest()
    await asyncio.Event().wait()


async def echoes(peer: Peer) -> None:
    """Sends back everything, until the client has ended."""
    while data := await peer.some():
        await peer.send(data)


async def echoes_behind_the_packet(peer: Peer) -> None:
    await peer.packet()
    await echoes(peer)


async def held_by_the_test(_peer: Peer) -> None:
    """Leaves the connection to the test."""
    await asyncio.Event().wait()
