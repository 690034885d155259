"""A lab for each test, and a look at the log when it ends."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.inside import open_sockets
from tests.lab.lab import Lab
from tests.lab.log import Log
from uwsgi_router.router.app.instance import Instance
from uwsgi_router.router.proxy.context import Timing


@pytest.fixture
def log() -> Iterator[Log]:
    """What the program logs. A line about a bug of ours fails the test."""
    log, area = Log(), logging.getLogger("uwsgi-router")
    level = area.level
    area.addHandler(log)
    area.setLevel(logging.INFO)
    yield log
    area.removeHandler(log)
    area.setLevel(level)
    assert log.having("a bug") == []


@pytest.fixture
async def lab(tmp_path: Path, log: Log) -> AsyncIterator[Lab]:
    """A lab that fails the test if a session, a place at a node or a socket is left at its end."""
    before = len(open_sockets())
    lab = Lab(tmp_path, log, Timing(tick=0.02))
    yield lab
    await lab.close()
    assert len(open_sockets()) <= before


Start = Callable[[Instance], Awaitable[None]]


@pytest.fixture
async def instances() -> AsyncIterator[list[Instance]]:
    """Instances that are stopped at the end of the test."""
    instances: list[Instance] = []
    yield instances
    for instance in instances:
        await instance.stop(0)


@pytest.fixture
def start(instances: list[Instance]) -> Start:
    """Starts instances that are stopped at the end of the test."""

    async def begin(instance: Instance) -> None:
        instances.append(instance)
        instance.bind()
        await instance.start()

    return begin
