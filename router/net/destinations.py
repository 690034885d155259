"""Destinations of announces: datagram addresses of other routers, resolved again at intervals.

Nothing here ever waits: a name is looked up in a thread, again every few seconds, and until it has an
answer nothing is sent there. What a socket does not take is lost, as datagrams may be; the next
announce is a few seconds away.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.address import (
    Address,
    InetAddress,
    UnixAddress,
    parse_datagram_address,
)
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.net.connect import Endpoint, endpoint, ip_endpoint
from uwsgi_router.router.net.look_ups import LookUps
from uwsgi_router.router.net.own import local_address
from uwsgi_router.router.net.resolver import TTL
from uwsgi_router.subscriptions.node_address import ip_of

log = logging.getLogger("uwsgi-router.subscriptions")

#: Seconds between two lines about the same destination.
QUIET: Final = 60.0
#: Addresses of one name; it is not known of any service that it has more.
MAX_ADDRESSES: Final = 64


@dataclass(frozen=True, slots=True)
class DatagramRoute:
    """Route to a destination: one of its addresses.

    Attributes:
        endpoint: the family, and what ``sendto`` takes.
        local: the IP address of this machine on the way there; None for a UNIX socket.
    """

    endpoint: Endpoint
    local: str | None

    @property
    def is_here(self) -> bool:
        """True if it does not leave this machine."""
        where = self.endpoint[1]
        if self.local is None or isinstance(where, bytes):
            return True
        return ip_of(self.local) == ip_of(where[0])


class Destination:
    """Destination as configured.

    Attributes:
        text: as configured.
        address: what that means.
        routes: where datagrams go now; () while its name has no answer.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.address: Address = parse_datagram_address(text)
        self.routes: tuple[DatagramRoute, ...] = ()

    def __repr__(self) -> str:
        return f"<Destination {self.text} routes={len(self.routes)}>"


class Destinations:
    """Destinations of one kind.

    Args:
        option: the option that names them, for the log.
        texts: the addresses.
        loop: the event loop.
        is_own: tells the addresses that this program listens on: nothing is sent there.
        bound: sockets to send from, at most one of each family; for other families there is one
            with a port that the kernel chooses, and keeps.
        ttl: seconds for which the addresses of a name are used.
        look_ups: ask the system for names; closed with the destinations.
    """

    def __init__(
        self,
        option: str,
        texts: Sequence[str],
        loop: asyncio.AbstractEventLoop,
        *,
        is_own: Callable[[Address], bool],
        bound: Sequence[socket.socket] = (),
        ttl: float = TTL,
        look_ups: LookUps | None = None,
    ) -> None:
        self._look_ups = look_ups or LookUps(loop)
        self._ttl = ttl
        self._option = option
        self._destinations = tuple(map(Destination, dict.fromkeys(texts)))
        self._loop = loop
        self._is_own = is_own
        self._bound: dict[int, socket.socket] = {sock.family: sock for sock in reversed(bound)}
        self._opened: dict[int, socket.socket] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._limited = RateLimited(log, per_second=1 / QUIET)

    def __repr__(self) -> str:
        return f"<Destinations {self._option} {list(self._destinations)}>"

    def __iter__(self) -> Iterator[Destination]:
        """Yield each destination."""
        return iter(self._destinations)

    def start(self) -> None:
        """Start resolving names, and resolve them again every ``ttl`` seconds."""
        for destination in self._destinations:
            where = endpoint(destination.address)
            if where is not None:
                self._found(destination, [where])
            self._tasks.append(self._loop.create_task(self._follow(destination)))

    def close(self) -> None:
        """Send no more."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self._look_ups.close()
        for sock in self._opened.values():
            sock.close()
        self._opened.clear()

    def send(self, destination: Destination, route: DatagramRoute, datagram: bytes) -> None:
        """Send one datagram to one address, or note why that is impossible."""
        family, where = route.endpoint
        try:
            self._socket(family).sendto(datagram, where)
        except OSError as exc:
            self.trouble(destination, exc.strerror or str(exc))

    def trouble(self, destination: Destination, reason: str) -> None:
        """Log why something does not get there, unless that was said a moment ago."""
        self._limited.warning(
            destination.text, "%s = %s: not passed on: %s", self._option, destination.text, reason
        )

    def _socket(self, family: int) -> socket.socket:
        sock = self._bound.get(family) or self._opened.get(family)
        if sock is None:
            kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            sock = self._opened[family] = socket.socket(family, kind)
        return sock

    async def _follow(self, destination: Destination) -> None:
        while True:
            where = endpoint(destination.address)
            if where is None:
                await self._look_up(destination)
                await asyncio.sleep(self._ttl)
            else:
                await asyncio.sleep(self._ttl)
                # The way there may have changed.
                self._found(destination, [where])

    async def _look_up(self, destination: Destination) -> None:
        address = destination.address
        assert isinstance(address, InetAddress)
        try:
            found = await self._look_ups.look_up(address, socket.SOCK_DGRAM)
        except OSError as exc:
            # Where it was, it may still be: names fail for a while.
            self.trouble(destination, f"its name can't be resolved: {exc}")
            return
        self._found(destination, [ip_endpoint(host, address.port) for host in found])

    def _found(self, destination: Destination, endpoints: Sequence[Endpoint]) -> None:
        routes: list[DatagramRoute] = []
        reason = "it has no address"
        for family, where in endpoints[:MAX_ADDRESSES]:
            if isinstance(where, bytes):
                if self._is_own(UnixAddress(where)):
                    reason = "it is this router itself"
                else:
                    routes.append(DatagramRoute((family, where), None))
                continue
            if self._is_own(InetAddress(*where)):
                reason = "it is this router itself"
                continue
            try:
                routes.append(DatagramRoute((family, where), local_address((family, where))))
            except OSError as exc:
                reason = exc.strerror or str(exc)
        if not routes:
            self.trouble(destination, reason)
        # An address of each family is mostly one machine, which is to be told once.
        ipv4 = [route for route in routes if route.endpoint[0] == socket.AF_INET]
        destination.routes = tuple(ipv4 or routes)
