"""Schedule of announces: seconds until the next round, sooner after a failure."""

from typing import Final

#: Seconds between announces, as uWSGI's clients do (core/master.c).
INTERVAL: Final = 10.0
#: Seconds of silence that routers believe by default.
TOLERANCE: Final = 17.0
# The first datagram may be lost while neighbours still look each other up.
_SOON: Final = 1.0


class Schedule:
    """Schedule of rounds: at once, a second later, then at intervals; sooner after a round that failed.

    Args:
        interval: seconds between rounds.
    """

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._rounds = 0
        self._failures = 0

    def after(self, *, well: bool) -> float:
        """Return the seconds until the next round, after one that went well or not."""
        self._rounds += 1
        self._failures = 0 if well else self._failures + 1
        if self._failures:
            return min(self._interval, _SOON * 2.0 ** min(self._failures - 1, 10))
        return min(self._interval, _SOON) if self._rounds == 1 else self._interval
