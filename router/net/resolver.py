"""DNS resolver for nodes' names: look-ups in threads, cached for a few seconds."""

import asyncio
import errno
import socket
from collections.abc import Callable

from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.protocol.bounded import Bounded
from uwsgi_router.router.net.connect import Endpoint, ip_endpoint
from uwsgi_router.router.net.look_ups import LookUps

# Names stand for whatever runs now (containers, headless services): asked again about this often.
TTL = 5.0
# How long an old answer is held back for a new one.
PATIENCE = 1.0
# More names than any configuration has; a cap because subscribed nodes may bring names too.
MAX_NAMES = 4096

_Key = tuple[str, int]


class Resolver:
    """Resolver of host names, with a cache.

    A failed look-up leaves the last good answer in place: DNS that is down must not take nodes away that still run.
    Nor does DNS that is silent keep one request after the other waiting: time counts from the beginning of the look-up
    that they share. When it is over, the last good answer is returned, or the name fails.

    Args:
        loop: the event loop.
        is_own: tells addresses that the router itself listens on: a name may lead there, but no request follows it.
        patience: seconds that an old answer is held back for a new one.
        look_ups: ask the system; closed with the resolver.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        is_own: Callable[[InetAddress], bool] = lambda _address: False,
        patience: float = PATIENCE,
        look_ups: LookUps | None = None,
    ) -> None:
        self._patience = patience
        self._loop = loop
        self._is_own = is_own
        self._look_ups = look_ups or LookUps(loop)
        self._known: Bounded[_Key, tuple[float, list[Endpoint]]] = Bounded(MAX_NAMES)
        # When the look-up began, and who gets its answer.
        self._running: dict[_Key, tuple[float, asyncio.Task[list[Endpoint]]]] = {}
        # Names whose last look-up took longer than the patience.
        self._silent: Bounded[_Key, bool] = Bounded(MAX_NAMES)

    def fresh(self, address: InetAddress) -> list[Endpoint] | None:
        """Return the answer if it is younger than TTL."""
        known = self._known.get((address.host, address.port))
        if known is None or self._loop.time() - known[0] > TTL:
            return None
        return known[1]

    async def resolve(self, address: InetAddress, within: float | None = None) -> list[Endpoint]:
        """Return every address of a name, in the system's order; one look-up serves all who wait.

        Args:
            address: host and port.
            within: seconds from the beginning of the look-up until a name without an answer fails; None: never.

        Raises:
            OSError: if the name never had an answer and has none now; TimeoutError: none in time.
        """
        answer = self.fresh(address)
        if answer is not None:
            return answer
        key = (address.host, address.port)
        began, task = self._running.get(key) or self._begin(key, address)
        known = self._known.get(key)
        limit = within
        if known is not None:
            limit = 0.0 if key in self._silent else self._patience
        elif within is not None and key in self._silent:
            limit = min(within, self._patience)
        if limit is None:
            # Whoever gives up must not cancel the look-up of the others.
            return await asyncio.shield(task)
        left = began + limit - self._loop.time()
        if left > 0:
            await asyncio.wait((task,), timeout=left)
        if task.done():
            return task.result()
        if known is None:
            raise TimeoutError(errno.ETIMEDOUT, "its name server does not answer")
        return known[1]

    def _begin(
        self, key: _Key, address: InetAddress
    ) -> tuple[float, "asyncio.Task[list[Endpoint]]"]:
        task = self._loop.create_task(self._look_up(address))
        task.add_done_callback(lambda done: self._finished(key, done))
        running = self._running[key] = self._loop.time(), task
        return running

    def _finished(self, key: _Key, task: "asyncio.Task[list[Endpoint]]") -> None:
        began, _task = self._running.pop(key)
        if self._loop.time() - began > self._patience:
            self._silent[key] = True
        else:
            self._silent.pop(key, None)
        if not task.cancelled():
            task.exception()  # each waiter got it; without a waiter nobody needs it

    async def _look_up(self, address: InetAddress) -> list[Endpoint]:
        key = (address.host, address.port)
        try:
            hosts = await self._look_ups.look_up(address, socket.SOCK_STREAM)
        except OSError:
            known = self._known.get(key)
            if known is None:
                raise
            self._known[key] = self._loop.time(), known[1]
            return known[1]
        others = [host for host in hosts if not self._is_own(InetAddress(host, address.port))]
        if hosts and not others:
            raise OSError(errno.ELOOP, f"{address} is this router itself")
        answer = [ip_endpoint(host, address.port) for host in others]
        self._known[key] = self._loop.time(), answer
        return answer

    def close(self) -> None:
        """Forget the look-ups under way."""
        for _began, task in list(self._running.values()):
            task.cancel()
        self._look_ups.close()
