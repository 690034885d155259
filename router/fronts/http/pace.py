"""Minimum rate of request bodies, against slow clients (slowloris)."""


class Pace:
    """Rate check of a body, once per window.

    Args:
        rate: bytes a second that have to come on average; 0: any.
        window: seconds over which the rate is taken.

    Attributes:
        count: bytes that had come when the window began.
        until: when to look again, on the loop's clock; 0: not now.
    """

    __slots__ = ("_rate", "_window", "count", "until")

    def __init__(self, rate: int, window: float) -> None:
        self._rate = rate
        self._window = window
        self.count = 0
        self.until = 0.0

    def begin(self, now: float, count: int) -> None:
        """Begin a window; ``count`` bytes have come so far."""
        if self._rate:
            self.until = now + self._window
            self.count = count

    def end(self) -> None:
        """End the checks: the body is there, or nobody waits for it."""
        self.until = 0.0

    def too_slow(self, now: float, count: int) -> bool:
        """Return True if too few bytes came in the window that ends; otherwise begin another."""
        if count - self.count < self._rate * self._window:
            return True
        self.begin(now, count)
        return False
