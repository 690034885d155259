"""Adverts for resubscription: which keys and nodes other routers are told of (uWSGI: plugins/corerouter/cr_common.c).

uWSGI passes on every datagram that it hears, refused ones too, and says "gone" for all when one node
leaves; two routers that pass announces on to each other exchange one datagram for ever. Here the
table is what is told: a key while it has a node that lives, once an interval, and at once when that
begins, ends, or goes another way.

Each advert names the routers that it came through (``via``). A router that finds itself there knows
that its own nodes are meant, and takes them from nobody. An advert is also of a higher backup level
than the nodes behind it, so that a request is passed on to another router only if no nearer node is
left, and never back and forth.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Final

from uwsgi_router.protocol.subscription import MAX_COUNT, MAX_VIA, MAX_WEIGHT
from uwsgi_router.subscriptions.events import Event, NodeRefreshed
from uwsgi_router.subscriptions.node import EJECTED, UNHEALTHY, SubscribedNode
from uwsgi_router.subscriptions.pool import NodePool
from uwsgi_router.subscriptions.registry import Registry
from uwsgi_router.subscriptions.sni import Sni

#: Seconds between two adverts of a key, as between two announces of a uWSGI node.
INTERVAL: Final = 10.0
#: A key's way is told anew at most once in so many seconds: where many routers pass on to many, ways
#: change several times before all agree.
SETTLE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Advert:
    """Announce of one key to other routers. Modifiers, weight and level are those of :class:`Subscription`.

    Attributes:
        via: the routers that it came through, this one last.
        sni: what TLS for the key needs.
    """

    modifier1: int
    modifier2: int
    weight: int
    backup: int
    via: tuple[bytes, ...]
    sni: Sni | None


def advert(pool: NodePool, router: bytes) -> Advert | None:
    """Return the advert of a pool; None if nothing of it lives.

    The nearest nodes decide: those that came through the fewest routers, of these the ones of the
    lowest backup level. Their weights are added up.

    Args:
        pool: the nodes.
        router: this router.
    """
    living = [node for node in pool.nodes if node.rank <= EJECTED]
    if not living:
        return None
    near = min(map(_distance, living))
    if near[0] >= MAX_VIA:
        return None
    nearest = [node for node in living if _distance(node) == near]
    first = nearest[0]
    return Advert(
        first.modifier1,
        first.modifier2,
        min(sum(node.weight for node in nearest), MAX_WEIGHT),
        min(first.backup + 1, MAX_COUNT),
        (*first.via, router),
        pool.sni,
    )


def _distance(node: SubscribedNode) -> tuple[int, int]:
    return len(node.via), node.backup


@dataclass(slots=True)
class _Told:
    way: tuple[int, tuple[bytes, ...]]
    at: float
    # When it was told last that it goes another way than before.
    changed: float


class Adverts:
    """Schedule of adverts: which are due when.

    A key whose nodes are all stale, or fail their checks, is neither told nor withdrawn: for the
    other routers this one then becomes stale for it.

    Args:
        registry: the table.
        router: this router.
        interval: see below.

    Attributes:
        interval: seconds between two adverts of a key.
    """

    def __init__(self, registry: Registry, router: bytes, interval: float = INTERVAL) -> None:
        self._registry = registry
        self._router = router
        self.interval = interval
        self._changed: dict[bytes, None] = dict.fromkeys(registry.pools)
        # In the order in which they were told last.
        self._told: OrderedDict[bytes, _Told] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Adverts told={len(self._told)} changed={len(self._changed)}>"

    def __len__(self) -> int:
        """Return the number of keys that are told."""
        return len(self._told)

    def note(self, events: Iterable[Event]) -> bool:
        """Note events of the table; return True if there may be something to tell."""
        for event in events:
            if not isinstance(event, NodeRefreshed) or event.revived or event.rerouted:
                self._changed[event.key] = None
        return bool(self._changed)

    def take(self, now: float, limit: int) -> list[tuple[bytes, Advert | None]]:
        """Return the adverts that are due: keys and adverts, or None for a key that is gone.

        Args:
            now: the time.
            limit: so many at most; the others next time.
        """
        found: list[tuple[bytes, Advert | None]] = []
        for key in list(self._changed):
            if len(found) >= limit:
                return found
            told = self._told.get(key)
            current = self._current(key)
            if told is not None and current is not None and _way(current) != told.way:
                if now - told.changed < SETTLE:
                    continue
            elif told is not None and (current is not None or self._is_stale(key)):
                del self._changed[key]
                continue
            del self._changed[key]
            if told is not None or current is not None:
                found.append((key, self._tell(key, current, now)))
        for _ in range(min(len(self._told), limit - len(found))):
            key, told = next(iter(self._told.items()))
            if now - told.at < self.interval:
                break
            current = self._current(key)
            if current is None and self._is_stale(key):
                told.at = now
                self._told.move_to_end(key)
            else:
                found.append((key, self._tell(key, current, now)))
        return found

    def due(self, now: float) -> float | None:
        """Return in how many seconds there may be something to take; None: not before events."""
        if self._changed:
            return 0.0
        for told in self._told.values():
            return max(0.0, told.at + self.interval - now)
        return None

    def withdraw(self) -> list[bytes]:
        """Return all keys that were told; the router ends."""
        told = list(self._told)
        self._told.clear()
        self._changed.clear()
        return told

    def _tell(self, key: bytes, current: Advert | None, now: float) -> Advert | None:
        if current is None:
            del self._told[key]
        else:
            way, before = _way(current), self._told.pop(key, None)
            changed = -inf if before is None else before.changed
            if before is not None and before.way != way:
                changed = now
            self._told[key] = _Told(way, now, changed)
        return current

    def _current(self, key: bytes) -> Advert | None:
        pool = self._registry.pools.get(key)
        return None if pool is None else advert(pool, self._router)

    def _is_stale(self, key: bytes) -> bool:
        pool = self._registry.pools.get(key)
        return pool is not None and any(node.stale or node.rank == UNHEALTHY for node in pool.nodes)


def _way(current: Advert) -> tuple[int, tuple[bytes, ...]]:
    return current.backup, current.via
