"""Caches in memory: ends, limits, turns."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.router.config.model import CacheConfig
from uwsgi_router.router.routing.cache_store import Cache, Caches, NotStored


class Store:
    """A cache with a clock."""

    def __init__(self, items: int = 10, **config: Any) -> None:
        self.cache = Cache(CacheConfig("nodes", items, **config))
        self.now = 1000.0

    def update(self, key: bytes, value: bytes = b"v", lifetime: float = 0) -> None:
        self.cache.store(key, value, self.now, lifetime=lifetime, overwrite=True)

    def set(self, key: bytes, value: bytes = b"v", lifetime: float = 0) -> None:
        self.cache.store(key, value, self.now, lifetime=lifetime, overwrite=False)

    def get(self, key: bytes) -> bytes | None:
        item = self.cache.get(key, self.now)
        return None if item is None else item.value

    def turn(self, key: bytes) -> int:
        item = self.cache.get(key, self.now)
        assert item is not None
        return item.turn

    def keys(self) -> str:
        return "".join(key for key in "abcdefgh" if self.get(key.encode()) is not None)


def test_set_does_not_overwrite_update_does() -> None:
    store = Store()
    store.set(b"a", b"1")
    with pytest.raises(NotStored, match="use update"):
        store.set(b"a", b"2")
    assert store.get(b"a") == b"1"
    store.update(b"a", b"3")
    assert store.get(b"a") == b"3"


def test_delete_and_clear() -> None:
    store = Store()
    store.set(b"a")
    store.set(b"b")
    assert store.cache.delete(b"a", store.now)
    assert not store.cache.delete(b"a", store.now)
    assert store.keys() == "b"
    store.cache.clear()
    assert store.keys() == ""


def test_an_item_ends_exactly_when_it_should() -> None:
    """uWSGI's sweeper takes up to three seconds longer."""
    store = Store()
    store.set(b"a", lifetime=2)
    store.set(b"b")
    store.now += 1.999
    assert store.keys() == "ab"
    store.now += 0.001
    assert store.keys() == "b"
    store.set(b"a", b"new")
    assert store.get(b"a") == b"new"


def test_an_update_sets_a_new_end() -> None:
    store = Store()
    store.set(b"a", lifetime=2)
    store.set(b"b", lifetime=2)
    store.update(b"a", lifetime=10)
    store.update(b"b")
    store.now += 9
    assert store.keys() == "ab"
    store.now += 1
    assert store.keys() == "b"


def test_what_has_ended_can_not_be_deleted() -> None:
    store = Store()
    store.set(b"a", lifetime=1)
    store.now += 1
    assert not store.cache.delete(b"a", store.now)


def test_no_expire_keeps_items() -> None:
    store = Store(expire=False)
    store.set(b"a", lifetime=1)
    store.now += 1e6
    assert store.keys() == "a"


def test_turns_begin_at_0_and_go_on_over_updates_not_over_deletes() -> None:
    store = Store()
    store.set(b"a")
    item = store.cache.get(b"a", store.now)
    assert item is not None
    item.turn = 5
    store.update(b"a", b"other")
    assert store.turn(b"a") == 5
    store.cache.delete(b"a", store.now)
    store.set(b"a")
    assert store.turn(b"a") == 0


def test_as_many_items_as_configured_fit() -> None:
    """In uWSGI one less."""
    store = Store(items=3)
    for key in (b"a", b"b", b"c"):
        store.set(key)
    assert store.keys() == "abc"


def test_a_full_cache_refuses_says_so_once_and_still_updates(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store(items=2)
    store.set(b"a")
    store.set(b"b")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            with pytest.raises(NotStored, match="the cache is full"):
                store.update(b"c")
    (record,) = caplog.records
    assert "cache nodes is full (2 items), so b'c' is not stored" in record.getMessage()
    store.update(b"a", b"new")
    assert store.get(b"a") == b"new"


def test_ignore_full_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(items=1, log_full=False)
    store.set(b"a")
    with caplog.at_level(logging.ERROR), pytest.raises(NotStored):
        store.set(b"b")
    assert caplog.records == []


def test_items_that_have_ended_make_room() -> None:
    store = Store(items=2)
    store.set(b"a", lifetime=1)
    store.set(b"b")
    store.now += 1
    store.set(b"c")
    assert store.keys() == "bc"


def test_purge_lru_drops_what_was_not_used_for_longest() -> None:
    store = Store(items=3, when_full="purge")
    for key in (b"a", b"b", b"c"):
        store.set(key)
    store.get(b"a")
    store.update(b"b")
    store.set(b"d")
    assert store.keys() == "abd"


def test_clear_on_full_drops_all(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(items=2, when_full="clear")
    store.set(b"a")
    store.set(b"b")
    with caplog.at_level(logging.WARNING):
        store.set(b"c")
    assert store.keys() == "c"
    assert "was full (2 items): cleared" in caplog.text


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"", b"v", "a key of 0 bytes"),
        (b"k" * 9, b"v", "keysize is 8"),
        (b"k", b"", "a value of 0 bytes"),
        (b"k", b"v" * 17, "at most 16 fit"),
    ],
)
def test_limits(key: bytes, value: bytes, reason: str) -> None:
    store = Store(max_key=8, max_value=16)
    with pytest.raises(NotStored, match=reason):
        store.update(key, value)
    assert len(store.cache) == 0
    store.update(b"k" * 8, b"v" * 16)


def test_updates_without_end_do_not_grow_the_memory() -> None:
    store = Store()
    for _ in range(10_000):
        store.update(b"a", lifetime=100)
    assert len(store.cache._ends) < 100


def test_a_write_sweeps_a_bounded_number() -> None:
    store = Store(items=5_000)
    for number in range(3_000):
        store.set(b"%d" % number, lifetime=1)
    store.now += 1
    store.set(b"a")
    assert len(store.cache) == 2_001
    for _ in range(2):
        store.update(b"a")
    assert len(store.cache) == 1


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["set", "update", "get", "delete", "wait"]),
        st.sampled_from([b"a", b"b", b"c", b"d", b"e"]),
        st.integers(0, 4),
    ),
    max_size=60,
)


@given(ACTIONS)
def test_it_is_a_dictionary_with_ends(actions: list[tuple[str, bytes, int]]) -> None:
    """Whatever happens: what is alive in the model is there, and nothing else; never more than fit."""
    store, model, size = Store(items=3, log_full=False), dict[bytes, tuple[bytes, float]](), 3
    for number, (action, key, seconds) in enumerate(actions):
        model = {k: (v, end) for k, (v, end) in model.items() if end > store.now}
        value = b"%d" % number
        if action == "wait":
            store.now += seconds
        elif action == "get":
            assert store.get(key) == model.get(key, (None, 0))[0]
        elif action == "delete":
            assert store.cache.delete(key, store.now) == (model.pop(key, None) is not None)
        else:
            fits = (key in model and action == "update") or (key not in model and len(model) < size)
            try:
                (store.set if action == "set" else store.update)(key, value, seconds)
            except NotStored:
                assert not fits
            else:
                assert fits
                model[key] = (value, store.now + seconds if seconds else float("inf"))
        assert len(store.cache) <= size


def test_the_first_cache_is_meant_where_none_is_named() -> None:
    caches = Caches((CacheConfig("one", 1), CacheConfig("two", 1)))
    assert [cache.config.name for cache in caches] == ["one", "two"]
    first, second = caches.find(b""), caches.find(b"two")
    assert first is caches.find(b"one")
    assert second is not first
    assert caches.find(b"three") is None
    assert Caches().find(b"") is None
    assert not Caches()
