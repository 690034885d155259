"""Caches as they are from the start, and who can reach their sockets."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from uwsgi_router.router.app.caches import bind_cache_sockets, build_caches
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import CacheConfig, CacheItem, ProcessConfig
from uwsgi_router.router.net.activation import Inherited


def values(**process: Any) -> list[dict[bytes, bytes]]:
    """What each cache holds under the keys that are used here."""
    found = []
    for cache in build_caches(ProcessConfig(**process)):
        items = {key: cache.get(key, 1e9) for key in (b"a", b"b", b"/etc/hostname")}
        found.append({key: item.value for key, item in items.items() if item is not None})
    return found


TWO = (CacheConfig("one", 5), CacheConfig("two", 5))


def test_an_item_goes_into_the_cache_it_names_else_into_every_one() -> None:
    items = (CacheItem("two", "a", "1"), CacheItem(None, "b", "2"))
    assert values(named_caches=TWO, cache_items=items) == [{b"b": b"2"}, {b"a": b"1", b"b": b"2"}]


def test_the_cache_called_default_is_the_first() -> None:
    process = ProcessConfig(
        named_caches=TWO, default_cache_items=3, default_cache_max_value=10, default_cache_expire=False
    )  # fmt: skip
    assert [cache.config.name for cache in build_caches(process)] == ["default", "one", "two"]
    assert process.caches[0] == CacheConfig("default", 3, max_value=10, expire=False)


def test_a_file_is_an_item_called_like_it(tmp_path: Path) -> None:
    file = tmp_path / "nodes"
    file.write_bytes(b"127.0.0.1:1\n")
    caches = build_caches(
        ProcessConfig(named_caches=TWO, cache_files=(CacheItem("one", str(file), None),))
    )
    cache = caches.find(b"one")
    assert cache is not None
    item = cache.get(os.fsencode(file), 0.0)
    assert item is not None
    assert item.value == b"127.0.0.1:1\n"


@pytest.mark.parametrize(
    ("process", "message"),
    [
        ({"cache_items": (CacheItem("x", "a", "1"),)}, "add-cache-item = a=1: there is no cache x"),
        (
            {"cache_items": (CacheItem("one", "a", "1"), CacheItem(None, "a", "2"))},
            "add-cache-item = a=2: not stored in one: it exists",
        ),
        (
            {"cache_files": (CacheItem(None, "/nonexistent", None),)},
            "load-file-in-cache = /nonexistent: the file can't be read: No such file",
        ),
    ],
)
def test_what_cannot_be_stored_stops_the_start(process: dict[str, Any], message: str) -> None:
    with pytest.raises(StartError, match=message):
        build_caches(ProcessConfig(named_caches=TWO, **process))


def bind(**process: Any) -> None:
    for bound in bind_cache_sockets(ProcessConfig(**process), Inherited()):
        bound.close()


@pytest.mark.parametrize("text", ["127.0.0.1:0", "127.8.8.8:0", "localhost:0", "@cache-test"])
def test_addresses_of_this_machine_only_are_fine(text: str) -> None:
    bind(cache_sockets=(text,))


@pytest.mark.parametrize("text", [":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "app.test:0"])
def test_others_are_refused_unless_asked_for(text: str) -> None:
    with pytest.raises(StartError, match="other machines could reach it"):
        bind(cache_sockets=("127.0.0.1:0", text))


def test_an_address_for_everybody_if_asked_for() -> None:
    bind(cache_sockets=(":0",), cache_socket_public=True)


@pytest.mark.parametrize(("public", "mode"), [(False, 0o660), (True, 0o666)])
def test_chmod_socket_does_not_open_it_to_all_users(
    public: bool, mode: int, tmp_path: Path
) -> None:
    path = str(tmp_path / "cache")
    process = ProcessConfig(cache_sockets=(path,), chmod_socket=0o666, cache_socket_public=public)
    (bound,) = bind_cache_sockets(process, Inherited())
    assert stat.S_IMODE(os.stat(path).st_mode) == mode
    bound.close()
