"""Limits of connections: how many clients a router serves at once, and how many connections one address may have."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

_NO_LIMIT: Final = 1 << 62


@lru_cache(maxsize=4096)
def source_of(host: str) -> str:
    """Return what counts as one client: an IPv4 address, an IPv6 network of 64 bits."""
    if ":" not in host:
        return host
    try:
        return f"{int(IPv6Address(host)) >> 64:x}:"
    except ValueError:
        return host


class ConnectionLimits:
    """Limits of the connections of one router.

    Clients are told apart only while there are as many connections as one of them may have: below that nothing is
    counted, so that a connection costs nothing more.

    Args:
        total: connections at once; 0: any number.
        per_client: of one client; 0: any number.
        is_proxy: tells addresses that many clients come over, which have no limit of their own; the second argument
            is True for one that a PROXY header told.

    Attributes:
        counting: clients are told apart: each connection that comes and leaves has to be told.
        least: with fewer connections than these no limit can be reached.
        per_client: see above.
        total: see above.
    """

    __slots__ = ("_counts", "_is_proxy", "counting", "least", "per_client", "total")

    def __init__(self, total: int, per_client: int, is_proxy: Callable[[str, bool], bool]) -> None:
        self.total = total or _NO_LIMIT
        self.per_client = per_client or _NO_LIMIT
        self.least = min(self.total, self.per_client)
        self._is_proxy = is_proxy
        self.counting = False
        self._counts: dict[str, int] = {}

    def begin(self, hosts: Iterable[str]) -> None:
        """Begin to tell clients apart; ``hosts`` has one for each connection."""
        self.counting = True
        for host in hosts:
            self.came(host)

    def came(self, host: str) -> None:
        """Count a connection."""
        if self.counting:
            counts, source = self._counts, source_of(host)
            counts[source] = counts.get(source, 0) + 1

    def left(self, host: str, remaining: int) -> None:
        """Count a connection off; so many remain."""
        if not self.counting:
            return
        if remaining < self.per_client // 2:
            self.counting = False
            self._counts.clear()
            return
        counts, source = self._counts, source_of(host)
        counts[source] -= 1
        if not counts[source]:
            del counts[source]

    def has_room(self, host: str, *, told: bool = False) -> bool:
        """Return True if this client, which a PROXY header may have told, may have one more connection."""
        if not self.counting or self._is_proxy(host, told):
            return True
        return self._counts.get(source_of(host), 0) < self.per_client
