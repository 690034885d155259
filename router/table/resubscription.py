"""Resubscription: announces this router to other routers, as the node of all its keys."""

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.address import Address, InetAddress, UnixAddress
from uwsgi_router.protocol.subscription import Proto, Subscription, SubscriptionError, encode
from uwsgi_router.router.net.destinations import DatagramRoute, Destination, Destinations
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.subscriptions.adverts import Advert, Adverts
from uwsgi_router.subscriptions.events import Event
from uwsgi_router.subscriptions.node_address import ip_of

#: Seconds between two batches, and keys in one: a receiver's buffer holds some 250 datagrams.
STEP: Final = 0.02
BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class Announced:
    """Router as other routers are told of it: its listeners and protocol.

    Attributes:
        listeners: where it takes requests; in each direction the first one that leads here is told.
        proto: what it speaks there.
    """

    listeners: tuple[Address, ...]
    proto: Proto = "uwsgi"

    @classmethod
    def of(cls, bound: Iterable[BoundSocket], proto: Proto) -> "Announced":
        """Return the description of listening sockets for other routers."""
        return cls(tuple(_address_of(one) for one in bound), proto)

    def address_for(self, route: DatagramRoute) -> str | None:
        """Return the address that leads here from the other end of ``route``; None if none does."""
        for listener in self.listeners:
            found = _seen_from(route, listener)
            if found is not None:
                return found
        return None


class Resubscription:
    """Resubscription of a router at other routers.

    Args:
        adverts: what they are to be told.
        destinations: where they are; started and closed with this.
        announced: what this router is.
        loop: the event loop.
    """

    def __init__(
        self,
        adverts: Adverts,
        destinations: Destinations,
        announced: Announced,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._adverts = adverts
        self._destinations = destinations
        self._announced = announced
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Resubscription {self._adverts!r} {self._destinations!r}>"

    def start(self) -> None:
        """Begin."""
        self._destinations.start()
        self._arm(STEP)

    def note(self, events: Iterable[Event]) -> None:
        """Note events of the table."""
        if self._adverts.note(events):
            self._arm(STEP)

    def close(self) -> None:
        """Send nothing more; the others find out by themselves."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._destinations.close()

    async def withdraw(self) -> None:
        """Withdraw this router for all keys; to be called before it takes no more requests."""
        keys = self._adverts.withdraw()
        for first in range(0, len(keys), BATCH):
            for key in keys[first : first + BATCH]:
                self._tell(key, None)
            await asyncio.sleep(STEP / 4)

    def _arm(self, delay: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= self._loop.time() + delay:
                return
            self._timer.cancel()
        self._timer = self._loop.call_later(delay, self._step)

    def _step(self) -> None:
        self._timer = None
        now = self._loop.time()
        # Of very many keys more at once, or a round would take longer than an interval.
        batch = max(BATCH, round(2 * len(self._adverts) * STEP / self._adverts.interval))
        for key, advert in self._adverts.take(now, batch):
            self._tell(key, advert)
        due = self._adverts.due(now)
        if due is not None:
            self._arm(max(STEP, due))

    def _tell(self, key: bytes, advert: Advert | None) -> None:
        datagrams: dict[str, bytes] = {}
        for destination in self._destinations:
            for route in destination.routes:
                address = self._announced.address_for(route)
                if address is None:
                    self._destinations.trouble(
                        destination, "no address that this router listens on leads here from there"
                    )
                    continue
                if address not in datagrams:
                    datagram = self._datagram(key, address, advert, destination)
                    if datagram is None:
                        continue
                    datagrams[address] = datagram
                self._destinations.send(destination, route, datagrams[address])

    def _datagram(
        self, key: bytes, address: str, advert: Advert | None, destination: Destination
    ) -> bytes | None:
        try:
            return encode(_subscription(key, address, advert, self._announced.proto))
        except SubscriptionError as exc:
            self._destinations.trouble(destination, str(exc))
            return None


def _subscription(key: bytes, address: str, advert: Advert | None, proto: Proto) -> Subscription:
    if advert is None:
        return Subscription("unsubscribe", key, address, proto=proto)
    sni = advert.sni
    ca = None if sni is None or sni.ca is None else b"!" * sni.ca_required + sni.ca
    return Subscription(
        "subscribe",
        key,
        address,
        modifier1=advert.modifier1,
        modifier2=advert.modifier2,
        weight=advert.weight,
        backup=advert.backup,
        proto=proto,
        via=advert.via,
        sni_key=None if sni is None else sni.key,
        sni_crt=None if sni is None else sni.crt,
        sni_ca=ca,
    )


def _address_of(bound: BoundSocket) -> Address:
    name = bound.sock.getsockname()
    if isinstance(name, tuple):
        return InetAddress(name[0], name[1])
    path = os.fsencode(name)
    return UnixAddress(path if path.startswith(b"\0") else os.path.abspath(path))


def _seen_from(route: DatagramRoute, listener: Address) -> str | None:
    """Return the address by which the other end of ``route`` reaches a listener, if it does."""
    if isinstance(listener, UnixAddress):
        return str(listener) if route.is_here else None
    ip = ip_of(listener.host)
    assert ip is not None
    if not ip.is_unspecified:
        return str(listener) if route.is_here or not ip.is_loopback else None
    local = None if route.local is None else ip_of(route.local)
    if local is None or (ip.version == 4 and local.version == 6):
        # [::] takes IPv4 too, 0.0.0.0 takes no IPv6.
        return f"127.0.0.1:{listener.port}" if route.is_here else None
    return str(InetAddress(str(local), listener.port))


def announced_by(groups: Sequence[tuple[Proto, Sequence[BoundSocket]]]) -> Announced | None:
    """Return the description of a table's routers for others; None if none of them listens.

    Args:
        groups: of each router, what it speaks and where it listens.
    """
    for wanted in ("uwsgi", "http"):
        for proto, bound in groups:
            if proto == wanted and bound:
                # A fastrouter first: uWSGI's routers take every node for one that speaks uwsgi.
                return Announced.of(bound, proto)
    return None
