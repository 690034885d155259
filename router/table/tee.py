"""Tee: copies of accepted announces for other routers (``subscription-tee``)."""

import asyncio
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from uwsgi_router.protocol.subscription import plain_datagram
from uwsgi_router.router.net.destinations import Destinations
from uwsgi_router.subscriptions.expiring_set import ExpiringSet

#: Datagrams that are remembered, so that each is sent on once in a while.
REMEMBERED: Final = 100_000


class Tee:
    """Tee: sends each accepted datagram on to every destination, unchanged but for a scheme in its address.

    Args:
        destinations: where to; started and closed with this.
        loop: the event loop.
        once: seconds within which a datagram is sent on once.
    """

    def __init__(
        self, destinations: Destinations, loop: asyncio.AbstractEventLoop, once: float
    ) -> None:
        self._destinations = destinations
        self._now: Callable[[], float] = loop.time
        self._sent: ExpiringSet[bytes] = ExpiringSet(once, REMEMBERED)

    def __repr__(self) -> str:
        return f"<Tee {self._destinations!r}>"

    def start(self) -> None:
        """Begin to find out where the destinations are."""
        self._destinations.start()

    def close(self) -> None:
        """Send no more."""
        self._destinations.close()

    def send(self, datagram: bytes) -> None:
        """Send a copy, unless one has just been sent."""
        now = self._now()
        self._sent.forget_old(now)
        digest = blake2b(datagram, digest_size=16).digest()
        if self._sent.contains(digest, now):
            return
        self._sent.add(digest, now)
        datagram = plain_datagram(datagram)
        for destination in self._destinations:
            for route in destination.routes:
                self._destinations.send(destination, route, datagram)
