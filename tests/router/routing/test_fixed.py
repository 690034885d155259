"""``fallback`` and ``use-socket``: in order, without memory."""

from tests.router.routing.requests import asking
from uwsgi_router.router.routing.fixed import FixedForwarder
from uwsgi_router.subscriptions.node import Node


def test_the_first_that_was_not_tried_each_time() -> None:
    forwarder = FixedForwarder(["/a", "/b"])
    tried: list[Node] = []
    for name in ("/a", "/b"):
        node = forwarder.choose(asking("k"), tried, 0.0)
        assert node is not None
        assert node.name == name
        tried.append(node)
    assert forwarder.choose(asking("k"), tried, 0.0) is None


def test_a_failure_is_not_remembered_for_the_next_request() -> None:
    forwarder = FixedForwarder(["/a", "/b"])
    node = forwarder.nodes[0]
    node.connect_started()
    forwarder.connect_failed(node, 0.0, timed_out=False)
    assert forwarder.choose(asking("k"), (), 0.0) is node
    assert node.failcnt == 1


def test_without_addresses_nothing_is_known() -> None:
    assert not FixedForwarder([]).is_known(asking("k"), 0.0)
    assert FixedForwarder(["/a"]).is_known(asking("k"), 0.0)
