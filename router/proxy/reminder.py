"""Reminders of held requests, for vassals that could not be started when the request came."""

import asyncio

from uwsgi_router.router.core.request import Request
from uwsgi_router.router.routing.base import Forwarder


class Reminder:
    """Reminder: tells a forwarder now and then that a request still waits for a node.

    Args:
        loop: of the router.
        forwarder: whose :meth:`Forwarder.announced_key` is called each ``asked_every`` seconds.
        request: that waits.
    """

    __slots__ = ("_forwarder", "_loop", "_request", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, forwarder: Forwarder, request: Request
    ) -> None:
        self._loop = loop
        self._forwarder = forwarder
        self._request = request
        self._timer = self._begin()

    def _begin(self) -> asyncio.TimerHandle | None:
        pause = self._forwarder.asked_every
        return self._loop.call_later(pause, self._remind) if pause else None

    def _remind(self) -> None:
        self._timer = self._begin()
        self._forwarder.announced_key(self._request, self._loop.time())

    def close(self) -> None:
        """Remind no more."""
        if self._timer is not None:
            self._timer.cancel()
