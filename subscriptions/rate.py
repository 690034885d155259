"""Rate limit for datagrams: a token bucket for each sender."""

import ipaddress
from collections.abc import Hashable, Iterator
from typing import Final

from uwsgi_router.protocol.bounded import Bounded
from uwsgi_router.subscriptions.node_address import ip_of
from uwsgi_router.subscriptions.sender import Sender

#: A sender that was quiet may send so many seconds' worth at once: all nodes of a host start together.
BURST: Final = 10.0
#: But no more than so many, unless more are allowed each second: what is dropped is announced again.
MOST_AT_ONCE: Final = 2_000


class RateLimit:
    """Rate limit: a token bucket of datagrams for each source.

    A source that is forgotten because there are too many of them begins with a full bucket: a flood from
    forged addresses can't take anything away from the others.

    Args:
        per_second: datagrams that each source may send; 0: any number.
        max_sources: how many are remembered.
    """

    __slots__ = ("_buckets", "_full", "_per_second")

    def __init__(self, per_second: float, *, max_sources: int = 10_000) -> None:
        self._per_second = per_second
        self._full = max(per_second, min(per_second * BURST, MOST_AT_ONCE))
        # source -> (datagrams left, when that was so); who was heard last stands last.
        self._buckets: Bounded[Hashable, tuple[float, float]] = Bounded(max_sources)

    def __len__(self) -> int:
        return len(self._buckets)

    def items(self) -> Iterator[tuple[str, str | int | None, float, float]]:
        """Yield of each source its kind, itself, the datagrams that it has left, and when that was so.

        What changes meanwhile may be left out or not.
        """
        for source, (left, since) in list(self._buckets.items()):
            if isinstance(source, tuple):
                yield source[0], source[1], left, since
            else:
                yield "ip", str(source), left, since

    def adopt(self, kind: str, source: str | int | None, left: float, since: float) -> None:
        """Take in a source as :meth:`items` told of it; what is none is passed over."""
        if kind == "ip":
            ip = ip_of(source) if isinstance(source, str) else None
            if ip is not None:
                self._buckets[ip] = min(left, self._full), since
        elif kind in {"net", "uid"} and not isinstance(source, str):
            self._buckets[kind, source] = min(left, self._full), since

    def allows(self, sender: Sender, now: float) -> bool:
        """Count a datagram; False if it is one too many."""
        if not self._per_second:
            return True
        source = source_of(sender)
        full = self._full
        left, since = self._buckets.get(source, (full, now))
        left = min(full, left + (now - since) * self._per_second)
        allowed = left >= 1
        self._buckets[source] = (left - 1 if allowed else left), now
        self._buckets.move_to_end(source)
        return allowed


def source_of(sender: Sender) -> Hashable:
    """Return what counts as one source: an IPv4 address, an IPv6 network of 64 bits, a user."""
    ip = sender.ip
    if isinstance(ip, ipaddress.IPv6Address):
        return "net", int(ip) >> 64
    if ip is not None:
        return ip
    return "uid", None if sender.credentials is None else sender.credentials.uid
