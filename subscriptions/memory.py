"""What is remembered of things that are gone: for a while, and of so many at most."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Memory(Generic[T]):
    """A set that forgets: what is older than ``seconds``, and the oldest when there are too many.

    Things may belong to an owner with a share: when it has more things than that, its own oldest is
    forgotten, so that it can't have those of others forgotten.

    Args:
        seconds: how long something is remembered.
        limit: how many things at most.
    """

    __slots__ = ("_limit", "_owned", "_seconds", "_since")

    def __init__(self, seconds: float, limit: int) -> None:
        self._seconds = seconds
        self._limit = limit
        self._since: OrderedDict[T, tuple[float, Hashable]] = OrderedDict()
        self._owned: dict[Hashable, OrderedDict[T, None]] = {}

    def __len__(self) -> int:
        return len(self._since)

    def add(
        self, thing: T, now: float, *, owner: Hashable = None, share: int | None = None
    ) -> None:
        """Remember ``thing`` from now on; ``now`` never goes back."""
        self.discard(thing)
        self._since[thing] = now, owner
        if owner is not None:
            owned = self._owned.setdefault(owner, OrderedDict())
            owned[thing] = None
            if share is not None and len(owned) > share:
                self.discard(next(iter(owned)))
        if len(self._since) > self._limit:
            self.discard(next(iter(self._since)))

    def knows(self, thing: T, now: float) -> bool:
        """True if ``thing`` is remembered."""
        since = self._since.get(thing)
        return since is not None and now - since[0] <= self._seconds

    def items(self) -> list[tuple[T, float, Hashable]]:
        """Return what is remembered, since when, and whose it is, in the order it was added."""
        return [(thing, since, owner) for thing, (since, owner) in self._since.items()]

    def discard(self, thing: T) -> None:
        """Forget ``thing``."""
        _, owner = self._since.pop(thing, (0.0, None))
        if owner is not None:
            owned = self._owned[owner]
            del owned[thing]
            if not owned:
                del self._owned[owner]

    def forget_old(self, now: float) -> None:
        """Give back the space of what is too old."""
        while self._since:
            thing, (since, _) = next(iter(self._since.items()))
            if now - since <= self._seconds:
                return
            self.discard(thing)
