"""``serve`` under load, every request counted: rollouts, killed copies, recycling, a broken build, streams.

SERVE_LOAD_SECONDS says how long each takes (2; ``make serve-load`` takes a minute).
"""

import asyncio
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.lab.place import Place
from tests.lab.serving import ASGI, GUNICORN, UVICORN, WSGI, Served
from tests.lab.steady import SteadyLoad
from tests.lab.waiting import wait_until

SECONDS = float(os.environ.get("SERVE_LOAD_SECONDS", "2"))
STREAMS = 200
CLIENTS = 64
#: Seconds of a client between two requests: without, they keep copies from starting.
PAUSE = 0.1

pytestmark = [pytest.mark.sources, pytest.mark.deadline(SECONDS + 115)]


@contextmanager
def _load(served: Served) -> Iterator[SteadyLoad]:
    load = SteadyLoad(f"127.0.0.1:{served.port}", CLIENTS, pause=PAUSE)
    try:
        yield load
    finally:
        load.stop()


def _answered(load: SteadyLoad) -> int:
    """Return how many copies have answered."""
    return len({one.node for one in load.asked if one.node})


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn-gthread"])
def test_rollouts_lose_nothing(lab: Place, server: str) -> None:
    command = (*UVICORN, ASGI) if server == "uvicorn" else (*GUNICORN, "--threads", "4", WSGI)
    served = lab.served("--", *command)
    served.wait_for_copies(2)
    end, count = time.monotonic() + SECONDS, 0
    with _load(served) as load:
        load.wait_for(100)
        while time.monotonic() < end or count < 2:
            done = served.rollout()
            assert done.returncode == 0, done.stderr
            count += 1
            load.wait_for(50)
    assert load.lost() == Counter()
    assert _answered(load) >= 2 + 2 * count


def test_of_killed_copies_only_what_was_inside_is_lost(lab: Place) -> None:
    served = lab.served("--replicas", "3", "--", *UVICORN, ASGI)
    served.wait_for_copies(3)
    end, killed = time.monotonic() + SECONDS, 0
    with _load(served) as load:
        load.wait_for(100)
        while time.monotonic() < end or killed < 2:
            copies = [copy for copy in served.copies() if copy["state"] == "serving"]
            if len(copies) < 2:
                time.sleep(0.1)
                continue
            os.kill(random.choice(copies)["pid"], signal.SIGKILL)
            killed += 1
            load.wait_for(200)
    lost = load.lost()
    assert set(lost) <= {"HTTP/1.1 502 Bad Gateway"}
    # Those that were running: GETs are sent to another copy once, and lost only if that dies, too.
    assert lost.total() <= killed * CLIENTS // 3


def test_recycling_by_requests_loses_nothing(lab: Place) -> None:
    served = lab.served("--max-requests", "100", "--", *UVICORN, ASGI)
    served.wait_for_copies(2)
    end = time.monotonic() + SECONDS
    with _load(served) as load:
        wait_until(
            lambda: _answered(load) >= 4 and time.monotonic() > end,
            "copies are recycled",
            SECONDS + 40,
        )
    assert load.lost() == Counter()


def test_a_broken_build_loses_nothing(lab: Place) -> None:
    served = lab.served("--", *GUNICORN, "--threads", "4", WSGI)
    served.wait_for_copies(2)
    with _load(served) as load:
        load.wait_for(100)
        served.broken.touch()
        done = served.rollout()
        load.wait_for(100)
    assert done.returncode == 1
    assert "RuntimeError: this build is broken" in done.stderr
    assert load.lost() == Counter()
    assert _answered(load) == 2


def test_streams_end_cleanly_at_a_rollout_and_requests_go_on(lab: Place) -> None:
    served = lab.served("--drain-streams", "1s", "--", *UVICORN, ASGI)
    served.wait_for_copies(2)
    watchers = _Watchers(served)
    try:
        watchers.wait_until_all_run()

        def streams() -> int:
            # The supervisor looks once a second.
            return sum(copy.get("streams", 0) for copy in served.copies())

        wait_until(lambda: streams() >= STREAMS * 0.9, "status tells of the streams")
        with _load(served) as load:
            load.wait_for(50)
            done = served.rollout()
            load.wait_for(50)
        assert done.returncode == 0, done.stderr
    finally:
        ends = watchers.stop()
    assert load.lost() == Counter()
    assert ends == Counter({"a whole event": STREAMS, "1012": STREAMS})


class _Watchers:
    """Clients of event streams and of WebSockets, in a thread: they tell how each ended."""

    def __init__(self, served: Served) -> None:
        self._port = served.port
        self._running = 0
        self._ends: Counter[str] = Counter()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()

    def wait_until_all_run(self) -> None:
        end = time.monotonic() + 30
        while self._running < 2 * STREAMS:
            assert time.monotonic() < end, f"{self._running} run"
            time.sleep(0.05)

    def stop(self) -> Counter[str]:
        self._thread.join(60)
        return self._ends

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(STREAMS):
                group.create_task(self._events())
                group.create_task(self._socket())
                await asyncio.sleep(0.002)

    async def _events(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"GET /events HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"chunked" in head.lower()
        body, first = b"", True
        try:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body = (body + (await reader.readexactly(size + 2))[:-2])[-8:]
                if first:
                    first = False
                    self._running += 1
            await reader.readexactly(2)
            self._ends["a whole event" if body.endswith(b"\n\n") else f"{body!r}"] += 1
        except (OSError, EOFError) as exc:
            self._ends[repr(exc)] += 1
        finally:
            writer.close()

    async def _socket(self) -> None:
        async with connect(f"ws://127.0.0.1:{self._port}/ws", open_timeout=30) as socket:
            await socket.send("hello")
            await socket.recv()
            self._running += 1
            try:
                while True:
                    await socket.recv()
            except ConnectionClosed as exc:
                received = exc.rcvd
                self._ends["none" if received is None else str(received.code)] += 1


def test_streams_in_several_workers_end_cleanly_too(lab: Place) -> None:
    served = lab.served("--drain-streams", "1s", "--http-processes", "2", "--", *UVICORN, ASGI)
    served.wait_for_copies(2)
    watchers = _Watchers(served)
    try:
        watchers.wait_until_all_run()
        done = served.rollout()
        assert done.returncode == 0, done.stderr
    finally:
        ends = watchers.stop()
    assert ends == Counter({"a whole event": STREAMS, "1012": STREAMS})
