"""Everything that a request used is freed when it ends, without the cyclic collector: it would run for all at once."""

import gc
from collections.abc import Iterator

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.messages import ask, chunks, says
from uwsgi_router.protocol.http.errors import BodyError
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.proxy.connection import Connection
from uwsgi_router.router.proxy.exchange import Exchange
from uwsgi_router.router.proxy.pump import Pump


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.disable()
    # What was there before is not looked at.
    gc.freeze()
    yield
    gc.enable()


def left() -> list[object]:
    kinds = (Connection, Exchange, Pump, Failure, BodyError)
    return [thing for thing in gc.get_objects() if isinstance(thing, kinds)]


CHUNKED = "Transfer-Encoding: chunked"
REQUESTS = {
    "served": ask(),
    "no request": b"BAD\r\n\r\n",
    "too large": ask("/", "Content-Length: 99", method="POST"),
    "bad chunks": ask("/", CHUNKED, method="POST") + b"x\r\n",
    "chunks": ask("/", CHUNKED, method="POST") + chunks(b"abc"),
}


@pytest.mark.parametrize("data", REQUESTS.values(), ids=REQUESTS.keys())
@pytest.mark.parametrize("node", ["answers", "refuses", "closes", "resets"])
@pytest.mark.parametrize("http", [False, True])
async def test_whatever_becomes_of_a_request(lab: Lab, data: bytes, node: str, http: bool) -> None:
    async def script(peer: Peer) -> None:
        if http:
            await peer.request()
        else:
            await peer.exactly((await peer.packet()).length)
        if node == "answers":
            await peer.send(says())
        elif node == "resets":
            peer.reset()

    address = lab.refused_tcp() if node == "refuses" else lab.node(script).address
    router = await lab.http(to=(address,), backend_http=http, body_limit=10, keepalive=0, timeout=5)
    await lab.get(router, data)
    await router.at_rest()
    assert not left()
