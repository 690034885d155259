"""Watch over the wall clock: tells when it jumps, by comparing it with the monotonic clock.

A clock that is slewed, as time daemons do it, is no jump. Nothing that comes over a network has a part in this.
"""

from collections.abc import Callable
from typing import Final

#: Seconds by which the clocks may differ between two looks. Less is not worth a line.
SLACK: Final = 2.0
# Both clocks were read within so many seconds, or somebody else had the CPU in between.
_TOGETHER: Final = 0.05
_TRIES: Final = 5


class WallClock:
    """Wall clock that notices when it jumps.

    Args:
        wall: seconds since the epoch.
        monotonic: seconds of a clock that nobody sets.
        jumped: is given by how much it jumped (less than 0: back) and what it says now, before anybody else is told.
    """

    def __init__(
        self,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        jumped: Callable[[float, float], None],
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._jumped = jumped
        self._offset = wall() - monotonic()

    def __call__(self) -> float:
        """Return the seconds since the epoch."""
        for _ in range(_TRIES):
            began = self._monotonic()
            wall = self._wall()
            if self._monotonic() - began < _TOGETHER:
                break
        else:
            # No look that says anything: the next one will.
            return wall
        change = wall - began - self._offset
        self._offset += change
        if abs(change) > SLACK:
            self._jumped(change, wall)
        return wall
