"""A lab for each test, and a look at the log when it ends."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.router.proxy.nodes import Lab, Log


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
    lab = Lab(tmp_path, log)
    yield lab
    await lab.close()
