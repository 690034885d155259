"""Nodes: the processes that requests are sent to, and how they take connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from uwsgi_router.protocol.address import Address
from uwsgi_router.protocol.subscription import Proto, Subscription
from uwsgi_router.subscriptions.traffic import Traffic

if TYPE_CHECKING:
    from uwsgi_router.subscriptions.grant import Grant
    from uwsgi_router.subscriptions.sender import Credentials
    from uwsgi_router.subscriptions.sni import Sni

#: In which order nodes are chosen: one of a later standing only if there is none of an earlier; of
#: DRAINED and later ones none ever.
READY: Final = 0
DOUBTFUL: Final = 1
RESTING: Final = 2
SILENT: Final = 3
DRAINED: Final = 4
UNHEALTHY: Final = 5
DEAD: Final = 6

_STATES: Final = {
    READY: "ready",
    DOUBTFUL: "doubtful",
    RESTING: "resting",
    SILENT: "silent",
    DRAINED: "drained",
    UNHEALTHY: "unhealthy",
    DEAD: "dead",
}


class Node(Traffic):
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
        failcnt: failed connects; for an announced node also unsubscribes and falling silent.
        connecting: connects under way.
        slow: one of these has been unanswered for a second.
        suspect: a connect had not been answered in time, and none has succeeded since.
        socket_owner: user to whom its UNIX socket must belong when it is connected; None: to
            anybody.
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
        "slow",
        "socket_owner",
        "suspect",
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
        super().__init__()
        self.name = name
        self.address = address
        self.modifier1 = modifier1
        self.modifier2 = modifier2
        self.proto: Proto = proto
        self.reference = 0
        self.requests = 0
        self.failcnt = 0
        self.connecting = 0
        self.slow = False
        self.suspect = False
        self.socket_owner: int | None = None

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

    @property
    def takes_requests(self) -> bool:
        """False if no request may be sent to the node, even as a last resort."""
        return True

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

    Args:
        name: see :class:`Node`.
        address: see :class:`Node`.
        key: that it announced.
        changed: called when its place in the order of choice may have changed.
        order: its place among all nodes ever announced.

    Attributes:
        key: that it announced.
        removed: it is not in the table any more.
        order: its place among all nodes ever announced, for ties.
        last_seen: when it last announced itself, on the loop's clock.
        last_requests: successful connects since then.
        cores: as announced; shown only.
        load: as announced; shown only.
        weight: share of the traffic, at least 1: the one that was set, else the announced one.
        announced_weight: what it announced.
        set_weight: what the operator set; None: nothing.
        drained: the operator wants it to get no new requests.
        backup: nodes of a higher level serve only while there are none of a lower.
        vassal: its name under an Emperor.
        wrr: what is left to it of the current round (see subscriptions.balancing).
        death_mark: it failed, left or fell silent. Without ``silent`` it is never chosen.
        silent: the mark only says that it was not heard of for too long: it is the last resort.
        pid, uid, gid: the sender's credentials; 0 for those that came over UDP.
        owner: the user whose node it is: nobody else may change it. None: whoever passes the
            checks may.
        credentials: the sender's, None if nobody vouches for it.
        source: the IP address that its last datagram came from; None over a UNIX socket.
        via: the routers that passed its announce on; (): it announced itself.
        sni: what TLS for its key needs, if it announced that.
        check_failure: why its checks fail, in our words; "": they don't, or there are none.
        fails: requests that it failed in a row (see subscriptions.health).
        rest: seconds of its last rest since it answered last; 0: there was none.
        resting: it rests now.
    """

    __slots__ = (
        "_changed",
        "announced_weight",
        "backup",
        "check_failure",
        "cores",
        "credentials",
        "death_mark",
        "drained",
        "fails",
        "gid",
        "key",
        "last_requests",
        "last_seen",
        "load",
        "order",
        "owner",
        "pid",
        "removed",
        "rest",
        "resting",
        "set_weight",
        "silent",
        "sni",
        "source",
        "uid",
        "vassal",
        "via",
        "weight",
        "wrr",
    )

    def __init__(
        self, name: str, address: Address, key: bytes, changed: Callable[[], None], *, order: int
    ) -> None:
        super().__init__(name, address)
        self.key = key
        self._changed = changed
        self.removed = False
        self.order = order
        self.last_seen = 0.0
        self.last_requests = 0
        self.cores = 0
        self.load = 0
        self.weight = 1
        self.announced_weight = 1
        self.set_weight: int | None = None
        self.drained = False
        self.backup = 0
        self.vassal: bytes | None = None
        self.wrr = 0
        self.death_mark = False
        self.silent = False
        self.pid = 0
        self.uid = 0
        self.gid = 0
        self.owner: int | None = None
        self.credentials: Credentials | None = None
        self.source: str | None = None
        self.via: tuple[bytes, ...] = ()
        self.sni: Sni | None = None
        self.check_failure = ""
        self.fails = 0
        self.rest = 0.0
        self.resting = False

    def _marks(self) -> list[str]:
        marks = super()._marks()
        if self.silent:
            marks.append("silent")
        elif self.death_mark:
            marks.append("dead")
        if self.drained:
            marks.append("drained")
        if self.check_failure:
            marks.append("unhealthy")
        if self.resting:
            marks.append("resting")
        return marks

    @property
    def standing(self) -> int:
        """READY, DOUBTFUL, RESTING, SILENT, DRAINED, UNHEALTHY or DEAD."""
        if self.death_mark and not self.silent:
            return DEAD
        if self.drained:
            return DRAINED
        if self.check_failure:
            return UNHEALTHY
        if self.silent:
            return SILENT
        if self.resting:
            return RESTING
        return DOUBTFUL if self.doubtful else READY

    @property
    def takes_requests(self) -> bool:
        """False if it is drained, unhealthy or dead."""
        return self.standing < DRAINED

    @property
    def state(self) -> str:
        """The standing in a word, for people."""
        return _STATES[self.standing]

    def announced(self, subscription: Subscription, now: float) -> None:
        """Take over what an announce says; it lives. Counters survive (sheet 3.2)."""
        self.modifier1 = subscription.modifier1
        self.modifier2 = subscription.modifier2
        self.proto = subscription.proto
        self.cores = subscription.cores
        self.load = subscription.load
        self.vassal = subscription.vassal
        self.via = subscription.via
        self.last_seen = now
        self.last_requests = 0
        standing = (self.death_mark, self.weight, self.backup)
        self.announced_weight = subscription.weight
        self.weight = self.announced_weight if self.set_weight is None else self.set_weight
        self.backup = subscription.backup
        self.death_mark = self.silent = False
        if standing != (False, self.weight, self.backup):
            self.standing_changed()

    def weigh(self, weight: int | None) -> None:
        """Set its weight, whatever it announces; None: what it announces counts again."""
        self.set_weight = weight
        self.weight = self.announced_weight if weight is None else weight
        self.standing_changed()

    def granted(self, grant: Grant) -> None:
        """Take over what is known of the sender of an announce; its owner is the node's already."""
        self.socket_owner = grant.socket_owner
        self.credentials = grant.credentials
        if grant.credentials is not None:
            self.pid = grant.credentials.pid
            self.uid = grant.credentials.uid
            self.gid = grant.credentials.gid

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
        self._changed()
