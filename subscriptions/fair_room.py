"""Fair room: what is left of the table when it fills up is for sources and networks that have little of it."""

from collections.abc import Hashable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from uwsgi_router.subscriptions.node_address import ip_of

# The last quarter is for sources that have less than a 64th, the last eighth for networks that have less than a 16th.
_RESERVED: Final = 4
_SOURCE: Final = 64
_RESERVED_FOR_NETWORKS: Final = 8
_NETWORK: Final = 16
# Tables that are smaller than this are filled by whoever comes first.
_SMALLEST: Final = 64


@dataclass(frozen=True, slots=True)
class Place:
    """Place in the network that a node was announced from.

    Attributes:
        source: an IPv4 address, an IPv6 network of 64 bits, a user of this machine.
        network: the network of 24 or 48 bits around it; all of the loopback is one. A user is a network of its own.
    """

    source: Hashable
    network: Hashable


def place_of(source: str | None, uid: int | None) -> Place:
    """Return the place of a sender: of its IP address, or of its user over a UNIX socket."""
    ip = None if source is None else ip_of(source)
    if ip is None:
        user = "uid", uid
        return Place(user, user)
    number = int(ip)
    if isinstance(ip, IPv4Address):
        return Place((32, number), "loopback" if ip.is_loopback else (24, number >> 8))
    return Place((64, number >> 64), "loopback" if ip.is_loopback else (48, number >> 80))


def share_of_source(limit: int, used: int) -> int | None:
    """Return how much each source may have when so much of ``limit`` is used; None: as much as there is."""
    if limit < _SMALLEST or limit - used > limit // _RESERVED:
        return None
    return limit // _SOURCE


def share_of_memory(limit: int) -> int:
    """Return how much of what is remembered may be of one source: what it adds beyond that replaces its own."""
    return limit if limit < _SMALLEST else limit // _RESERVED


class FairRoom:
    """Room for keys, or for nodes.

    Nothing is taken away from anybody: only who comes when the room is nearly full may be refused.

    Args:
        limit: of all.
        what: they are, in the plural.
    """

    __slots__ = ("_limit", "_networks", "_sources", "_what", "used")

    def __init__(self, limit: int, what: str) -> None:
        self._limit = limit
        self._what = what
        self.used = 0
        self._sources: dict[Hashable, int] = {}
        self._networks: dict[Hashable, int] = {}

    def refusal(self, place: Place, *, shared: bool) -> str:
        """Return the reason why a place gets no more; "": it does.

        Args:
            place: it.
            shared: what is left when the room is nearly full is for those who have little of it.
        """
        limit, used = self._limit, self.used
        if used >= limit:
            return f"the table holds {limit} {self._what}"
        share = share_of_source(limit, used) if shared else None
        if share is None:
            return ""
        has = self._sources.get(place.source, 0)
        if has >= share:
            return (
                f"its sender has {has} {self._what}, and the last quarter of {limit} is for others"
            )
        has = self._networks.get(place.network, 0)
        if limit - used <= limit // _RESERVED_FOR_NETWORKS and has >= limit // _NETWORK:
            return f"its sender's network has {has} {self._what}, and the last eighth of {limit} is for others"
        return ""

    def take(self, place: Place) -> None:
        """Count one more."""
        self.used += 1
        self._sources[place.source] = self._sources.get(place.source, 0) + 1
        self._networks[place.network] = self._networks.get(place.network, 0) + 1

    def give_back(self, place: Place) -> None:
        """Count one less."""
        self.used -= 1
        for counts, key in ((self._sources, place.source), (self._networks, place.network)):
            counts[key] -= 1
            if not counts[key]:
                del counts[key]
