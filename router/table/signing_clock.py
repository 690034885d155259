"""Clock that signed announces are dated in: says when it jumps, and has forgiven what it let be used."""

import logging
from collections.abc import Callable

from uwsgi_router.subscriptions.clock import SLACK, WallClock
from uwsgi_router.subscriptions.replay import ReplayMemory

log = logging.getLogger("uwsgi-router.subscriptions")


class SigningClock:
    """Wall clock of a table; a call returns the seconds since the epoch.

    Args:
        wall_clock: seconds since the epoch.
        monotonic: seconds of a clock that nobody sets, which tells when the other one is.
        used: times of signed announces; None if nobody has to sign.
        forgiven: called when some of those were forgiven.
    """

    def __init__(
        self,
        wall_clock: Callable[[], float],
        monotonic: Callable[[], float],
        used: ReplayMemory | None,
        forgiven: Callable[[], None],
    ) -> None:
        self._used = used
        self._forgiven = forgiven
        self._clock = WallClock(wall_clock, monotonic, self._jumped)

    def __call__(self) -> float:
        """Return the seconds since the epoch."""
        return self._clock()

    def look(self) -> None:
        """Notice a jump, also while nobody announces anything."""
        if self._used is not None:
            self._clock()

    def saved(self, wall: float, saved_at: float) -> None:
        """Compare with the time at which an earlier run saved what was just restored."""
        if saved_at - wall > SLACK:
            self._jumped(wall - saved_at, wall)

    def _jumped(self, seconds: float, wall: float) -> None:
        if self._used is None:
            return
        if seconds > 0:
            text = "the clock jumped ahead by %.0f s (or the machine slept): signed announces are judged by it"
            log.warning(text, seconds)
            return
        nodes = self._used.clock_went_back(wall)
        text = "the clock went back by %.0f s: later times that signed announces had used are forgiven (%d nodes)"
        log.warning(text, -seconds, nodes)
        self._forgiven()
