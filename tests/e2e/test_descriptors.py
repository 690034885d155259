"""A router that runs out of descriptors: idle clients make room, the others and the statistics are served."""

import asyncio
import threading
from contextlib import ExitStack

import pytest

from tests.lab.clients import Peer
from tests.lab.messages import OK, Message
from tests.lab.nodes import in_a_thread
from tests.lab.place import Place
from tests.lab.scripts import always
from tests.lab.waiting import wait_until

OPEN_FILES = 256
IDLE = 400
HALF = b"GET / HTTP/1.1\r\nHost: exam"


@pytest.mark.parametrize("sent", [b"", HALF], ids=["nothing", "half a head"])
def test_four_hundred_idle_clients_of_a_router_with_256_descriptors(
    lab: Place, sent: bytes
) -> None:
    with in_a_thread(answer=always(OK)) as node:
        router = lab.http_before(node, "--listen=1024", open_files=OPEN_FILES)
        with router.client() as kept:
            assert kept.get("/").status == 200
            for _ in range(IDLE):
                idle = router.connect()
                lab.closing(idle)
                idle.send(sent)
            # New ones, as many as there are descriptors.
            for _ in range(OPEN_FILES):
                with router.client() as client:
                    assert client.get("/", "Connection: close").status == 200
            assert kept.get("/").status == 200
        stats = router.stats()
        assert stats["idle_closed"] > 0
        assert stats["active_sessions"] < OPEN_FILES
    assert router.output().count("the limit of 256 open files is near") == 1


def test_two_hundred_busy_clients_wait_for_their_turn(lab: Place) -> None:
    """None is idle: new ones wait in the backlog; those under way have descriptors for their nodes."""
    came, go = threading.Event(), threading.Event()

    async def slow(peer: Peer, _request: Message) -> bool:
        came.set()
        while not go.is_set():  # noqa: ASYNC110 - it is set by another thread
            await asyncio.sleep(0.01)
        await peer.send(OK)
        return True

    with in_a_thread(answer=slow) as node, ExitStack() as stack:
        router = lab.http_before(node, "--listen=1024", open_files=OPEN_FILES)
        clients = [stack.enter_context(router.client()) for _ in range(200)]
        for client in clients:
            client.request("GET", "/", "Connection: close")
        assert came.wait(10)
        wait_until(lambda: router.stats()["active_sessions"] > 80, "many clients are served")
        assert router.stats()["active_sessions"] < OPEN_FILES // 2
        go.set()
        assert [client.final().status for client in clients] == [200] * 200
    assert "cannot connect" not in router.output()
