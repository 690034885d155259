"""Readers of the options of caches (``cache2`` and others)."""

from typing import Literal

from uwsgi_router.protocol.address import AddressError, parse_address
from uwsgi_router.router.config.types import CacheConfig, CacheItem
from uwsgi_router.router.config.values import (
    SWITCH,
    Argument,
    Kind,
    fields_of,
    integer,
    refuse_bare_port,
)

MAX_ITEMS = 10_000_000
#: Values name nodes; a limit, because several clients at once may send one.
MAX_VALUE = 1024 * 1024

_ITEMS = ("items", "max_items", "maxitems")
_KEYSIZE = ("keysize", "key_size")
# What an allowed key asks for is so anyway, or nothing here depends on it.
_SETTLED = frozenset(
    ("hash", "hashsize", "hash_size", "lastmod", "math_initial", "lazy_expire", "lazy")
) | {"sweep_on_full"}
_IN_MEMORY = frozenset(("store", "store_sync", "storesync", "store_delete", "storedelete"))
_REPLICATED = frozenset(
    ("node", "nodes", "udp", "udp_server", "udp_servers", "udpserver", "udpservers", "sync")
)
_DEFAULT = CacheConfig("default", 1)


def _cache2(text: str) -> CacheConfig:
    given = fields_of(text, "name=NAME,items=N and so on")
    name = given.pop("name", "")
    if not name:
        raise ValueError("expected name=NAME among its keys")
    if "@" in name:
        raise ValueError("expected a name without @, which stands before a server's address")
    items = _count(given, _ITEMS, 1, MAX_ITEMS)
    if items is None:
        raise ValueError("expected items=N among its keys")
    blocks = _count(given, ("blocks",), 1, MAX_ITEMS) or items
    if blocks < items:
        raise ValueError(f"expected blocks of at least items ({items})")
    block = _count(given, ("blocksize",), 1, MAX_VALUE) or _DEFAULT.max_value
    max_value = min(block * blocks, MAX_VALUE) if _switch(given, "bitmap") else block
    when_full: Literal["refuse", "purge", "clear"] = "refuse"
    if _switch(given, "clear_on_full"):
        when_full = "clear"
    if _switch(given, "purge_lru", "lru"):
        when_full = "purge"
    config = CacheConfig(
        name=name,
        items=items,
        max_key=_count(given, _KEYSIZE, 1, 65_535) or _DEFAULT.max_key,
        max_value=max_value,
        expire=not _switch(given, "no_expire"),
        when_full=when_full,
        log_full=not _switch(given, "ignore_full"),
        unused=tuple(key for key in given if key in _IN_MEMORY),
    )
    for key in given:
        if key in _REPLICATED:
            raise ValueError(
                f"expected no {key}: this version does not copy caches; let use-cache name the other server's"
            )
        if key not in _SETTLED | _IN_MEMORY:
            raise ValueError(f"expected keys of cache2, and {key} is none")
    return config


def _count(given: dict[str, str], names: tuple[str, ...], low: int, high: int) -> int | None:
    """Take a number out of the fields; ValueError if it is given under two names."""
    found = [name for name in names if name in given]
    if len(found) > 1:
        raise ValueError(f"expected only one of {', '.join(found)}")
    if not found:
        return None
    text = given.pop(found[0])
    try:
        number = integer("N", low, high).parse(text)
    except ValueError as error:
        raise ValueError(f"{error} for {found[0]}, not {text}") from None
    assert isinstance(number, int)
    return number


def _switch(given: dict[str, str], *names: str) -> bool:
    # All are taken out, whatever the first one says.
    found = []
    for name in names:
        if name in given:
            try:
                found.append(SWITCH.parse(given.pop(name)))
            except ValueError as error:
                raise ValueError(f"{error} for {name}") from None
    return any(found)


def _item(text: str) -> CacheItem:
    cache, rest = _named(text)
    key, equals, value = rest.partition("=")
    if not key or not equals or not value:
        raise ValueError("expected [CACHE ]KEY=VALUE")
    return CacheItem(cache, key, value)


def _file(text: str) -> CacheItem:
    cache, path = _named(text)
    if not path:
        raise ValueError("expected [CACHE ]PATH")
    return CacheItem(cache, path, None)


def _named(text: str) -> tuple[str | None, str]:
    """Split off the cache's name, which ends at the first blank."""
    name, blank, rest = text.partition(" ")
    return (name, rest) if blank else (None, text)


def _use_cache(text: str) -> str:
    _, at, address = text.partition("@")
    if at:
        try:
            parse_address(address)
        except AddressError as error:
            raise ValueError(f"expected NAME, or NAME@ADDRESS of another server: {error}") from None
    return text


def _socket(text: str) -> str:
    if text.startswith(("=", "fd://")):
        raise ValueError("expected host:port, [v6]:port or a socket path")
    refuse_bare_port(text)
    try:
        parse_address(text, allow_port_zero=True)
    except AddressError as error:
        raise ValueError(f"expected host:port, [v6]:port or a socket path: {error}") from None
    return text


CACHE = Kind("name=NAME,items=N,…", _cache2)
ITEM = Kind("[CACHE ]KEY=VALUE", _item, free=True)
ITEM_FILE = Kind("[CACHE ]PATH", _file)
CACHE_SOCKET = Kind("ADDRESS", _socket)
USE_CACHE = Kind("[NAME[@ADDRESS]]", _use_cache, Argument.OPTIONAL)
