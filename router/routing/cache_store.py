"""Caches in memory: items with expiry, hit counters, limits of size and number (uWSGI: core/cache.c).

No clock and no I/O: times are the loop's seconds and come in as ``now``. Items end exactly then: uWSGI's sweeper takes
up to three seconds longer.
"""

import heapq
import logging
from collections.abc import Iterator
from math import inf
from typing import Final, Protocol

from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.router.config.model import CacheConfig
from uwsgi_router.router.core.log import RateLimited

log = logging.getLogger("uwsgi-router.cache")

# Ended items that one write removes beyond what it needs, so that none takes long.
_SWEPT_AT_ONCE: Final = 1_000


class NotStored(ValueError):
    """Refusal: the item was not stored; ``str()`` says why."""


class Item:
    """Item of a cache.

    Attributes:
        value: what it says.
        expires: when it ends, on the loop's clock.
        turn: how many of its nodes have had their turn: the hit counter that uWSGI rotates by. It begins at 0 when the
            item is made, and stays when the item is updated.
    """

    __slots__ = ("expires", "turn", "value")

    def __init__(self, value: bytes, expires: float = inf) -> None:
        self.value = value
        self.expires = expires
        self.turn = 0

    def __repr__(self) -> str:
        return f"<Item {self.value[:80]!r} turn={self.turn}>"


class CacheListener(Protocol):
    """Listener to the changes of a cache; items that expire are no change."""

    def stored(self, cache: "Cache", key: bytes, item: Item) -> None:
        """Take that an item was made or changed."""

    def removed(self, cache: "Cache", key: bytes) -> None:
        """Take that an item was removed."""

    def cleared(self, cache: "Cache") -> None:
        """Take that all items were removed."""


class Cache:
    """Named cache.

    Attributes:
        config: see above.
        listener: told of changes; None: nobody is.
    """

    def __init__(self, config: CacheConfig) -> None:
        self.config = config
        self.listener: CacheListener | None = None
        # With purge_lru in the order of their last use, else of their making.
        self._items: dict[bytes, Item] = {}
        # A heap of (end, key) of items that end; entries of items gone or changed since are passed over.
        self._ends: list[tuple[float, bytes]] = []
        self._limited = RateLimited(log)

    def __repr__(self) -> str:
        return f"<Cache {self.config.name} {len(self._items)}/{self.config.items}>"

    def __len__(self) -> int:
        """Return the number of items, expired ones that nobody asked for included."""
        return len(self._items)

    def holds(self, key: bytes, now: float) -> bool:
        """Return True if there is an item that has not expired; unlike :meth:`get` that is no use of it."""
        item = self._items.get(key)
        return item is not None and item.expires > now

    def get(self, key: bytes, now: float) -> Item | None:
        """Return the item, if there is one that has not ended; it is the one that was used last then."""
        item = self._items.get(key)
        if item is None:
            return None
        if item.expires <= now:
            del self._items[key]
            return None
        if self.config.when_full == "purge":
            del self._items[key]
            self._items[key] = item
        return item

    def store(
        self, key: bytes, value: bytes, now: float, *, lifetime: float = 0, overwrite: bool
    ) -> None:
        """Make or change an item.

        Args:
            key: its key.
            value: what it says.
            now: the loop's clock.
            lifetime: seconds; 0: for ever.
            overwrite: True for ``update``, False for ``set``.

        Raises:
            NotStored: if it exists and is not to be overwritten, is too large, or there is no place.
        """
        config = self.config
        if not 1 <= len(key) <= config.max_key:
            raise NotStored(f"a key of {len(key)} bytes, keysize is {config.max_key}")
        if not 1 <= len(value) <= config.max_value:
            raise NotStored(f"a value of {len(value)} bytes, at most {config.max_value} fit")
        expires = now + lifetime if lifetime and config.expire else inf
        self._sweep(now)
        item = self.get(key, now)
        if item is None:
            if len(self._items) >= config.items:
                self._make_room(key)
            self._items[key] = Item(value, expires)
        elif not overwrite:
            raise NotStored("it exists, and set does not overwrite: use update")
        else:
            item.value, item.expires = value, expires
        if expires != inf:
            self._note_end(expires, key)
        if self.listener is not None:
            self.listener.stored(self, key, self._items[key])

    def put(self, key: bytes, value: bytes, expires: float) -> None:
        """Make or change an item as another process has it, which has checked everything."""
        item = self._items.get(key)
        if item is None:
            self._items[key] = Item(value, expires)
        else:
            item.value, item.expires = value, expires
        if expires != inf:
            self._note_end(expires, key)

    def items(self) -> list[tuple[bytes, Item]]:
        """Return keys and items, expired ones that nobody asked for included."""
        return list(self._items.items())

    def drop(self, key: bytes) -> None:
        """Remove an item that another process has removed."""
        self._items.pop(key, None)

    def delete(self, key: bytes, now: float) -> bool:
        """Remove an item; False if there is none."""
        found = self.get(key, now) is not None
        if found:
            self._remove(key)
        return found

    def _remove(self, key: bytes) -> None:
        del self._items[key]
        if self.listener is not None:
            self.listener.removed(self, key)

    def clear(self) -> None:
        """Remove every item."""
        self._items.clear()
        self._ends.clear()
        if self.listener is not None:
            self.listener.cleared(self)

    def _make_room(self, key: bytes) -> None:
        config = self.config
        if config.when_full == "purge":
            self._remove(next(iter(self._items)))
            return
        if config.when_full == "clear":
            if config.log_full:
                text = "cache %s was full (%d items): cleared"
                self._limited.warning("full", text, config.name, config.items)
            self.clear()
            return
        if config.log_full:
            self._limited.error(
                "full",
                "cache %s is full (%d items), so %r is not stored; raise items= or set purge_lru=1",
                config.name,
                config.items,
                key[:80],
            )
        raise NotStored("the cache is full")

    def _note_end(self, expires: float, key: bytes) -> None:
        if len(self._ends) > 2 * len(self._items) + 64:
            # Items that are updated again and again leave an entry each time.
            live = self._items.items()
            self._ends = [(item.expires, key) for key, item in live if item.expires != inf]
            heapq.heapify(self._ends)
        else:
            heapq.heappush(self._ends, (expires, key))

    def _sweep(self, now: float) -> None:
        """Remove expired items: not more than a write may cost, unless the cache is full."""
        ends, items = self._ends, self._items
        left = _SWEPT_AT_ONCE
        while ends and ends[0][0] <= now and (left or len(items) >= self.config.items):
            left = max(0, left - 1)
            key = heapq.heappop(ends)[1]
            item = items.get(key)
            if item is not None and item.expires <= now:
                del items[key]


class Caches:
    """Caches of the process, by name; the first one is meant where none is named."""

    def __init__(self, configs: tuple[CacheConfig, ...] = ()) -> None:
        self._caches = {to_bytes(config.name): Cache(config) for config in configs}

    def __bool__(self) -> bool:
        return bool(self._caches)

    def __iter__(self) -> Iterator[Cache]:
        return iter(self._caches.values())

    def find(self, name: bytes) -> Cache | None:
        """Return the cache of this name, or the first for b""."""
        if not name:
            return next(iter(self._caches.values()), None)
        return self._caches.get(name)
