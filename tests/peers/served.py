"""Application for copies that are supervised: says who answers; slow, stuck, streams of events, WebSockets.

Variables: ``BROKEN_FILE``: while this file exists, it can't be imported.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

if os.path.exists(os.environ.get("BROKEN_FILE", "/nonexistent")):
    raise RuntimeError("this build is broken")

WHO = f"{os.getpid()}"
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


def application(environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
    """Answer over WSGI."""
    path = environ["PATH_INFO"]
    if path == "/stuck":
        time.sleep(600)
    if path == "/slow":
        time.sleep(float(environ["QUERY_STRING"] or 1))
    said = environ.get("HTTP_X_REQUEST_ID" if path == "/id" else "HTTP_HOST")
    body = f"{WHO} {said}\n".encode()
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer over ASGI."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _echo(receive, send)
    elif scope["path"] == "/events":
        await _events(scope, send)
    else:
        if scope["path"] == "/slow":
            await asyncio.sleep(float(scope["query_string"] or 1))
        body = f"{WHO} served\n".encode()
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _echo(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": f"{WHO} {message.get('text')}"})


async def _events(scope: dict[str, Any], send: Send) -> None:
    kind = (b"content-type", b"text/event-stream")
    await send({"type": "http.response.start", "status": 200, "headers": [kind]})
    number = 0
    while True:
        number += 1
        # In two pieces: a cut between them would be seen.
        await send({"type": "http.response.body", "body": b"id: %d\n" % number, "more_body": True})
        await asyncio.sleep(0.1)
        text = f"data: {WHO}\n\n".encode()
        await send({"type": "http.response.body", "body": text, "more_body": True})
        await asyncio.sleep(0.2)
