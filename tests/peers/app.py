"""The application in each vassal: its answers say which vassal gave them, and what arrived.

It runs inside uWSGI, with the standard library only.
"""

import hashlib
import importlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

CHUNK = 65_536
Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer by path; see the functions."""
    query = {key: values[-1] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    if "seconds" in query:
        time.sleep(float(query["seconds"]))
    path = environ["PATH_INFO"]
    if path == "/download":
        return download(int(query["size"]), start_response)
    if path == "/duplex":
        return duplex(int(query["size"]), environ, start_response)
    if path == "/cache":
        return cache(query, start_response)
    return answer(environ, start_response)


def cache(query: dict[str, str], start_response: StartResponse) -> Iterable[bytes]:
    """Call ``uwsgi.cache_WHAT`` as applications do, and send what came of it."""
    # Only there inside uWSGI.
    uwsgi: Any = importlib.import_module("uwsgi")
    key, where = query["key"], query.get("in")
    if query["what"] in {"set", "update"}:
        call = getattr(uwsgi, f"cache_{query['what']}")
        result = call(key, query["value"].encode(), int(query.get("expires", "0")), where)
    elif query["what"] == "clear":
        result = uwsgi.cache_clear(where)
    else:
        result = getattr(uwsgi, f"cache_{query['what']}")(key, where)
    start_response("200 OK", [])
    return [repr(result).encode()]


def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read the body, if any; name the vassal, the length and the SHA-256 of the body."""
    length, digest = consume(environ)
    body = f"{os.environ['VASSAL']} {length} {digest}\n".encode()
    start_response("200 OK", [("Content-Length", str(len(body))), ("Content-Type", "text/plain")])
    return [body]


def download(size: int, start_response: StartResponse) -> Iterable[bytes]:
    """Send ``size`` bytes."""
    start_response("200 OK", [("Content-Length", str(size))])
    return pattern(size)


def duplex(size: int, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Send ``size`` bytes first, and only then read the body and send its digest."""
    start_response("200 OK", [])
    yield from pattern(size)
    yield consume(environ)[1].encode()


def consume(environ: Environ) -> tuple[int, str]:
    """Read the whole body; return its length and SHA-256."""
    digest = hashlib.sha256()
    length = 0
    missing = int(environ.get("CONTENT_LENGTH") or 0)
    while length < missing and (data := environ["wsgi.input"].read(min(CHUNK, missing - length))):
        digest.update(data)
        length += len(data)
    return length, digest.hexdigest()


def pattern(size: int) -> Iterator[bytes]:
    """Yield ``size`` bytes that are nowhere the same for long: a lost or moved piece shows."""
    for number in range(0, size, CHUNK):
        block = hashlib.sha256(str(number).encode()).digest() * (CHUNK // 32)
        yield block[: min(CHUNK, size - number)]
