"""A node that lost its power but is still announced (by a proxy, or a stale packet on the wire)."""

import time

import pytest

from tests.lab.place import Place
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.peers

CONNECT_TIMEOUT = 3.0
#: A node whose connect has been unanswered for so long is chosen last.
SLOW_AFTER = 1.0
#: What a busy machine may add to any of these times.
TOLERANCE = 0.7


def test_a_black_holed_node_delays_a_few_requests_and_fails_none(lab: Place) -> None:
    router = lab.router(f"--fastrouter-connect-timeout={CONNECT_TIMEOUT:g}")
    vassals = [lab.vassal(name, router).address for name in ("one", "two")]
    router.wait_for_nodes(*vassals)
    hole = lab.black_hole(router, announce_every=1.0)
    load = lab.load(lab.nginx(router.address), rate=50)
    load.wait_for(50)
    hole.start()
    begun = time.monotonic()
    wait_until(lambda: hole.announces >= 8, "it announces itself eight times")
    load.stop()

    assert load.lost() == {}
    assert max(o.seconds for o in load.outcomes) < CONNECT_TIMEOUT + TOLERANCE
    waited = [o.started - begun for o in load.outcomes if o.seconds > SLOW_AFTER]
    assert waited, "the black hole was never tried"
    # Until the node is known to be slow, it gets its share; after that only trials.
    first = min(waited)
    later = sorted(start for start in waited if start > first + SLOW_AFTER + TOLERANCE)
    for announce in range(hole.announces):
        trials = [start for start in later if announce <= start < announce + 1]
        assert len(trials) <= 1, f"within announce {announce}: {trials}"
    assert len(load.outcomes) - len(waited) > 300, "the others did not wait"
