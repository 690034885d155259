"""Expiring set: bounded, with a time to live and a quota for each owner."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class ExpiringSet(Generic[T]):
    """Set whose items expire after ``seconds``; the oldest make room when there are too many.

    Items may belong to an owner with a share: when it has more items than that, its own oldest is
    removed, so that nobody can push out the items of others.

    Args:
        seconds: time to live of an item.
        limit: items at most.
    """

    __slots__ = ("_limit", "_owned", "_seconds", "_since")

    def __init__(self, seconds: float, limit: int) -> None:
        self._seconds = seconds
        self._limit = limit
        self._since: OrderedDict[T, tuple[float, Hashable]] = OrderedDict()
        self._owned: dict[Hashable, OrderedDict[T, None]] = {}

    def __len__(self) -> int:
        return len(self._since)

    def add(self, item: T, now: float, *, owner: Hashable = None, share: int | None = None) -> None:
        """Add ``item``, or renew it; ``now`` never goes back."""
        self.discard(item)
        self._since[item] = now, owner
        if owner is not None:
            owned = self._owned.setdefault(owner, OrderedDict())
            owned[item] = None
            if share is not None and len(owned) > share:
                self.discard(next(iter(owned)))
        if len(self._since) > self._limit:
            self.discard(next(iter(self._since)))

    def contains(self, item: T, now: float) -> bool:
        """Return True if ``item`` is in the set and has not expired."""
        since = self._since.get(item)
        return since is not None and now - since[0] <= self._seconds

    def items(self) -> list[tuple[T, float, Hashable]]:
        """Return (item, when it was added, owner) of each, in the order of adding."""
        return [(item, since, owner) for item, (since, owner) in self._since.items()]

    def discard(self, item: T) -> None:
        """Remove ``item``, if it is there."""
        _, owner = self._since.pop(item, (0.0, None))
        if owner is not None:
            owned = self._owned[owner]
            del owned[item]
            if not owned:
                del self._owned[owner]

    def forget_old(self, now: float) -> None:
        """Free the space of expired items."""
        while self._since:
            item, (since, _) = next(iter(self._since.items()))
            if now - since <= self._seconds:
                return
            self.discard(item)
