"""A loop of an Emperor, turned by the test."""

from collections.abc import Iterator

import pytest

from uwsgi_router.router.supervision.loop import SelectorLoop


@pytest.fixture
def loop() -> Iterator[SelectorLoop]:
    one = SelectorLoop()
    yield one
    one.close()
