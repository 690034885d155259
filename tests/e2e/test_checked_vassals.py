"""Real uWSGI instances, asked at intervals whether they serve."""

import os
import signal

import pytest

from tests.e2e.test_signed_vassals import ask
from tests.peers.lab import Lab
from tests.peers.process import wait_until
from tests.peers.router import Router
from tests.peers.vassal import Vassal

pytestmark = pytest.mark.peers


def test_a_vassal_that_hangs_is_left_out_and_comes_back_by_itself(lab: Lab) -> None:
    router = lab.router("--subscription-check=ping,interval=0.2,timeout=0.3,rise=2,fall=2")
    hangs, serves = (lab.vassal(name, router) for name in ("hangs", "serves"))
    router.wait_for_nodes(hangs.address, serves.address)
    os.killpg(hangs.pid, signal.SIGSTOP)
    router.wait_for_output(f"{hangs.address} is not used, its check fails: no answer within 0.3 s")
    nodes = router.nodes()
    assert (nodes[hangs.address]["unhealthy"], nodes[serves.address]["unhealthy"]) == (1, 0)
    # It would not have answered any of these.
    for _ in range(6):
        assert ask(router).startswith(b"HTTP/1.1 200 ")
    os.killpg(hangs.pid, signal.SIGCONT)
    router.wait_for_output(f"{hangs.address} is used, its check succeeds")
    wait_until(lambda: asked(router, hangs) >= 2, "it gets its share again")
    assert router.output().count(hangs.address + " is ") == 2


def asked(router: Router, vassal: Vassal) -> int:
    """Send one more request; return how many of all came to this vassal."""
    assert ask(router).startswith(b"HTTP/1.1 200 ")
    return int(router.nodes()[vassal.address]["requests"])
