"""Forwarder ``use-cache``."""

import logging

import pytest

from tests.router.routing.requests import asking
from uwsgi_router.protocol.bounded import Bounded
from uwsgi_router.router.config.model import CacheConfig
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.routing.cache import CacheForwarder
from uwsgi_router.router.routing.cache_store import Cache
from uwsgi_router.subscriptions.node import Node

GRACE = 30.0


class Cached:
    """A forwarder with a cache and a clock."""

    def __init__(self, *, last_resort: bool = True, **items: str) -> None:
        self.cache = Cache(CacheConfig("nodes", 100))
        self.forwarder = CacheForwarder(self.cache, GRACE, last_resort=last_resort)
        self.now = 1000.0
        for key, value in items.items():
            self.update(key, value)

    def update(self, key: str, value: str, lifetime: float = 0) -> None:
        data = value.encode()
        self.cache.store(key.encode(), data, self.now, lifetime=lifetime, overwrite=True)

    def node(self, key: str = "key", tried: list[Node] | None = None) -> Node | None:
        node = self.forwarder.choose(asking(key), tried or [], self.now)
        assert isinstance(node, Node | None)
        return node

    def rounds(self, count: int, key: str = "key") -> str:
        return "".join(node.name if (node := self.node(key)) else "-" for _ in range(count))

    def fails(self, node: Node | None) -> None:
        assert node is not None
        node.connect_started()
        self.forwarder.connect_failed(node, self.now, timed_out=False)


def test_the_raw_key_is_looked_up_port_included() -> None:
    cached = Cached()
    cached.update("example.com:8080", "/with")
    cached.update("example.com", "/without")
    assert cached.rounds(1, "example.com:8080") == "/with"
    assert cached.rounds(1, "example.com") == "/without"


def test_then_in_lower_case_and_without_its_port() -> None:
    """uWSGI knows the raw key only."""
    cached = Cached()
    cached.update("example.com", "/a")
    assert cached.rounds(1, "Example.COM:443") == "/a"


def test_several_nodes_take_turns_in_list_order() -> None:
    assert Cached(key="/a|/b|/c").rounds(7) == "/a/b/c/a/b/c/a"


def test_each_item_has_turns_of_its_own() -> None:
    cached = Cached(one="/a|/b", two="/a|/b")
    assert cached.rounds(1, "one") + cached.rounds(1, "two") == "/a/a"


def test_the_turns_begin_anew_when_the_item_is_made_anew_not_when_it_is_updated() -> None:
    cached = Cached(key="/a|/b|/c")
    assert cached.rounds(1) == "/a"
    cached.update("key", "/x|/y|/z")
    assert cached.rounds(1) == "/y"
    cached.cache.delete(b"key", cached.now)
    cached.update("key", "/x|/y|/z")
    assert cached.rounds(1) == "/x"


def test_the_modifier_follows_the_address() -> None:
    node = Cached(key="/a,5").node()
    assert node is not None
    assert (node.modifier1, node.modifier2) == (5, 0)


def test_the_same_address_with_another_modifier_is_another_node() -> None:
    cached = Cached(one="/a,5", two="/a,6", three="/a,5")
    one, two, three = (cached.node(key) for key in ("one", "two", "three"))
    assert one is three
    assert one is not two


@pytest.mark.parametrize(
    "value", ["/a,5,7", "/a,256", "/a,x", " /a", "a:b:c", "|", "127.0.0.1:99999"]
)
def test_a_value_that_does_not_parse_fails_the_request_and_names_the_item(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    cached = Cached(key=value)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            with pytest.raises(Failure, match="the item key of the cache nodes does not name") as e:
                cached.node()
    assert (e.value.status, e.value.reason) == (502, "bad-item")
    # Clients may be told the text of a failure: the value is for the log.
    assert value not in e.value.text
    (record,) = caplog.records
    said = (
        f"the item key of the cache nodes names no nodes, requests for it fail: {value.encode()!r}"
    )
    assert said in record.getMessage()


def test_a_value_that_is_mended_works_at_once() -> None:
    cached = Cached(key="bad:port")
    with pytest.raises(Failure):
        cached.node()
    cached.update("key", "/good")
    assert cached.rounds(1) == "/good"


def test_a_trailing_newline_is_harmless() -> None:
    assert Cached(key="/a\n").rounds(1) == "/a"


def test_empty_elements_are_skipped() -> None:
    """uWSGI closes the requests whose turn they get."""
    assert Cached(key="/a||/b|").rounds(4) == "/a/b/a/b"


def test_a_missing_key_is_unknown_so_only_fallback_on_no_key_takes_it() -> None:
    cached = Cached(other="/a")
    assert cached.rounds(1) == "-"
    for known, key in ((False, "key"), (True, "other")):
        assert cached.forwarder.is_known(asking(key), cached.now) is known
        assert cached.forwarder.has_nodes(asking(key), cached.now) is known
    assert cached.forwarder.awaited_keys(asking("key")) == frozenset()


def test_an_item_that_has_ended_is_missing() -> None:
    cached = Cached()
    cached.update("key", "/a", lifetime=2)
    assert cached.rounds(1) == "/a"
    cached.now += 2
    assert cached.rounds(1) == "-"


def test_failed_nodes_are_remembered_across_requests_and_items() -> None:
    """uWSGI remembers nothing here."""
    cached = Cached(key="/a|/b|/c", other="/a|/b")
    cached.fails(cached.node())
    assert cached.rounds(4) == "/b/c/b/c"
    assert cached.rounds(2, "other") == "/b/b"
    cached.now += GRACE
    assert sorted(cached.rounds(3).split("/")) == ["", "a", "b", "c"]


def test_a_node_is_the_same_one_after_an_update() -> None:
    cached = Cached(key="/a")
    cached.fails(cached.node())
    cached.update("key", "/b|/a")
    assert cached.rounds(2) == "/b/b"


def test_when_all_rest_they_are_tried_all_the_same_but_not_where_a_fallback_can_answer() -> None:
    for last_resort, expected in ((True, "/a"), (False, "-")):
        cached = Cached(last_resort=last_resort, key="/a")
        cached.fails(cached.node())
        assert cached.rounds(1) == expected
        assert cached.forwarder.has_nodes(asking("key"), cached.now)


def test_a_request_gets_no_node_twice() -> None:
    cached = Cached(key="/a|/b")
    tried: list[Node] = []
    while node := cached.node("key", tried):
        tried.append(node)
    assert [node.name for node in tried] == ["/a", "/b"]


def test_nodes_and_values_that_are_remembered_are_bounded() -> None:
    cached = Cached()
    cached.forwarder._values, cached.forwarder._nodes = Bounded(10), Bounded(20)
    for number in range(100):
        cached.update("key", f"/n{number}|/m{number}")
        assert cached.node() is not None
    assert len(cached.forwarder._values) <= 10
    assert len(cached.forwarder._nodes) <= 20


def test_whether_a_key_is_known_is_no_use_of_its_item() -> None:
    """The item that was used longest ago goes first when the cache is full."""
    cached = Cached()
    cached.cache = Cache(CacheConfig("nodes", 2, when_full="purge"))
    cached.forwarder = CacheForwarder(cached.cache, GRACE, last_resort=True)
    cached.update("old", "/old")
    cached.update("new", "/new")
    assert cached.forwarder.is_known(asking("old"), cached.now)
    cached.update("newest", "/newest")
    assert not cached.forwarder.is_known(asking("old"), cached.now)
    assert cached.forwarder.is_known(asking("new"), cached.now)
