"""Forwarder ``to``: rotation, grace time, last resort, names."""

import socket

from tests.router.routing.requests import asking
from uwsgi_router.router.net.connect import ip_endpoint
from uwsgi_router.router.routing.static import StaticForwarder, StaticNode
from uwsgi_router.subscriptions.node import Node

GRACE = 30.0


class Static:
    """A forwarder with a clock."""

    def __init__(self, *addresses: str, last_resort: bool = True) -> None:
        self.forwarder = StaticForwarder(addresses, GRACE, last_resort=last_resort)
        self.now = 1000.0

    def node(self, tried: list[Node] | None = None) -> StaticNode | None:
        node = self.forwarder.choose(asking("any"), tried or [], self.now)
        assert isinstance(node, StaticNode | None)
        return node

    def next(self, tried: list[Node] | None = None) -> str | None:
        node = self.node(tried)
        return None if node is None else node.name

    def rounds(self, count: int) -> str:
        return "".join(self.next() or "-" for _ in range(count))

    def named(self, name: str) -> StaticNode:
        return next(node for node in self.forwarder.nodes if node.name == name)

    def fails(self, name: str, *, timed_out: bool = False) -> None:
        node = self.named(name)
        node.connect_started()
        self.forwarder.connect_failed(node, self.now, timed_out=timed_out)

    def connects(self, name: str) -> None:
        node = self.named(name)
        node.connect_started()
        node.connected()


def test_nodes_take_turns_in_the_order_of_the_configuration() -> None:
    assert Static("a", "b", "c").rounds(7) == "abcabca"


def test_all_keys_share_the_rotation() -> None:
    static = Static("a", "b")
    first = static.forwarder.choose(asking("one"), (), 0.0)
    second = static.forwarder.choose(asking("two"), (), 0.0)
    assert first is not second


def test_a_node_that_failed_rests_for_the_grace_time() -> None:
    static = Static("a", "b", "c")
    static.fails("b")
    assert static.rounds(4) == "acac"
    static.now += GRACE - 0.1
    assert static.rounds(4) == "acac"
    static.now += 0.2
    assert sorted(static.rounds(3)) == ["a", "b", "c"]


def test_a_failure_after_that_lets_it_rest_again() -> None:
    static = Static("a", "b")
    static.fails("b")
    static.now += GRACE + 1
    static.fails("b")
    assert static.rounds(3) == "aaa"
    assert static.named("b").failcnt == 2


def test_a_connect_that_succeeds_ends_the_rest() -> None:
    static = Static("a", "b")
    static.fails("b")
    static.connects("b")
    assert sorted(static.rounds(2)) == ["a", "b"]
    assert static.named("b").requests == 1


def test_when_all_rest_they_are_tried_all_the_same() -> None:
    """uWSGI refuses everything for 30 s after the restart of a single node."""
    static = Static("a")
    static.fails("a")
    assert static.next() == "a"


def test_but_not_where_a_fallback_can_answer() -> None:
    static = Static("a", last_resort=False)
    static.fails("a")
    assert static.next() is None
    static.now += GRACE
    assert static.next() == "a"


def test_a_request_gets_no_node_twice() -> None:
    static = Static("a", "b")
    tried: list[Node] = []
    names = []
    while node := static.node(tried):
        tried.append(node)
        names.append(node.name)
    assert names == ["a", "b"]


def test_a_node_whose_connect_is_unanswered_comes_after_the_others_and_before_the_resting() -> None:
    static = Static("a", "b", "c")
    slow = static.named("a")
    slow.connect_started()
    slow.connect_slow()
    static.fails("b")
    assert static.rounds(3) == "ccc"
    assert static.next([static.named("c")]) == "a"
    assert static.next([static.named("c"), slow]) == "b"


def test_a_comma_list_is_one_address_and_so_is_a_modifier() -> None:
    """uWSGI connects to a part of these; here they are what they look like: refused when read."""
    static = Static("/run/a.sock,5")
    assert static.next() == "/run/a.sock,5"


def test_no_nodes_no_choice() -> None:
    static = Static()
    assert static.next() is None
    assert not static.forwarder.is_known(asking("any"), 0.0)
    assert Static("a").forwarder.is_known(asking("any"), 0.0)


# --- names ---


def resolve(static: Static, *addresses: str) -> bool:
    (index, name), *_ = static.forwarder.names.items()
    return static.forwarder.resolved(index, [ip_endpoint(text, name.port) for text in addresses])


def test_every_address_of_a_name_is_a_node() -> None:
    static = Static("first", "app.test:3031", "last")
    assert static.rounds(4) == "firstlastfirstlast"
    assert resolve(static, "10.0.0.1", "10.0.0.2", "fd00::1")
    assert [node.name for node in static.forwarder.nodes] == [
        "first",
        "10.0.0.1:3031",
        "10.0.0.2:3031",
        "[fd00::1]:3031",
        "last",
    ]
    assert static.forwarder.nodes[3].address.__class__.__name__ == "InetAddress"


def test_nodes_that_stay_keep_their_counters_and_marks() -> None:
    static = Static("app.test:3031")
    resolve(static, "10.0.0.1", "10.0.0.2")
    static.fails("10.0.0.1:3031")
    before = static.named("10.0.0.1:3031")
    assert resolve(static, "10.0.0.3", "10.0.0.1")
    assert static.named("10.0.0.1:3031") is before
    assert static.rounds(2) == "10.0.0.3:303110.0.0.3:3031"


def test_the_same_addresses_in_another_order_change_nothing() -> None:
    static = Static("app.test:3031")
    resolve(static, "10.0.0.1", "10.0.0.2")
    nodes = list(static.forwarder.nodes)
    assert not resolve(static, "10.0.0.2", "10.0.0.1")
    assert static.forwarder.nodes == nodes


def test_addresses_are_not_names() -> None:
    for text in ("127.0.0.1:80", "[::1]:80", ":80", "/run/a.sock", "@a"):
        assert Static(text).forwarder.names == {}
    assert ip_endpoint("::1", 80)[0] == socket.AF_INET6
