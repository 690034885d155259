"""Applications that answer with what they see of the request: scheme, client's address, host."""

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

Message = dict[str, Any]


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer over WSGI: servers leave REMOTE_ADDR alone, applications look at what was forwarded."""
    client = environ.get("HTTP_X_FORWARDED_FOR", environ.get("REMOTE_ADDR"))
    body = _body(environ["wsgi.url_scheme"], client, environ.get("HTTP_HOST"))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer over ASGI."""
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return
    host = dict(scope["headers"]).get(b"host", b"").decode()
    body = _body(scope["scheme"], (scope["client"] or [None])[0], host)
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _body(scheme: object, client: object, host: object) -> bytes:
    return json.dumps([scheme, client, host]).encode()


async def asgi_behind_a_proxy(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer over ASGI, for granian, which leaves the forwarded fields to applications."""
    from granian.utils.proxies import wrap_asgi_with_proxy_headers

    await wrap_asgi_with_proxy_headers(asgi, trusted_hosts="*")(scope, receive, send)
