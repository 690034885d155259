"""Reason why a program is not ready: logged when it is due, and from then on whenever it changes."""

import logging

log = logging.getLogger("subscriptions.client")


class NotReadyLog:
    """Log of the reason why a program is not announced yet.

    Args:
        reason: until a check has found one.
        now: seconds of a clock.
        tell: seconds after which the reason is logged.
        repeat: and again after so many, if it is still the same.

    Attributes:
        due: when :meth:`tick` has something to log.
    """

    def __init__(self, reason: str, now: float, *, tell: float = 2.0, repeat: float = 60.0) -> None:
        self.due = now + tell
        self._reason = reason
        self._repeat = repeat
        self._logged: str | None = None

    def found(self, reason: str, now: float) -> None:
        """Note what the latest check found."""
        self._reason = reason
        if self._logged not in {None, reason}:
            self._log(now)

    def tick(self, now: float) -> None:
        """Log the reason if that is due."""
        if self.due <= now:
            self._log(now)

    def _log(self, now: float) -> None:
        log.warning("not announced yet: %s", self._reason)
        self._logged = self._reason
        self.due = now + self._repeat
