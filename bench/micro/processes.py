"""Micro benchmark of the processes' signs of life: one heartbeat of a worker, with the turn of the loop that it takes.

Each process has one a second (with a harakiri four in that time), however many requests it serves; a request has none.
"""

import asyncio
import tempfile
from collections.abc import Callable, Mapping

import uvloop

from bench.micro.micro import Micro
from uwsgi_router.router.app.child import MasterLink
from uwsgi_router.router.app.instance import Instance
from uwsgi_router.router.app.master.assignment import Assignment
from uwsgi_router.router.app.master.beats import Beat, Beats
from uwsgi_router.router.app.master.value import dump
from uwsgi_router.router.app.worker import beat_of
from uwsgi_router.router.config.model import Configuration, HttpRouterConfig, RouterConfig
from uwsgi_router.router.supervision.channel import Channel
from uwsgi_router.router.supervision.memory_file import write_memory_file

BEATS = 1000


class BeatingWorker:
    """Worker with two routers that does nothing but beat."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        listen = self._directory.name
        routers = (
            HttpRouterConfig(listen=(f"{listen}/http",), to=("127.0.0.1:1",)),
            RouterConfig("fastrouter", listen=(f"{listen}/fastrouter",), to=("127.0.0.1:1",)),
        )
        configuration = Configuration(routers=routers)
        self._loop = uvloop.new_event_loop()
        self._instance = Instance(configuration)
        self._instance.bind()
        self._loop.run_until_complete(self._instance.start())
        self._channel, theirs = Channel.pair()
        self._beats = Beats()
        assignment = Assignment(
            "worker",
            0,
            1,
            1,
            theirs.sock.detach(),
            write_memory_file("configuration", dump(configuration)),
            self._beats.descriptor,
            0,
        )
        self._link = MasterLink(assignment)
        self._left = 0
        self._over: asyncio.Future[None] | None = None

    def beat(self, count: int) -> None:
        """Beat so often, as fast as the loop turns."""
        self._left, self._over = count, self._loop.create_future()
        self._link.beat(self._loop, self._numbers, 0.0)
        self._loop.run_until_complete(self._over)
        self._link.stop_beating()

    def close(self) -> None:
        """End it."""
        self._link.close(self._loop)
        self._channel.close()
        self._loop.run_until_complete(self._instance.stop(0.0))
        self._loop.close()
        self._directory.cleanup()

    def _numbers(self) -> Beat:
        self._left -= 1
        if not self._left and self._over is not None:
            self._over.set_result(None)
        return beat_of(self._instance)

    @property
    def last(self) -> Beat:
        """The last heartbeat as the master reads it."""
        return self._beats.read(0)


def _beat() -> Callable[[], object]:
    worker = BeatingWorker()

    def call() -> None:
        worker.beat(BEATS)

    return call


MICROS: Mapping[str, Micro] = {"heartbeat": Micro(_beat, BEATS)}
