"""Nodes of different sizes under ``least``: requests in proportion to what they can do, not in equal parts."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.lab import programs
from tests.lab.place import Place
from tests.lab.steady import NamedNodes, Pace, SteadyLoad
from tests.lab.waiting import wait_until
from uwsgi_router.protocol.subscription import Subscription

pytestmark = pytest.mark.skipif(
    programs.ROUTER_UNDER_TEST == "uwsgi", reason="uWSGI's routers know nothing of cores"
)

CORES = {"one": 1, "two": 2, "four": 4, "eight": 8}
#: Seconds of a request, requests that are counted.
SERVICE = 0.03
COUNTED = 600


@contextmanager
def paced(paces: Mapping[str, Pace]) -> Iterator[NamedNodes]:
    nodes = NamedNodes(*paces, paces=paces)
    try:
        yield nodes
    finally:
        nodes.close()


def answers(lab: Place, paces: Mapping[str, Pace]) -> Counter[str]:
    """Return how many requests each node has answered; there are two for each core at any time."""
    with paced(paces) as nodes:
        # With a limit of connections that nobody reaches the algorithm alone decides.
        options = ("--http-backend-connections=1000", "--subscription-algo=least")
        router = lab.http_router("--http-keepalive", *options, subscriptions=True)
        for name, address in nodes.addresses.items():
            key = b"example.com"
            router.say(Subscription("subscribe", key, address, proto="http", cores=CORES[name]))
        wait_until(lambda: len(router.nodes()) == len(paces), "all are known")
        load = SteadyLoad(router.address, 2 * sum(CORES.values()))
        try:
            load.wait_for(100)
            since = time.monotonic()
            load.wait_for(COUNTED)
        finally:
            load.stop()
    assert load.lost() == {}
    return Counter(one.node for one in load.asked if one.started >= since)


def test_nodes_get_requests_in_proportion_to_their_cores(lab: Place) -> None:
    found = answers(lab, {name: Pace(cores, SERVICE) for name, cores in CORES.items()})
    share = found.total() / sum(CORES.values())
    ratios = {name: found[name] / cores / share for name, cores in CORES.items()}
    assert all(0.9 < ratio < 1.1 for ratio in ratios.values()), ratios


def test_a_slow_node_gets_fewer(lab: Place) -> None:
    paces = {name: Pace(cores, SERVICE) for name, cores in CORES.items()}
    found = answers(lab, paces | {"eight": Pace(8, 4 * SERVICE)})
    # Its eight cores do what two others do.
    assert found["eight"] < 0.6 * found.total() * CORES["eight"] / sum(CORES.values()), found
    assert found["eight"] == pytest.approx(found["two"], rel=0.2), found
    ratios = [found[name] / CORES[name] for name in ("one", "two", "four")]
    assert max(ratios) < 1.2 * min(ratios), found
