"""Stats document as JSON bytes, in uWSGI's layout, encoded a step at a time.

A table may hold ten thousand keys. Encoding it at once would stop the event loop for a noticeable
time, so the encoder is a generator of chunks; whoever sends them decides when the next one is made.
"""

import json
from collections.abc import Iterator
from functools import cache

from uwsgi_router.router.admin.stats.document import Document, Members

_CHUNK = 8 * 1024


def encode(document: Document, *, minified: bool = False) -> Iterator[bytes]:
    r"""Encode a document, once: its subscriptions are consumed.

    Args:
        document: what :func:`uwsgi_router.router.admin.stats.document.describe` made.
        minified: no white space at all; otherwise ``"key":value`` lines indented by tabs, no
            newline at the end.

    Yields:
        Chunks of about 8 KiB, and empty ones while keys are sorted: none takes longer than 0.3 ms to make. ASCII
        only; joined they are one valid JSON document that begins with ``{``.
    """
    parts: list[str] = []
    size = 0
    for piece in _pieces(document, minified=minified):
        if not piece:
            # Nothing to send yet, and others have waited for long enough.
            yield b""
            continue
        parts.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            yield "".join(parts).encode("ascii")
            parts.clear()
            size = 0
    yield "".join(parts).encode("ascii")


def _pieces(document: Document, *, minified: bool) -> Iterator[str]:
    def line(depth: int) -> str:
        return "" if minified else "\n" + "\t" * depth

    def members(values: Members, depth: int) -> str:
        return _encoder("," + line(depth)).encode(values)[1:-1]

    def flat(values: Members, depth: int) -> str:
        return f"{{{line(depth + 1)}{members(values, depth + 1)}{line(depth)}}}"

    yield f"{{{line(1)}{members(document.head, 1)},"
    # uWSGI does not indent socket names.
    names = f",{line(0)}".join(json.dumps(name) for name in document.sockets)
    yield f"{line(1)}{json.dumps(document.name)}:[{line(0)}{names}{line(1)}],"
    if document.static_nodes is not None:
        nodes = f",{line(2)}".join(flat(node, 2) for node in document.static_nodes)
        yield f'{line(1)}"static_nodes":[{line(2)}{nodes}{line(1)}],'
    if document.subscriptions is not None:
        yield f'{line(1)}"subscriptions":['
        separator = ""
        for pool_and_nodes in document.subscriptions:
            if pool_and_nodes is None:
                yield ""
                continue
            pool, its_nodes = pool_and_nodes
            yield f'{separator}{line(2)}{{{line(3)}{members(pool, 3)},{line(3)}"nodes":['
            separator = ","
            comma = ""
            for node in its_nodes:
                yield f"{comma}{line(4)}{flat(node, 4)}"
                comma = ","
            yield f"{line(3)}]{line(2)}}}"
        yield f"{line(1)}],"
    yield f"{line(1)}{members(document.tail, 1)}"
    if document.workers is not None:
        workers = f",{line(2)}".join(flat(worker, 2) for worker in document.workers)
        yield f',{line(1)}"workers":[{line(2)}{workers}{line(1)}]'
    yield f"{line(0)}}}"


@cache
def _encoder(item_separator: str) -> json.JSONEncoder:
    # json's own indentation runs in Python, ten times slower than its C encoder. An object without
    # nested values is laid out just as well by an item separator that holds the line break.
    return json.JSONEncoder(separators=(item_separator, ":"), check_circular=False)
