"""Budget of retries: how many requests may go to further nodes at once, so that an outage is not multiplied."""

from typing import Final

from uwsgi_router.router.report.counters import Counters

#: So many may in any case.
LEAST: Final = 3


class RetryBudget:
    """Budget of retries of one router.

    What counts is a request on which a silent node may still work while another one gets it, and one whose second
    connect was not answered: each of these costs nodes work, or this process time. A refused connect costs neither; a
    node that has ended the connection does nothing more, and a request is sent again once at most: these count never.

    Args:
        percent: see below.
        counters: of the router.

    Attributes:
        percent: of the requests under way so many may be retries, but :data:`LEAST` in any case; 0: no limit.
    """

    __slots__ = ("_counters", "_taken", "percent")

    def __init__(self, percent: int, counters: Counters) -> None:
        self.percent = percent
        self._counters = counters
        self._taken = 0

    def __len__(self) -> int:
        """Return how many retries are under way."""
        return self._taken

    def take(self) -> bool:
        """Count one retry more; False if there are too many, which is counted, too."""
        if self.percent and self._taken >= max(LEAST, self._counters.running * self.percent // 100):
            self._counters.retries_refused += 1
            return False
        self._taken += 1
        return True

    def give_back(self) -> None:
        """Count one retry less."""
        self._taken -= 1
