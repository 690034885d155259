"""Caches of several processes: one is written to over its socket, the others read copies."""

from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Any, Final

from uwsgi_router.protocol.text import to_text
from uwsgi_router.router.routing.cache_store import Cache, Caches, Item
from uwsgi_router.router.table.feed.frames import Record
from uwsgi_router.router.table.feed.parts import Worker
from uwsgi_router.router.table.feed.table_records import take
from uwsgi_router.subscriptions.node_record import RecordError, raw, seconds

#: Bytes of a value that others get; longer ones name no nodes, and others get an empty one.
MAX_VALUE: Final = 300_000

NAME: Final = "caches"


def _stored(cache: Cache, key: bytes, item: Item) -> Record:
    value = item.value if len(item.value) <= MAX_VALUE else b""
    expires = None if item.expires == inf else item.expires
    return NAME, "item", cache.config.name, to_text(key), to_text(value), expires


def _items(caches: Caches) -> Iterator[Record]:
    for cache in caches:
        for key, item in cache.items():
            yield _stored(cache, key, item)


class _Copies:
    """Caches that are filled by records."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        # Of a snapshot that is not whole yet.
        self.named: set[tuple[str, bytes]] | None = None

    def apply(self, word: str, values: Sequence[Any]) -> None:
        """Take in a record.

        Raises:
            RecordError: it makes no sense.
        """
        if not values:
            raise RecordError(f"{word[:20]!r} says nothing")
        cache = self._caches.find(raw(values[0], "cache") or b"\0")
        if word == "item":
            name, key, value, expires = take(values, 4)
            where, what = raw(key, "key"), raw(value, "value")
            until = inf if expires is None else seconds(expires, "expires")
            if cache is not None:
                cache.put(where, what, until)
            if self.named is not None:
                self.named.add((name, where))
        elif word == "gone":
            _, key = take(values, 2)
            if cache is not None:
                cache.drop(raw(key, "key"))
        elif word == "clear":
            take(values, 1)
            if cache is not None:
                cache.clear()
        else:
            raise RecordError(f"{word[:20]!r} is no word of caches")

    def end(self) -> None:
        """Remove the items that a snapshot did not name."""
        named, self.named = self.named, None
        if named is None:
            return
        for cache in self._caches:
            gone = [key for key, _ in cache.items() if (cache.config.name, key) not in named]
            for key in gone:
                cache.drop(key)


class OwnedCaches:
    """Part of a feed: the caches that the cache socket writes to.

    Args:
        caches: they.
        changed: called when :meth:`changes` has something to tell.
    """

    name = NAME

    def __init__(self, caches: Caches, changed: Callable[[], None]) -> None:
        self._caches = caches
        self._changed = changed
        self._records: list[Record] = []
        self._copies = _Copies(caches)
        for cache in caches:
            cache.listener = self

    def close(self) -> None:
        """Tell nothing more."""
        for cache in self._caches:
            cache.listener = None

    def stored(self, cache: Cache, key: bytes, item: Item) -> None:
        """Take that an item was made or changed."""
        self._note(_stored(cache, key, item))

    def removed(self, cache: Cache, key: bytes) -> None:
        """Take that an item was removed."""
        self._note((NAME, "gone", cache.config.name, to_text(key)))

    def cleared(self, cache: Cache) -> None:
        """Take that all items were removed."""
        self._note((NAME, "clear", cache.config.name))

    def _note(self, record: Record) -> None:
        self._records.append(record)
        self._changed()

    def changes(self) -> list[Record]:
        """Return what has changed since the last call."""
        records, self._records = self._records, []
        return records

    def snapshot(self, worker: Worker | None) -> Iterator[Record]:  # noqa: ARG002
        """Yield all items."""
        return _items(self._caches)

    def joined(self, worker: Worker) -> None:
        """Do nothing: caches hold nothing for workers."""

    def left(self, worker: Worker) -> None:
        """Do nothing: likewise."""

    def report(self, worker: Worker, word: str, values: Sequence[Any]) -> None:  # noqa: ARG002
        """Refuse a report: workers have nothing to say of caches.

        Raises:
            RecordError: always.
        """
        raise RecordError(f"{word[:20]!r} is no word of a worker")

    def adopt(self, word: str, values: Sequence[Any]) -> None:
        """Take in what a predecessor, or a worker with a copy, knew.

        Raises:
            RecordError: it makes no sense.
        """
        self._copies.apply(word, values)

    def adopted(self) -> None:
        """Do nothing: every item is complete."""


class FedCaches:
    """Part of a feed: copies of the caches of another process."""

    name = NAME

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._copies = _Copies(caches)

    def attached(self, *, again: bool, taken: bool) -> None:
        """Do nothing: nothing is counted here."""

    def begin(self) -> None:
        """Note that a snapshot begins."""
        self._copies.named = set()

    def end(self) -> None:
        """Remove the items that the snapshot did not name."""
        self._copies.end()

    def apply(self, word: str, values: Sequence[Any]) -> None:
        """Take in what the owner says.

        Raises:
            RecordError: it makes no sense.
        """
        self._copies.apply(word, values)

    def urgent(self) -> list[Record]:
        """Return nothing: only the owner writes."""
        return []

    def counts(self) -> list[Record]:
        """Return nothing: nothing is counted here."""
        return []

    def snapshot(self) -> Iterator[Record]:
        """Yield all items."""
        return _items(self._caches)
