"""The small ASGI application behind the HTTP router: what ``web.py`` does, by the same paths."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from tests.peers.web import PAGE, zeros

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer by path."""
    if scope["type"] == "websocket":
        await _websocket(receive, send)
    elif scope["type"] == "http":
        await _http(scope, receive, send)


async def _http(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    text = scope["query_string"].decode()
    query = {key: values[-1] for key, values in parse_qs(text).items()}
    path = scope["path"]
    given = {name.decode(): value.decode() for name, value in scope["headers"]}
    if path == "/pieces":
        await _start(send, ("content-type", "text/plain"))
        for number in range(int(query["count"])):
            await _send(send, b"piece %d\n" % number, more=True)
        await _send(send, b"")
        return
    if path == "/gzip":
        await _start(send, ("content-type", "text/html"), ("uwsgi-encoding", "gzip"))
        await _send(send, PAGE[:1000], more=True)
        await _send(send, PAGE[1000:])
        return
    if path == "/download":
        await _start(send, ("content-length", query["size"]))
        for block in zeros(int(query["size"])):
            await _send(send, block, more=True)
        await _send(send, b"")
        return
    if path == "/events":
        await _start(send, ("content-type", "text/event-stream"))
        await _events(query["fifo"], send)
        return
    if path == "/echo":
        digest, length = hashlib.sha256(), 0
        while (message := await receive())["type"] == "http.request":
            digest.update(message["body"])
            length += len(message["body"])
            if not message["more_body"]:
                break
        body = f"{length} {digest.hexdigest()}\n"
    elif path == "/origin":
        forwarded = given.get("x-forwarded-for", "")
        body = f"{scope['client'][0]}\n{forwarded}\n{scope['scheme']}\n"
    else:
        body = text + "\n"
    await _start(
        send,
        ("content-length", str(len(body))),
        ("x-node", os.environ.get("NODE", "")),
        ("x-port", str(scope["client"][1])),
    )
    await _send(send, body.encode())


async def _start(send: Send, *headers: tuple[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": 200, "headers": raw})


async def _send(send: Send, body: bytes, *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _events(fifo: str, send: Send) -> None:
    # Opening and reading block until the test writes: not on the loop.
    lines = await asyncio.to_thread(open, fifo, "rb")
    with lines:
        while line := await asyncio.to_thread(lines.readline):
            await _send(send, b"data: %b\n\n" % line.strip(), more=True)
    await _send(send, b"")


async def _websocket(receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        data = message.get("bytes")
        await send(
            {"type": "websocket.send", "bytes": data}
            if data is not None
            else {"type": "websocket.send", "text": message["text"]}
        )
