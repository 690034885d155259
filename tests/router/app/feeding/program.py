"""A keeper and its workers, as instances within one event loop: real datagrams, real sockets."""

import asyncio
import json
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.lab.clients import Peer
from tests.lab.messages import request
from tests.lab.waiting import until_asked
from uwsgi_router.protocol.subscription import Subscription, encode
from uwsgi_router.router.app.feeding.feeding import Role, Seat
from uwsgi_router.router.app.feeding.post import FeedPost
from uwsgi_router.router.app.feeding.roles import keeper_configuration, worker_configuration
from uwsgi_router.router.app.instance import Instance
from uwsgi_router.router.config.model import Configuration, ProcessConfig, RouterConfig
from uwsgi_router.router.table.feed.owner import FeedLimits
from uwsgi_router.router.table.feed.parts import Worker

QUICK = FeedLimits(interval=0.01)


class Program:
    """A program of several processes.

    Attributes:
        keeper: its instance.
        workers: theirs.
    """

    def __init__(
        self, directory: Path, workers: int, *, process: Any = None, **router: Any
    ) -> None:
        self.directory = directory
        self.count = workers
        options: dict[str, Any] = {
            "subscription_servers": (f"{directory}/announces",),
            "listen": (f"{directory}/listen",),
            "stats": (f"{directory}/stats",),
        }
        process = {"control_socket": f"{directory}/control", **(process or {})}
        self.configuration = Configuration(
            process=ProcessConfig(**process),
            routers=(RouterConfig("fastrouter", processes=workers, **(options | router)),),
        )
        self.keeper: Instance | None = None
        self.workers: list[Instance | None] = [None] * workers
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> "Program":
        feeds = [socket.socketpair() for _ in range(self.count)]
        starting = [self._start_keeper([theirs for _, theirs in feeds])]
        starting += [self._start_worker(n, ours) for n, (ours, _) in enumerate(feeds)]
        await asyncio.gather(*starting)
        return self

    async def _start_keeper(
        self, feeds: Sequence[socket.socket], *, recovers: bool = False
    ) -> None:
        post = FeedPost()
        for number, feed in enumerate(feeds):
            post.attach(feed, Worker(number, 1, 1_000 + number))
        post.recover(asked=recovers)
        seat = Seat(Role.KEEPER, limits=QUICK)
        self.keeper = Instance(keeper_configuration(self.configuration), seat=seat)
        self.keeper.feeding.post = post
        self.keeper.bind()
        await self.keeper.start()

    async def _start_worker(self, number: int, feed: socket.socket) -> None:
        configuration = worker_configuration(self.configuration, number)
        routers = tuple(
            replace(one, listen=(self.listens(number),)) for one in configuration.routers
        )
        post = FeedPost()
        post.feed(feed)
        seat = Seat(Role.WORKER, number, limits=QUICK)
        worker = Instance(replace(configuration, routers=routers), seat=seat)
        worker.feeding.post = post
        self.workers[number] = worker
        worker.bind()
        await worker.start()

    def listens(self, number: int) -> str:
        return f"{self.directory}/worker-{number}"

    async def lose_worker(self, number: int) -> None:
        worker = self.workers[number]
        assert worker is not None
        self.workers[number] = None
        await worker.stop(0)

    async def new_worker(self, number: int) -> None:
        ours, theirs = socket.socketpair()
        assert self.keeper is not None
        assert self.keeper.feeding.owner is not None
        self.keeper.feeding.owner.attach(theirs, Worker(number, 1, 2_000 + number))
        await self._start_worker(number, ours)

    async def lose_keeper(self) -> None:
        """As if it were killed: it says goodbye to nobody."""
        keeper = self.keeper
        assert keeper is not None
        keeper.feeding.close()
        await keeper.stop(0)
        self.keeper = None

    async def new_keeper(self) -> None:
        feeds = []
        for worker in self.workers:
            assert worker is not None
            assert worker.feeding.feed is not None
            ours, theirs = socket.socketpair()
            worker.feeding.feed.attach(ours)
            feeds.append(theirs)
        await self._start_keeper(feeds, recovers=True)

    def announce(self, address: str, key: bytes = b"example.com", **fields: Any) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(
                encode(Subscription("subscribe", key, address, **fields)),
                f"{self.directory}/announces",
            )

    async def ask(self, number: int) -> bytes:
        """Send a request to a worker, and return the answer."""
        return await asked(self.listens(number), request())

    async def stats(self) -> Any:
        return json.loads(await asked(f"{self.directory}/stats", b""))

    async def metrics(self) -> dict[str, float]:
        answer = await asked(f"{self.directory}/stats", b"GET /metrics HTTP/1.0\r\n\r\n")
        lines = answer.partition(b"\r\n\r\n")[2].decode().splitlines()
        samples = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        return {name: float(value) for name, _, value in samples}

    async def counted(self, requests: int) -> None:
        """Wait until so many requests are counted as answered."""
        metric = 'uwsgi_router_requests_completed_total{router="fastrouter"}'

        async def are_counted() -> bool:
            return (await self.metrics())[metric] >= requests

        await until_asked(are_counted)

    async def control(self, **question: Any) -> Any:
        question = {"v": 1, **question}
        answer = await asked(f"{self.directory}/control", json.dumps(question).encode() + b"\n", 1)
        return json.loads(answer.splitlines()[-1])

    def knows(self, number: int, address: str, key: bytes = b"example.com") -> bool:
        worker = self.workers[number]
        assert worker is not None
        for table in worker.tables:
            pool = table.registry.pools.get(key)
            if pool is not None and pool.get(address) is not None:
                return True
        return False

    async def stop(self) -> None:
        for instance in (*self.workers, self.keeper):
            if instance is not None:
                await instance.stop(0)


async def asked(path: str, question: bytes, lines: int = 0) -> bytes:
    """What a UNIX socket answers: all of it, or so many lines."""
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    peer = Peer(sock)
    await asyncio.get_running_loop().sock_connect(sock, path)
    if question:
        await peer.send(question)
    answer = b""
    if lines:
        while answer.count(b"\n") < lines:
            answer += await asyncio.get_running_loop().sock_recv(sock, 65_536)
    else:
        answer = await peer.rest()
    peer.close()
    return answer
