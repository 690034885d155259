"""The small WSGI application behind the HTTP router; ``asgi.py`` is its twin.

It runs inside gunicorn and uWSGI, with the standard library only. Answers by path:

    /                   ``QUERY\\n`` with a length; X-Node, and X-Port where the server knows it
    /echo               length and SHA-256 of the body, with a length
    /origin             REMOTE_ADDR, X-Forwarded-For and scheme, a line each
    /pieces?count=N     N lines without a length
    /gzip               a page without a length, and the wish to have it compressed
    /download?size=N    N zero bytes
    /events?fifo=PATH   one server-sent event for each line that is written to the FIFO
    /ws                 WebSocket echo (uWSGI's own API)
"""

import hashlib
import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

PAGE = b"<p>All work and no play makes Jack a dull boy.</p>\n" * 2000
BLOCK = bytes(1 << 20)
Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer by path."""
    query = {key: values[-1] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    path = environ["PATH_INFO"]
    if path == "/ws":
        return _websocket()
    if path == "/pieces":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"piece %d\n" % number for number in range(int(query["count"])))
    if path == "/gzip":
        start_response("200 OK", [("Content-Type", "text/html"), ("uWSGI-Encoding", "gzip")])
        return iter((PAGE[:1000], PAGE[1000:]))
    if path == "/download":
        size = int(query["size"])
        start_response("200 OK", [("Content-Length", str(size))])
        return zeros(size)
    if path == "/events":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return _events(query["fifo"])
    if path == "/echo":
        body = "{} {}\n".format(*_consume(environ))
    elif path == "/origin":
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        body = f"{environ['REMOTE_ADDR']}\n{forwarded}\n{environ['wsgi.url_scheme']}\n"
    else:
        body = environ["QUERY_STRING"] + "\n"
    headers = [("Content-Length", str(len(body))), ("X-Node", os.environ.get("NODE", ""))]
    if port := environ.get("REMOTE_PORT"):
        headers.append(("X-Port", str(port)))
    start_response("200 OK", headers)
    return [body.encode()]


def zeros(size: int) -> Iterator[bytes]:
    """Yield so many bytes in blocks, without ever holding them all."""
    for _ in range(size // len(BLOCK)):
        yield BLOCK
    yield BLOCK[: size % len(BLOCK)]


def _events(fifo: str) -> Iterator[bytes]:
    with open(fifo, "rb") as lines:
        for line in lines:
            yield b"data: %b\n\n" % line.strip()


def _consume(environ: Environ) -> tuple[int, str]:
    """Read the whole body; return its length and SHA-256."""
    digest = hashlib.sha256()
    length = 0
    for data in _body(environ):
        digest.update(data)
        length += len(data)
    return length, digest.hexdigest()


def _body(environ: Environ) -> Iterator[bytes]:
    if length := environ.get("CONTENT_LENGTH"):
        missing = int(length)
        while missing and (data := environ["wsgi.input"].read(min(65_536, missing))):
            missing -= len(data)
            yield data
    elif environ.get("wsgi.input_terminated"):
        while data := environ["wsgi.input"].read(65_536):
            yield data
    elif environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
        # Only there inside uWSGI.
        uwsgi: Any = importlib.import_module("uwsgi")
        while data := uwsgi.chunked_read():
            yield data


def _websocket() -> Iterable[bytes]:
    uwsgi: Any = importlib.import_module("uwsgi")
    uwsgi.websocket_handshake()
    while True:
        try:
            message = uwsgi.websocket_recv()
        except OSError:  # its way to say that the client has closed
            return []
        uwsgi.websocket_send_binary(message)
