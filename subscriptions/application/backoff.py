"""Back-off of restarts: doubled pauses after failures in a row, none after a steady run."""

from dataclasses import dataclass


@dataclass(slots=True)
class RestartDelay:
    """Delay before the next start.

    Attributes:
        first: seconds after the first failure; doubled each time.
        most: seconds at most.
        steady: what served for so long has not failed by ending.
        at_once: of failures in a row so many cost no delay.
        not_before: the time before which nothing is started again.
        failures: in a row.
    """

    first: float = 0.25
    most: float = 30.0
    steady: float = 10.0
    at_once: int = 0
    not_before: float = 0.0
    failures: int = 0

    def failed(self, now: float) -> float:
        """Note a failure; return the seconds until the next start."""
        doubled = self.failures - self.at_once
        delay = min(self.first * 2 ** min(doubled, 20), self.most) if doubled >= 0 else 0.0
        self.failures += 1
        self.not_before = max(self.not_before, now + delay)
        return self.not_before - now

    def ended(self, now: float, served: float | None) -> float:
        """Note the end of a process; return the seconds until the next start.

        Args:
            now: the time.
            served: for how many seconds it had served; None: it never did.
        """
        if served is not None and served >= self.steady:
            self.forget()
            if not self.at_once:
                return 0.0
        return self.failed(now)

    def forget(self) -> None:
        """Start at once next time: something has changed."""
        self.failures = 0
        self.not_before = 0.0
