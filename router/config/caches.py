"""Options of caches, and how their values are read (uWSGI: core/cache.c)."""

from collections.abc import Callable
from typing import Literal

from uwsgi_router.protocol.address import AddressError, parse_address
from uwsgi_router.router.config import values
from uwsgi_router.router.config.model import CacheConfig, CacheItem
from uwsgi_router.router.config.option import Option
from uwsgi_router.router.config.values import Kind, integer, is_on

GROUP = "caches"
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
    given = _fields(text)
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


def _fields(text: str) -> dict[str, str]:
    """Read ``key=value,…``; a backslash before a comma makes it part of the value."""
    fields: dict[str, str] = {}
    for part in text.replace("\\,", "\0").split(","):
        key, equals, value = part.replace("\0", ",").partition("=")
        if not key or not equals:
            raise ValueError("expected name=NAME,items=N and so on")
        if key in fields:
            raise ValueError(f"expected {key} only once")
        fields[key] = value
    return fields


def _count(given: dict[str, str], names: tuple[str, ...], low: int, high: int) -> int | None:
    """Take a number out of the fields; ValueError if it is given under two names."""
    found = [name for name in names if name in given]
    if len(found) > 1:
        raise ValueError(f"expected only one of {', '.join(found)}")
    if not found:
        return None
    try:
        number = integer("N", low, high).parse(given.pop(found[0]))
    except ValueError as error:
        raise ValueError(f"{error} for {found[0]}") from None
    assert isinstance(number, int)
    return number


def _switch(given: dict[str, str], *names: str) -> bool:
    # All are taken out, whatever the first one says.
    found = [is_on(given.pop(name)) for name in names if name in given]
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
    try:
        parse_address(text, allow_port_zero=True)
    except AddressError as error:
        raise ValueError(f"expected host:port, [v6]:port or a socket path: {error}") from None
    return text


USE_CACHE = Kind("[NAME[@ADDRESS]]", _use_cache, values.Argument.OPTIONAL)


def _works(
    name: str, shown: str, parse: Callable[[str], object], target: str, help_: str
) -> Option:
    return Option(
        name=name,
        kind=Kind(shown, parse),
        target=f"process.{target}",
        help=help_,
        group=GROUP,
        repeatable=True,
    )


OPTIONS: tuple[Option, ...] = (
    _works(
        "cache2",
        "name=NAME,items=N,…",
        _cache2,
        "named_caches",
        "Have a cache of N items; also keysize, blocksize (largest value), purge_lru, clear_on_full, no_expire…",
    ),
    Option(
        name="cache",
        kind=integer("N", 1, MAX_ITEMS),
        target="process.default_cache_items",
        help="Have a cache called default of N items.",
        group=GROUP,
    ),
    Option(
        name="cache-blocksize",
        kind=integer("BYTES", 1, MAX_VALUE),
        target="process.default_cache_max_value",
        help="Largest value in the cache called default (65536).",
        group=GROUP,
    ),
    Option(
        name="cache-no-expire",
        kind=values.SWITCH_OFF,
        target="process.default_cache_expire",
        help="Items of the cache called default stay, whatever end was asked for.",
        group=GROUP,
    ),
    _works(
        "add-cache-item",
        "[CACHE ]KEY=VALUE",
        _item,
        "cache_items",
        "Have this item in the cache from the start; without a name in every cache.",
    ),
    _works(
        "load-file-in-cache",
        "[CACHE ]PATH",
        _file,
        "cache_files",
        "Have an item whose key is this path and whose value is what is in the file.",
    ),
    _works(
        "cache-socket",
        "ADDRESS",
        _socket,
        "cache_sockets",
        "Take commands of uWSGI's cache clients here; a UNIX socket or a loopback address.",
    ),
    Option(
        name="cache-socket-public",
        kind=values.SWITCH,
        target="process.cache_socket_public",
        help="Let cache-socket be any address: whoever reaches it decides where requests go.",
        group=GROUP,
    ),
)
