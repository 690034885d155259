"""The place that end-to-end tests run their programs in."""

from collections.abc import Iterator

import pytest

from tests.lab.place import Place, temporary
from tests.lab.reloaded import Reloaded
from tests.lab.steady import NamedNodes


@pytest.fixture
def lab() -> Iterator[Place]:
    with temporary() as place:
        yield place


@pytest.fixture(scope="module")
def nodes() -> Iterator[NamedNodes]:
    """Two nodes that answer with their names."""
    both = NamedNodes("one", "two")
    yield both
    both.close()


@pytest.fixture
def router(lab: Place, nodes: NamedNodes) -> Reloaded:
    """An HTTP router before the first of them."""
    one = Reloaded(lab)
    one.write(Reloaded.to(nodes, "one"))
    return one.start(lab)
