"""DNS resolver for nodes' names: look-ups in threads, cached for a few seconds."""

import asyncio
import errno
import socket
from collections.abc import Callable

from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.protocol.bounded import Bounded
from uwsgi_router.router.net.connect import Endpoint, ip_endpoint

# Names stand for whatever runs now (containers, headless services): asked again about this often.
TTL = 5.0
# How long an old answer is held back for a new one.
PATIENCE = 1.0
# More names than any configuration has; a cap because subscribed nodes may bring names too.
MAX_NAMES = 4096


class Resolver:
    """Resolver of host names, with a cache.

    A failed look-up leaves the last good answer in place: DNS that is down must not take nodes away that still run.

    Args:
        loop: the event loop.
        is_own: tells addresses that the router itself listens on: a name may lead there, but no request follows it.
        patience: seconds that an old answer is held back for a new one.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        is_own: Callable[[InetAddress], bool] = lambda _address: False,
        patience: float = PATIENCE,
    ) -> None:
        self._patience = patience
        self._loop = loop
        self._is_own = is_own
        self._known: Bounded[tuple[str, int], tuple[float, list[Endpoint]]] = Bounded(MAX_NAMES)
        self._running: dict[tuple[str, int], asyncio.Task[list[Endpoint]]] = {}

    def fresh(self, address: InetAddress) -> list[Endpoint] | None:
        """Return the answer if it is younger than TTL."""
        known = self._known.get((address.host, address.port))
        if known is None or self._loop.time() - known[0] > TTL:
            return None
        return known[1]

    async def resolve(self, address: InetAddress) -> list[Endpoint]:
        """Return every address of a name, in the system's order; one look-up serves all who wait.

        Raises:
            OSError: if the name never had an answer and has none now.
        """
        answer = self.fresh(address)
        if answer is not None:
            return answer
        key = (address.host, address.port)
        task = self._running.get(key)
        if task is None:
            task = self._loop.create_task(self._look_up(address))
            self._running[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        known = self._known.get(key)
        if known is not None:
            # DNS that hangs must not take nodes away that still run, either.
            await asyncio.wait((task,), timeout=self._patience)
            if not task.done():
                return known[1]
        # A request that gives up must not cancel the look-up of the others.
        return await asyncio.shield(task)

    def _finished(self, key: tuple[str, int], task: asyncio.Task[list[Endpoint]]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # each waiter got it; without a waiter nobody needs it

    async def _look_up(self, address: InetAddress) -> list[Endpoint]:
        key = (address.host, address.port)
        try:
            hosts = await look_up(self._loop, address, socket.SOCK_STREAM)
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
        for task in list(self._running.values()):
            task.cancel()


async def look_up(
    loop: asyncio.AbstractEventLoop, address: InetAddress, kind: socket.SocketKind
) -> list[str]:
    """Return every IP address of a name, each once, in the system's order.

    Raises:
        OSError: the name has none, or is none.
    """
    try:
        found = await loop.getaddrinfo(address.host, address.port, type=kind)
    except UnicodeError as exc:
        raise OSError(f"{address.host} is no host name") from exc
    return list(dict.fromkeys(str(info[4][0]) for info in found))
