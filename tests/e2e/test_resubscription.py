"""Our router and uWSGI's own, each as the other's node."""

import socket
import time

import pytest

from tests.lab.clients import answer_of
from tests.lab.commands import Gateway
from tests.lab.messages import from_web_server
from tests.lab.place import Place

pytestmark = pytest.mark.peers


def ask(router: Gateway) -> bytes:
    """Return the answer to one request for our key."""
    return answer_of(router.address, from_web_server())


def test_uwsgi_above_has_ours_as_a_node_until_the_last_of_its_nodes_leaves(lab: Place) -> None:
    above = lab.other_router()
    router = lab.router(f"--fastrouter-resubscribe={above.announce}")
    one, two = (lab.vassal(name, router) for name in ("one", "two"))
    router.wait_for_nodes(one.address, two.address)
    above.wait_for_nodes(router.address)
    assert ask(above).startswith(b"HTTP/1.1 200 ")
    one.stop()
    router.wait_for_nodes(two.address)
    assert ask(above).startswith(b"HTTP/1.1 200 ")
    two.stop()
    above.wait_for_nodes()


def test_our_router_leaves_uwsgi_above_before_it_stops(lab: Place) -> None:
    above = lab.other_router()
    router = lab.router(f"--fastrouter-resubscribe={above.announce}")
    lab.vassal("one", router)
    above.wait_for_nodes(router.address)
    router.stop()
    above.wait_for_nodes()


def test_uwsgi_below_is_a_node_of_ours(lab: Place) -> None:
    router = lab.router()
    below = lab.other_router("--fastrouter-resubscribe", router.announce)
    vassal = lab.vassal("one", None, options=["--subscribe-to", f"{below.announce}:example.com"])
    router.wait_for_nodes(below.address)
    assert ask(router).startswith(b"HTTP/1.1 200 ")
    vassal.stop()
    router.wait_for_nodes()


def test_a_uwsgi_beside_ours_hears_each_announce_too(lab: Place) -> None:
    beside = lab.other_router()
    router = lab.router(f"--subscription-tee={beside.announce}")
    vassal = lab.vassal("one", router)
    beside.wait_for_nodes(vassal.address)
    assert ask(beside).startswith(b"HTTP/1.1 200 ")
    vassal.stop()
    beside.wait_for_nodes()


def test_ours_and_uwsgi_resubscribed_to_each_other_do_not_flood(lab: Place) -> None:
    """Of two uWSGI routers each datagram makes more than 20,000 a second."""
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    lab.closing(wire)
    wire.bind(("127.0.0.1", 0))
    router = lab.router(f"--fastrouter-resubscribe=127.0.0.1:{wire.getsockname()[1]}")
    beside = lab.other_router("--fastrouter-resubscribe", router.announce)
    vassal = lab.vassal("one", router, announce_every=1)
    host, port = beside.announce.rsplit(":", 1)
    passed, end = 0, time.monotonic() + 3
    # Not a wait for something: time in which not more than this may happen.
    while (left := end - time.monotonic()) > 0:
        wire.settimeout(left)
        try:
            datagram = wire.recv(65_536)
        except TimeoutError:
            break
        wire.sendto(datagram, (host, int(port)))
        passed += 1
    beside.wait_for_nodes(router.address)
    router.wait_for_nodes(vassal.address, beside.address)
    assert passed == 1
