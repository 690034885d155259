"""Descriptors: how many are reserved, and that idle clients make room."""

import os
import resource

import pytest

from tests.lab.log import Log
from uwsgi_router.router.net.descriptors import Descriptors


@pytest.mark.parametrize(
    ("limit", "crowded", "clients"),
    [(256, 192, 112), (1024, 768, 448), (65_536, 64_512, 32_640)],
)
def test_what_clients_may_take(limit: int, crowded: int, clients: int) -> None:
    descriptors = Descriptors(limit)
    assert (descriptors.crowded, descriptors.clients) == (crowded, clients)
    # Two routers share them.
    for _ in range(2):
        descriptors.freed_by(lambda _most: 0)
    assert descriptors.clients == clients // 2


def test_the_limit_is_that_of_the_process() -> None:
    assert Descriptors().limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_room_is_made_only_where_there_is_none(log: Log) -> None:
    lowest = os.dup(0)
    os.close(lowest)
    asked: list[int] = []

    def close_idle(most: int) -> int:
        asked.append(most)
        return len(asked) - 1

    # The next descriptor is the last that no client may take, or the first that one may not.
    roomy, crowded = Descriptors(limit=lowest * 4), Descriptors(limit=lowest)
    for descriptors in (roomy, crowded):
        descriptors.freed_by(close_idle)
    assert roomy.find_room()
    assert asked == []
    assert [crowded.find_room(), crowded.find_room()] == [False, True]
    assert asked == [1 + lowest // 64] * 2
    assert len(log.having("raise LimitNOFILE=")) == 1


def test_without_any_descriptor_room_is_made_too() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors = Descriptors()
    descriptors.freed_by(lambda _most: 1)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        assert descriptors.find_room()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
