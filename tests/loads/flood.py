"""Open-loop flood: three times as many requests as the nodes can serve, whether they are answered or not."""

import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.lab import programs
from tests.lab.clients import Client
from tests.lab.nodes import BlackHole
from tests.lab.place import Place
from tests.lab.processes import Process, free_port
from tests.lab.reloaded import Reloaded
from tests.lab.serving import GUNICORN, WSGI
from tests.lab.waiting import wait_until
from uwsgi_router.protocol.subscription import Subscription, encode

#: Threads of a copy, seconds that each request takes, times the capacity.
THREADS: Final = 4
SERVICE: Final = 0.04
TIMES: Final = 3
#: Seconds that a request may wait for a connection (http-backend-queue-timeout), and that a connect may take.
QUEUE: Final = 5.0
CONNECT: Final = 3.0
_REQUEST: Final = (
    f"GET /slow?{SERVICE} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n".encode()
)
Asked = tuple[float, float, str]
"""(seconds since the beginning, seconds that it took, status or why there is none)"""


async def _ask(port: int, began: float, asked: list[Asked]) -> None:
    started = time.monotonic()
    status = "lost"
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_REQUEST)
        answer = await reader.read()
        status = answer[9:12].decode() or "empty"
        if status == "503" and b"\r\nretry-after:" not in answer.lower():
            status = "503 without Retry-After"
        writer.close()
    asked.append((started - began, time.monotonic() - started, status))


async def _flood(port: int, rate: float, seconds: float) -> list[Asked]:
    """Send so many requests a second, and return what became of them when all have ended."""
    asked: list[Asked] = []
    began = time.monotonic()
    tasks = set()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(began + number / rate - time.monotonic())
        task = asyncio.create_task(_ask(port, began, asked))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    # What is normal again is asked while those that wait are still served.
    await asyncio.sleep(began + seconds + QUEUE - time.monotonic())
    after: list[Asked] = []
    for _ in range(20):
        await _ask(port, began, after)
    while tasks:
        await asyncio.gather(*tasks)
    return [*asked, *((when, took, f"after {status}") for when, took, status in after)]


async def _closed(port: int, clients: int, seconds: float) -> float:
    """Return how many requests a second clients get answered that each ask one after the other."""
    asked: list[Asked] = []
    began = time.monotonic()

    async def client() -> None:
        while time.monotonic() < began + seconds:
            await _ask(port, began, asked)

    await asyncio.gather(*(client() for _ in range(clients)))
    return sum(status == "200" for *_, status in asked) / (time.monotonic() - began)


def capacity_of(port: int, copies: int) -> float:
    """Return how many requests a second so many copies answer."""
    return asyncio.run(_closed(port, copies * THREADS, 3.0))


def measure(port: int, capacity: float, seconds: float, *, extra: float = 0.0) -> tuple[bool, str]:
    """Flood, and judge.

    Args:
        port: of the router.
        capacity: of the nodes behind it, requests a second.
        seconds: of the flood.
        extra: seconds that some requests may take longer than the queue allows.
    """
    asked = asyncio.run(_flood(port, TIMES * capacity, seconds))
    flood = [one for one in asked if not one[2].startswith("after")]
    after = sorted(took for _, took, status in asked if status == "after 200")
    served = sorted(took for _, took, status in flood if status == "200")
    ends = Counter(int(when + took) for when, took, status in flood if status == "200")
    # The first second fills the queue; in each later one the nodes must be busy.
    each = [ends[second] for second in range(1, int(seconds))]
    good = sum(each) / len(each)
    p99 = served[int(len(served) * 0.99)]
    text = (
        f"capacity {capacity:.0f}/s, offered {TIMES * capacity:.0f}/s, goodput {good:.0f}/s"
        f" ({100 * good / capacity:.0f} %, worst second {100 * min(each) / capacity:.0f} %), accepted p50"
        f" {served[len(served) // 2]:.2f} s, p99 {p99:.2f} s, {QUEUE:g} s after the end"
        f" {len(after)} of 20 answered, slowest {after[-1] if after else 0:.3f} s;"
        f" {dict(Counter(status for *_, status in flood))}"
    )
    normal = len(after) == 20 and after[len(after) // 2] < 3 * SERVICE
    return good >= 0.9 * capacity and p99 <= QUEUE + 0.5 + extra and normal, text


def flood(lab: Place, _nodes: object, seconds: float) -> tuple[bool, str]:
    """Flood two copies that ``serve`` has started."""
    served = lab.served("--", *GUNICORN, "--threads", str(THREADS), WSGI)
    served.wait_for_copies(2)
    return measure(served.port, capacity_of(served.port, 2), seconds)


def _status(address: str) -> int:
    with Client(address, 30.0) as client:
        return client.get("/", host="shop.example").status


@contextmanager
def _announced(address: str, *nodes: str) -> Iterator[None]:
    """Announce nodes every second."""
    host, port = address.split(":")
    over = threading.Event()

    def announce() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not over.wait(1.0):
                for node in nodes:
                    data = Subscription(
                        "subscribe", b"shop.example", node, proto="http", cores=THREADS
                    )
                    sock.sendto(encode(data), (host, int(port)))

    thread = threading.Thread(target=announce)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def black_hole(lab: Place, _nodes: object, seconds: float) -> tuple[bool, str]:
    """Flood one copy; the other node announces itself and answers no connect."""
    announce = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    router = Reloaded(
        lab,
        f"http-subscription-server = {announce}",
        "subscription-algo = least",
        "subscription-slow-start = 10",
        f"http-connect-timeout = {CONNECT}",
    )
    router.write()
    router.start(lab)
    node = f"127.0.0.1:{free_port()}"
    argv = [
        sys.executable if word == sys.executable else word.format(address=node) for word in GUNICORN
    ]
    hole = BlackHole()
    copy = Process(
        "copy",
        (*argv, "--threads", str(THREADS), WSGI),
        log=lab.directory / "copy.log",
        env={"PYTHONPATH": str(programs.ROOT)},
    )
    try:
        copy.wait_until_it_accepts(node)
        port = int(router.address.rpartition(":")[2])
        with _announced(announce, node):
            wait_until(lambda: _status(router.address) == 200, "the node is known")
            capacity = capacity_of(port, 1)
        with _announced(announce, node, hole.address):
            return measure(port, capacity, seconds, extra=CONNECT)
    finally:
        copy.kill()
        hole.close()
