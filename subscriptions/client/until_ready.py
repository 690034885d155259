"""Wait for a program to be ready: its health check is repeated, and the reason logged if it takes long."""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import Final

from uwsgi_router.protocol.subscription import Proto
from uwsgi_router.subscriptions.client.readiness import Check
from uwsgi_router.subscriptions.client.threads import in_thread

log = logging.getLogger("subscriptions.client")

_GROWTH: Final = 1.5


@dataclass(frozen=True, slots=True)
class ReadyTiming:
    """Times of the wait, in seconds.

    Attributes:
        first: before the first check; each further pause is half as long again.
        longest: the longest pause.
        tell: after so long the reason is logged.
        repeat: and again after so long, if it is still the same.
    """

    first: float = 0.1
    longest: float = 2.0
    tell: float = 2.0
    repeat: float = 60.0


class _Reason:
    """Reason why a program is not ready: logged when it is due, and from then on whenever it changes."""

    def __init__(self, text: str, timing: ReadyTiming) -> None:
        self._loop = asyncio.get_running_loop()
        self._text = text
        self._repeat = timing.repeat
        self._logged: str | None = None
        self._timer = self._loop.call_later(timing.tell, self._log)

    def set(self, text: str) -> None:
        """Note what the latest check found."""
        self._text = text
        if self._logged not in (None, text):
            self._timer.cancel()
            self._log()

    def close(self) -> None:
        """Log nothing more."""
        self._timer.cancel()

    def _log(self) -> None:
        log.warning("not announced yet: %s", self._text)
        self._logged = self._text
        self._timer = self._loop.call_later(self._repeat, self._log)


async def until_ready(check: Check, address: str, proto: Proto, timing: ReadyTiming) -> None:
    """Return once a check succeeds.

    Args:
        check: what is asked.
        address: the program's, as announced.
        proto: what it should speak.
        timing: when.
    """
    # A check itself takes seconds if nobody answers.
    reason = _Reason(f"{address} has not answered", timing)
    pause = timing.first
    try:
        while True:
            await asyncio.sleep(pause)
            trouble = await in_thread(partial(check.trouble, address, proto))
            if trouble is None:
                return
            reason.set(trouble)
            pause = min(pause * _GROWTH, timing.longest)
    finally:
        reason.close()
