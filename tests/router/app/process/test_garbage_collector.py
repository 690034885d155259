"""The collector stays out of the way, and still works."""

import gc
from collections.abc import Iterator

import pytest

from uwsgi_router.router.app.process.garbage_collector import tune_gc


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_full_collections_become_rare_and_the_others_stay() -> None:
    before = (700, 10, 10)
    gc.set_threshold(*before)
    tune_gc()
    assert gc.get_threshold()[:2] == before[:2]
    assert gc.get_threshold()[2] >= 100 * before[2]


def test_what_lives_by_then_is_not_looked_at_again() -> None:
    tune_gc()
    assert gc.get_freeze_count() > 1_000
    assert gc.isenabled()
