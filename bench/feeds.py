"""Cost of a table that several processes share: of an announce in the keeper and in each worker, memory of a node.

    python -m bench.feeds [NODES]

CPU seconds, not time: it may run beside other things. An announce is a refresh, as each node sends one every ten
seconds; it is told to the workers with the others of its batch.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.router.config.model import SubscriptionConfig
from uwsgi_router.router.table.feed.fed import Feed
from uwsgi_router.router.table.feed.fed_table import FedTable
from uwsgi_router.router.table.feed.owned_table import OwnedTable
from uwsgi_router.router.table.feed.owner import FeedOwner
from uwsgi_router.router.table.feed.parts import Worker
from uwsgi_router.router.table.table import Table
from uwsgi_router.subscriptions.server import BATCH

NAME: Final = "table"


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs with some number of workers.

    Attributes:
        workers: of them; 0: the table is in one process.
        keeper: microseconds of an announce in the process that decides.
        worker: likewise in each worker.
        snapshot: milliseconds until a worker has the whole table, in the worker.
        keeper_memory: bytes of a node in the process that decides.
        worker_memory: likewise in a worker.
    """

    workers: int
    keeper: float
    worker: float
    snapshot: float
    keeper_memory: float
    worker_memory: float


def private_memory() -> int:
    """Bytes of memory that only this process has."""
    with open("/proc/self/smaps_rollup") as file:
        for line in file:
            if line.startswith("Private_Dirty:"):
                return int(line.split()[1]) * 1024
    return 0


def table() -> Table:
    config = SubscriptionConfig(max_keys=1_000_000)
    return Table(config, asyncio.get_running_loop())


class Child:
    """A worker: says at each request what it has spent so far."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.feed, feed = socket.socketpair()
        self._asks, asked = socket.socketpair()
        self.pid = os.fork()
        if not self.pid:
            self.feed.close()
            self._asks.close()
            try:
                asyncio.run(_work(feed, asked))
            finally:
                os._exit(0)
        feed.close()
        asked.close()
        self._asks.setblocking(False)

    async def spent(self) -> dict[str, Any]:
        """CPU seconds, bytes of memory, and nodes, as the worker says."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._asks, b"?")
        found: dict[str, Any] = json.loads(await loop.sock_recv(self._asks, 4096))
        return found

    def end(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.feed.close()
        self._asks.close()


async def _work(sock: socket.socket, asked: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    asked.setblocking(False)
    copy = table()
    feed = Feed(loop)
    feed.add(FedTable(NAME, copy, feed.urgent, loop.time))
    before = private_memory()
    feed.attach(sock)
    while await loop.sock_recv(asked, 1):
        nodes = copy.registry.nodes()
        said = {
            "cpu": time.process_time(),
            "memory": private_memory() - before,
            "nodes": len(nodes),
            "last": max((node.last_seen for node in nodes), default=0.0),
        }
        await loop.sock_sendall(asked, json.dumps(said).encode())


async def all_say(
    children: list[Child], whole: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    while True:
        found = [await child.spent() for child in children]
        if all(map(whole, found)):
            return found
        await asyncio.sleep(0.01)


async def measured(children: list[Child], count: int) -> Costs:
    loop = asyncio.get_running_loop()
    empty = private_memory()
    ours = table()
    registry = ours.registry
    owner = FeedOwner(loop)
    if children:
        owner.add(OwnedTable(NAME, ours, owner.changed, loop.time))
    announces = [
        Subscription("subscribe", b"%d.example" % number, f"10.{number >> 8}.{number & 255}.1:80")
        for number in range(count)
    ]
    # Each from its own machine, as in a network.
    for number, announce in enumerate(announces):
        events = registry.apply(
            announce, source=f"10.{number >> 8}.{number & 255}.1", now=loop.time()
        )
        ours.tell(events)
    owner.flush()
    memory = (private_memory() - empty) / count
    began = [await child.spent() for child in children]
    for child in children:
        owner.attach(child.feed, Worker(child.number))
    before = await all_say(children, lambda one: bool(one["nodes"] == count))
    snapshots = [(now["cpu"] - then["cpu"]) * 1e3 for then, now in zip(began, before, strict=True)]
    spent = 0.0
    for start in range(0, count, BATCH):
        at = time.process_time()
        for announce in announces[start : start + BATCH]:
            ours.tell(registry.apply(announce, source=announce.address[:-3], now=loop.time()))
        owner.flush()
        spent += time.process_time() - at
        await asyncio.sleep(0)
    last = max(node.last_seen for node in registry.nodes())
    after = await all_say(children, lambda one: bool(one["last"] >= last))
    each = [(now["cpu"] - then["cpu"]) for then, now in zip(before, after, strict=True)]
    owner.close()
    ours.close()
    return Costs(
        len(children),
        spent / count * 1e6,
        max(each, default=0.0) / count * 1e6,
        max(snapshots, default=0.0),
        memory,
        max((one["memory"] / count for one in after), default=0.0),
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"{count} nodes, each with a key of its own\n")
    print("workers  announce: keeper  each worker  snapshot: each worker  a node: keeper  worker")
    for workers in (0, 1, 2, 4):
        children = [Child(number) for number in range(workers)]
        pid = os.fork()
        if not pid:
            # A process of its own, so that memory that was given back is no part of it.
            costs = asyncio.run(measured(children, count))
            print(
                f"{costs.workers:7}  {costs.keeper:13.1f} us  {costs.worker:8.1f} us  {costs.snapshot:18.0f} ms"
                f"  {costs.keeper_memory:12.0f} B  {costs.worker_memory:4.0f} B",
                flush=True,
            )
            os._exit(0)
        os.waitpid(pid, 0)
        for child in children:
            child.end()


if __name__ == "__main__":
    main()
