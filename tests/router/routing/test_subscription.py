"""Forwarder for announced nodes: forms of keys, mountpoints, the fallback key."""

from typing import Any

import pytest

from tests.router.routing.requests import asking
from tests.subscriptions.table import Table
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.routing.subscription import SubscriptionForwarder
from uwsgi_router.subscriptions.events import (
    Event,
    NodeAnswers,
    NodeEjected,
    NodeFailed,
    NodeRemoved,
)
from uwsgi_router.subscriptions.node import Node, SubscribedNode


class Announced:
    """A forwarder over a table of these keys; each key's node is called after it."""

    def __init__(self, *keys: str, fallback_key: bytes | None = None, **options: Any) -> None:
        self.table = Table(**options)
        self.reported: list[Event] = []
        for key in keys:
            self.table.announce(f"/{key.replace('/', '|')}", key.encode())
        self.forwarder = SubscriptionForwarder(
            self.table.registry, self.reported.extend, lambda: self.table.now, fallback_key
        )

    def node(self, request: Request, tried: tuple[Node, ...] = ()) -> SubscribedNode | None:
        node = self.forwarder.choose(request, tried, self.table.now)
        assert isinstance(node, SubscribedNode | None)
        return node

    def key(self, key: str, *, is_host: bool = True, path: bytes = b"/") -> str | None:
        node = self.node(asking(key, is_host=is_host, path=path))
        return None if node is None else node.key.decode()


@pytest.mark.parametrize(
    ("announced", "host", "found"),
    [
        (["Example.com:8080", "example.com"], "Example.com:8080", "example.com:8080"),
        (["Example.com", "example.com:8080"], "Example.com:8080", "example.com:8080"),
        (["example.com:8080", "Example.com"], "Example.com:9090", "example.com"),
        (["example.com"], "EXAMPLE.COM.", "example.com"),
        (["Example.com."], "example.com", "example.com"),
        (["example.com:80"], "example.com.:80", "example.com:80"),
        (["example.com.:80"], "example.com:80", "example.com:80"),
        (["example.com:80"], "example.com", None),
        (["example.com"], "example.com:", "example.com"),
        (["[fd00::1]"], "[FD00::1]:80", "[fd00::1]"),
        (["[FD00::1]"], "[fd00::1]", "[fd00::1]"),
        (["Example.com"], "example.com", "example.com"),
    ],
)
@pytest.mark.parametrize("is_host", [True, False])
def test_a_key_is_looked_up_in_its_normal_form_then_without_its_port(
    announced: list[str], host: str, found: str | None, is_host: bool
) -> None:
    assert Announced(*announced).key(host, is_host=is_host) == found


@pytest.mark.parametrize(
    ("key", "found"),
    [("Example.com./Shop", "example.com/Shop"), ("Example.com/shop", None), ("example.com", None)],
)
def test_the_path_of_a_key_that_a_web_server_gave_keeps_its_case(
    key: str, found: str | None
) -> None:
    assert Announced("EXAMPLE.com/Shop").key(key, is_host=False) == found


def test_a_form_whose_nodes_were_all_tried_leaves_the_request_to_the_next_form() -> None:
    announced = Announced("example.com:80", "example.com")
    request = asking("example.com:80")
    first = announced.node(request)
    assert first is not None
    second = announced.node(request, (first,))
    assert second is not None
    assert second.key == b"example.com"
    assert announced.node(request, (first, second)) is None


def test_the_fallback_key_stands_in_for_any_key_without_node() -> None:
    announced = Announced("example.com", "default", fallback_key=b"default")
    assert announced.key("example.com") == "example.com"
    assert announced.key("other.example") == "default"


def test_mountpoints_join_the_key_and_the_first_segments_of_the_path() -> None:
    announced = Announced("example.com", "example.com/shop", mountpoints=1)
    assert announced.key("example.com", path=b"/shop/cart") == "example.com/shop"
    assert announced.key("EXAMPLE.com:80", path=b"/shop/cart") == "example.com/shop"
    assert announced.key("example.com", path=b"/blog") == "example.com"
    assert announced.key("example.com", path=b"") == "example.com"


def test_known_is_what_has_or_had_nodes() -> None:
    announced = Announced("example.com")
    now = announced.table.now
    assert announced.forwarder.is_known(asking("Example.com:80"), now)
    assert not announced.forwarder.is_known(asking("other"), now)
    announced.table.leave("/example.com", b"example.com")
    assert announced.forwarder.is_known(asking("example.com"), now)
    assert announced.forwarder.has_nodes(asking("example.com"), now)


def test_right_after_the_start_everything_is_known_but_nothing_has_nodes() -> None:
    announced = Announced()
    announced.table.now = 1.0
    assert announced.forwarder.is_known(asking("any"), 1.0)
    assert not announced.forwarder.has_nodes(asking("any"), 1.0)


def test_a_failed_connect_marks_the_node_and_it_goes_when_it_is_released() -> None:
    announced = Announced("example.com")
    node = announced.node(asking("example.com"))
    assert node is not None
    node.reference += 1
    node.connect_started()
    announced.forwarder.connect_failed(node, announced.table.now, timed_out=False)
    assert [type(event) for event in announced.reported] == [NodeFailed]
    assert announced.key("example.com") is None
    node.let_go()
    announced.forwarder.released(node)
    assert NodeRemoved in [type(event) for event in announced.reported]
    assert announced.table.names(b"example.com") == []


def test_failed_requests_let_a_node_rest_and_an_answer_ends_that() -> None:
    announced = Announced("example.com")
    node = announced.node(asking("example.com"))
    assert node is not None
    for _ in range(5):
        announced.forwarder.request_failed(node, announced.table.now)
    assert [type(event) for event in announced.reported] == [NodeEjected]
    announced.forwarder.request_answered(node)
    announced.forwarder.request_answered(node)
    assert [type(event) for event in announced.reported] == [NodeEjected, NodeAnswers]


@pytest.mark.parametrize("host", ["example.com", "EXAMPLE.com:80", "www.example.com"])
def test_why_there_is_no_node_names_one_that_fails_its_checks(host: str) -> None:
    announced = Announced(".example.com", "example.com", dotsplit=True)
    for key in (b".example.com", b"example.com"):
        node = announced.table.node(f"/{key.decode()}", key)
        announced.table.registry.health.unhealthy(node, "Connection refused")
    failure = announced.forwarder.why_none(asking(host))
    assert (failure.status, failure.reason) == (503, "unhealthy")
    assert "example.com: Connection refused" in failure.text
    assert announced.forwarder.why_none(asking("other")).reason == "no-node"


def test_a_live_node_stays_when_it_is_released() -> None:
    announced = Announced("example.com")
    node = announced.node(asking("example.com"))
    assert node is not None
    announced.forwarder.released(node)
    assert announced.reported == []
    assert announced.key("example.com") == "example.com"


def test_the_key_whose_nodes_a_request_is_for() -> None:
    announced = Announced(".example.com", "www.example.com", fallback_key=b"default", dotsplit=True)
    expected = {
        "www.example.com": b"www.example.com",
        "made-up.example.com": b".example.com",
        "www.example.com:8080": b"www.example.com",
        "other.org": None,
    }
    found = {
        name: announced.forwarder.announced_key(asking(name), announced.table.now)
        for name in expected
    }
    assert found == expected


def test_the_keys_whose_announce_is_worth_waiting_for() -> None:
    announced = Announced(fallback_key=b"default", dotsplit=True)
    assert announced.forwarder.awaited_keys(asking("a.Example:80")) == {
        b"a.example:80",
        b".example:80",
        b"a.example",
        b".example",
        b"default",
    }
    assert announced.forwarder.awaited_keys(asking("k", is_host=False)) == {b"k", b"default"}
