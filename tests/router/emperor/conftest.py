"""A loop of an Emperor, turned by the test."""

import os
from collections.abc import Iterator

import pytest

from tests.lab.processes import children_of
from uwsgi_router.router.supervision.loop import SelectorLoop


@pytest.fixture
def loop() -> Iterator[SelectorLoop]:
    before = set(children_of(os.getpid()))
    one = SelectorLoop()
    yield one
    # What still ends is waited for: other tests look for children that nobody has taken care of.
    for _ in range(100):
        if set(children_of(os.getpid())) <= before:
            break
        one.step(0.05)
    one.close()
