"""The place that end-to-end tests run their programs in."""

from collections.abc import Iterator

import pytest

from tests.lab.place import Place, temporary


@pytest.fixture
def lab() -> Iterator[Place]:
    with temporary() as place:
        yield place
