"""Real uWSGI instances and an HTTP server, asked at intervals whether they serve."""

import os
import signal
import socket
import sys

import pytest

from tests.e2e.test_signed_vassals import ask
from tests.lab import programs
from tests.lab.commands import Router
from tests.lab.messages import HOST
from tests.lab.place import Place
from tests.lab.processes import free_port
from tests.lab.servers import Vassal
from tests.lab.waiting import wait_until
from uwsgi_router.protocol.subscription import Subscription

SERVER = programs.ROOT / "tests" / "e2e" / "subscribed.py"


@pytest.mark.peers
def test_a_vassal_that_hangs_is_left_out_and_comes_back_by_itself(lab: Place) -> None:
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


def test_an_http_node_is_asked_with_its_key_and_gets_requests_as_long_as_it_is_well(
    lab: Place,
) -> None:
    healthy = lab.directory / "healthy"
    address = f"127.0.0.1:{free_port()}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as events:
        events.bind(("127.0.0.1", 0))
        told = "127.0.0.1:{1}".format(*events.getsockname())
        argv = (sys.executable, str(SERVER), address, told, f"healthy={healthy}")
        lab.program("node", *argv)
    router = lab.http_router(
        "--subscription-check=/health,interval=0.2,timeout=2,rise=1,fall=1,first=check",
        subscriptions=True,
    )
    router.say(Subscription("subscribe", HOST.encode(), address, proto="http"))
    router.wait_for_output(f"{address} is not used, its check fails")
    with router.client() as client:
        answer = client.get("/", host=HOST)
        assert (answer.status, answer.get("x-uwsgi-router-reason")) == (503, b"unhealthy")
    healthy.touch()
    router.wait_for_output(f"{address} is used, its check succeeds")
    with router.client() as client:
        assert client.get("/", host=HOST).status == 200
    healthy.unlink()
    wait_until(lambda: router.output().count(f"{address} is not used") == 2, "it is left out again")
