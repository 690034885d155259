"""What is remembered of things that are gone: for a while, and of so many at most."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Memory(Generic[T]):
    """A set that forgets: what is older than ``seconds``, and the oldest when there are too many.

    Args:
        seconds: how long something is remembered.
        limit: how many things at most.
    """

    __slots__ = ("_limit", "_seconds", "_since")

    def __init__(self, seconds: float, limit: int) -> None:
        self._seconds = seconds
        self._limit = limit
        self._since: OrderedDict[T, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._since)

    def add(self, thing: T, now: float) -> None:
        """Remember ``thing`` from now on; ``now`` never goes back."""
        self._since[thing] = now
        self._since.move_to_end(thing)
        if len(self._since) > self._limit:
            self._since.popitem(last=False)

    def knows(self, thing: T, now: float) -> bool:
        """True if ``thing`` is remembered."""
        since = self._since.get(thing)
        return since is not None and now - since <= self._seconds

    def discard(self, thing: T) -> None:
        """Forget ``thing``."""
        self._since.pop(thing, None)

    def forget_old(self, now: float) -> None:
        """Give back the space of what is too old."""
        while self._since:
            thing, since = next(iter(self._since.items()))
            if now - since <= self._seconds:
                return
            del self._since[thing]
