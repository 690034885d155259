"""Nodes: the processes that requests are sent to, and how they take connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from protocol.address import Address
from protocol.subscription import Proto, Subscription

if TYPE_CHECKING:
    from subscriptions.pool import NodePool

#: In which order nodes are chosen: one of a later standing only if there is none of an earlier.
READY: Final = 0
DOUBTFUL: Final = 1
SILENT: Final = 2
DEAD: Final = 3


class Node:
    """One upstream process, announced or configured: all that a request needs to know of it.

    Whoever connects reports it: :meth:`connect_started`, perhaps :meth:`connect_slow`, then exactly
    one of :meth:`connected`, :meth:`connect_failed` (for a :class:`SubscribedNode` only through
    ``Registry.connect_failed``) and :meth:`connect_abandoned`. From these follows who is chosen
    last (DESIGN 4, Connecting): a node is *doubtful* while a connect to it is under way and

    * a connect under way has been unanswered for a second (``slow``), or
    * an earlier one had not been answered in time, and none has succeeded since (``suspect``): the
      one under way is a trial, and another request comes here only if it has nowhere else to go.

    A black-holed node that keeps announcing itself thus costs one waiting request per announce.

    Attributes:
        name: as announced or configured: for stats, logs and comparison.
        address: where to connect.
        modifier1: what requests to it carry, 0 to 255.
        modifier2: likewise.
        proto: what it speaks.
        reference: exchanges that hold it now; a holder counts itself in and out.
        requests: successful connects, and further requests on connections that were kept.
        rx: bytes written to it.
        tx: bytes read from it.
        failcnt: failed connects; for an announced node also unsubscribes and falling silent.
        connecting: connects under way.
        slow: one of these has been unanswered for a second.
        suspect: a connect had not been answered in time, and none has succeeded since.
    """

    __slots__ = (
        "address",
        "connecting",
        "failcnt",
        "modifier1",
        "modifier2",
        "name",
        "proto",
        "reference",
        "requests",
        "rx",
        "slow",
        "suspect",
        "tx",
    )

    def __init__(
        self,
        name: str,
        address: Address,
        *,
        modifier1: int = 0,
        modifier2: int = 0,
        proto: Proto = "uwsgi",
    ) -> None:
        self.name = name
        self.address = address
        self.modifier1 = modifier1
        self.modifier2 = modifier2
        self.proto: Proto = proto
        self.reference = 0
        self.requests = 0
        self.rx = 0
        self.tx = 0
        self.failcnt = 0
        self.connecting = 0
        self.slow = False
        self.suspect = False

    def __repr__(self) -> str:
        words = [
            type(self).__name__,
            self.name,
            f"ref={self.reference}",
            f"requests={self.requests}",
            f"failcnt={self.failcnt}",
            *self._marks(),
        ]
        return f"<{' '.join(words)}>"

    def _marks(self) -> list[str]:
        return [word for word in ("connecting", "slow", "suspect") if getattr(self, word)]

    @property
    def doubtful(self) -> bool:
        """True if it is to be chosen after all others that live."""
        return self.connecting > 0 and (self.slow or self.suspect)

    def connect_started(self) -> None:
        """A connect is under way."""
        self.connecting += 1
        if self.suspect:
            self.standing_changed()

    def connect_slow(self) -> None:
        """A connect under way has been unanswered for a second."""
        self.slow = True
        self.standing_changed()

    def connected(self) -> None:
        """A connect succeeded: the node answers."""
        self.connecting -= 1
        self.requests += 1
        if self.slow or self.suspect:
            self.slow = self.suspect = False
            self.standing_changed()

    def used_again(self) -> None:
        """A connection that was kept takes another request."""
        self.requests += 1

    def connect_failed(self, *, timed_out: bool) -> None:
        """A connect was refused, or not answered in time; not: this machine ran out of something.

        A refusal that took more than a second counts as unanswered: "no route to host" comes from
        our own machine, after three seconds in which nobody answered.
        """
        self.connecting -= 1
        self.failcnt += 1
        self.suspect = self.suspect or timed_out or self.slow
        self.slow = False
        self.standing_changed()

    def connect_abandoned(self) -> None:
        """A connect was given up for a reason that says nothing against the node.

        The client went away, the node was busy, or this machine ran out of something. If the
        connect had been unanswered for a second, that much is still known, and the next is a trial.
        """
        self.connecting -= 1
        if self.slow and not self.connecting:
            self.slow = False
            self.suspect = True
        if self.suspect:
            self.standing_changed()

    def standing_changed(self) -> None:
        """Called when the node may have become, or ceased to be, doubtful.

        For whoever keeps nodes in the order in which they are to be chosen.
        """


class SubscribedNode(Node):
    """A node that announced itself; changed only by the registry, but for what a Node is told.

    Attributes:
        pool: the nodes of the same key.
        order: its place among all nodes ever announced, for ties.
        last_seen: when it last announced itself, on the loop's clock.
        last_requests: successful connects since then.
        cores: as announced; shown only.
        load: as announced; shown only.
        weight: share of the traffic, at least 1.
        backup: nodes of a higher level serve only while there are none of a lower.
        vassal: its name under an Emperor.
        wrr: what is left to it of the current round (see subscriptions.balancing).
        death_mark: it failed, left or fell silent. Without ``silent`` it is never chosen.
        silent: the mark only says that it was not heard of for too long: it is the last resort.
        pid, uid, gid: the sender's credentials; 0 as long as nobody asks the kernel for them.
    """

    __slots__ = (
        "backup",
        "cores",
        "death_mark",
        "gid",
        "last_requests",
        "last_seen",
        "load",
        "order",
        "pid",
        "pool",
        "silent",
        "uid",
        "vassal",
        "weight",
        "wrr",
    )

    def __init__(self, name: str, address: Address, pool: NodePool, *, order: int) -> None:
        super().__init__(name, address)
        self.pool = pool
        self.order = order
        self.last_seen = 0.0
        self.last_requests = 0
        self.cores = 0
        self.load = 0
        self.weight = 1
        self.backup = 0
        self.vassal: bytes | None = None
        self.wrr = 0
        self.death_mark = False
        self.silent = False
        self.pid = 0
        self.uid = 0
        self.gid = 0

    def _marks(self) -> list[str]:
        marks = super()._marks()
        if self.silent:
            marks.append("silent")
        elif self.death_mark:
            marks.append("dead")
        return marks

    @property
    def standing(self) -> int:
        """READY, DOUBTFUL, SILENT or DEAD."""
        if self.death_mark:
            return SILENT if self.silent else DEAD
        return DOUBTFUL if self.doubtful else READY

    def announced(self, subscription: Subscription, now: float) -> None:
        """Take over what an announce says; it lives. Counters survive (sheet 3.2)."""
        self.modifier1 = subscription.modifier1
        self.modifier2 = subscription.modifier2
        self.proto = subscription.proto
        self.cores = subscription.cores
        self.load = subscription.load
        self.vassal = subscription.vassal
        self.last_seen = now
        self.last_requests = 0
        standing = (self.death_mark, self.weight, self.backup)
        self.weight = subscription.weight
        self.backup = subscription.backup
        self.death_mark = self.silent = False
        if standing != (False, self.weight, self.backup):
            self.standing_changed()

    def connected(self) -> None:
        """A connect succeeded: the node answers."""
        super().connected()
        self.last_requests += 1

    def used_again(self) -> None:
        """A connection that was kept takes another request."""
        super().used_again()
        self.last_requests += 1

    def standing_changed(self) -> None:
        """Have the pool sort its nodes anew before the next choice."""
        self.pool.resort()
