"""Blacklist of vassals that end before they have answered a request: growing delays between their starts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

#: Seconds between two starts of a vassal that fails at once, whatever the configuration says.
LEAST: Final = 0.25


@dataclass(slots=True)
class BlacklistEntry:
    """Entry of a vassal that fails.

    Attributes:
        level: delay of its next start, in microseconds, as uWSGI counts it.
        attempts: failures after the first one.
        first: when it failed first, on the wall clock.
        last: when it failed last, likewise.
    """

    level: int
    first: float
    last: float
    attempts: int = 0


class Blacklist:
    """Blacklist of an Emperor (uWSGI: core/emperor.c, ``uwsgi_emperor_blacklist_add``).

    Args:
        throttle: milliseconds that each failure adds; the first one adds as many microseconds, as in uWSGI.
        most: milliseconds; a delay that has reached them is halved.
        enabled: failures are counted; otherwise only :data:`LEAST` is kept.
    """

    def __init__(self, throttle: int, most: int, *, enabled: bool = True) -> None:
        self._throttle = throttle
        self._most = most
        self._enabled = enabled
        self._entries: dict[str, BlacklistEntry] = {}

    def __len__(self) -> int:
        """Return how many vassals are in it."""
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[str, BlacklistEntry]]:
        """Yield name and entry of each vassal."""
        return iter(self._entries.items())

    def failed(self, name: str, wall: float) -> float:
        """Count a failure; return the seconds until the next start.

        Args:
            name: of the vassal.
            wall: now, on the wall clock.
        """
        if not self._enabled:
            return LEAST
        entry = self._entries.get(name)
        if entry is None:
            self._entries[name] = BlacklistEntry(self._throttle, wall, wall)
            return max(self._throttle / 1e6, 1e-3)
        entry.last = wall
        entry.attempts += 1
        if entry.level < self._most * 1000:
            entry.level += self._throttle * 1000
        else:
            entry.level //= 2
        return max(entry.level / 1e6, LEAST)

    def at_most(self, name: str) -> bool:
        """Return True if a vassal's delay does not grow any more."""
        entry = self._entries.get(name)
        return entry is not None and entry.level >= self._most * 1000

    def forgive(self, name: str) -> bool:
        """Take a vassal out; return False if it was not there."""
        return self._entries.pop(name, None) is not None

    def clear(self) -> None:
        """Take all out."""
        self._entries.clear()

    def entry(self, name: str) -> BlacklistEntry | None:
        """Return the entry of a vassal."""
        return self._entries.get(name)

    def restore(self, name: str, entry: BlacklistEntry) -> None:
        """Put an entry in that was there before an exec."""
        self._entries[name] = entry
