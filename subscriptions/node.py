"""Nodes: upstream processes, their states (ready, slow-connect, ejected, stale, ...), connects and counters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from uwsgi_router.protocol.address import Address
from uwsgi_router.protocol.subscription import Proto, Subscription
from uwsgi_router.subscriptions.fair_room import Place
from uwsgi_router.subscriptions.traffic import Traffic

if TYPE_CHECKING:
    from uwsgi_router.subscriptions.grant import Grant
    from uwsgi_router.subscriptions.sender import Credentials
    from uwsgi_router.subscriptions.sni import Sni

#: Ranks: a node is chosen only if there is none of a lower rank; from DRAINED on never.
READY: Final = 0
SLOW_CONNECT: Final = 1
EJECTED: Final = 2
STALE: Final = 3
DRAINED: Final = 4
UNHEALTHY: Final = 5
GONE: Final = 6

#: Share of a node that is not in slow start, in hundredths.
FULL_SHARE: Final = 100

_STATES: Final = {
    READY: "ready",
    SLOW_CONNECT: "slow-connect",
    EJECTED: "ejected",
    STALE: "stale",
    DRAINED: "drained",
    UNHEALTHY: "unhealthy",
    GONE: "gone",
}


class Node(Traffic):
    """Upstream process, announced or configured: its address, modifiers, counters and connect state.

    Each connect is reported: :meth:`connect_started`, perhaps :meth:`connect_slow`, then exactly
    one of :meth:`connected`, :meth:`connect_failed` (for a :class:`SubscribedNode` only through
    ``Registry.connect_failed``) and :meth:`connect_abandoned`. A node in the state
    *slow-connect* is chosen after all others that live: a connect to it is under way, and

    * that has been unanswered for a second (``slow``), or
    * an earlier one had not been answered in time, and none has succeeded since (``suspect``): the
      one under way is a trial, and another request comes here only if it has nowhere else to go.

    A black-holed node that keeps announcing itself thus costs one waiting request per announce.

    Attributes:
        name: as announced or configured: for stats, logs and comparison.
        address: where to connect.
        modifier1: what requests to it carry, 0 to 255.
        modifier2: likewise.
        proto: what it speaks.
        is_http: that is HTTP, inside TLS or not.
        secure: it is inside TLS.
        host: name that it was configured by, if its address was looked up; None: the address says all.
        reference: exchanges that hold it now; a holder counts itself in, and out with :meth:`let_go`.
        freed: where it is added with each exchange less; None: nobody chooses by that.
        group: the nodes among which it is chosen: requests wait for all of these in one queue. Any object that
            stands for them; itself, if there are none.
        requests: successful connects, and further requests on connections that were kept.
        refusals: answers 400 that closed the connection.
        failcnt: failed connects; for an announced node also unsubscribes and becoming stale.
        connecting: connects under way.
        slow: one of these has been unanswered for a second.
        suspect: a connect had not been answered in time, and none has succeeded since.
        socket_owner: user to whom its UNIX socket must belong when it is connected; None: to
            anybody.
        fails: requests that it failed in a row (see subscriptions.health).
        ejected: several requests in a row failed: it is chosen after others for a while.
        ejection: seconds of its last ejection since it last answered; 0: there was none.
    """

    __slots__ = (
        "address",
        "connecting",
        "ejected",
        "ejection",
        "failcnt",
        "fails",
        "freed",
        "group",
        "host",
        "is_http",
        "modifier1",
        "modifier2",
        "name",
        "proto",
        "reference",
        "refusals",
        "requests",
        "secure",
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
        self.speak(proto)
        self.host: str | None = None
        self.reference = 0
        self.freed: list[Node] | None = None
        self.group: object = self
        self.requests = 0
        self.refusals = 0
        self.failcnt = 0
        self.connecting = 0
        self.slow = False
        self.suspect = False
        self.socket_owner: int | None = None
        self.fails = 0
        self.ejection = 0.0
        self.ejected = False

    def speak(self, proto: Proto) -> None:
        """Note what it speaks."""
        self.proto: Proto = proto
        self.is_http = proto in ("http", "https")
        self.secure = proto in ("https", "suwsgi")

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
    def connecting_slowly(self) -> bool:
        """True while a connect to it is slow or a trial: it is chosen after all others that live."""
        return self.connecting > 0 and (self.slow or self.suspect)

    @property
    def takes_requests(self) -> bool:
        """False if no request may be sent to the node, even as a last resort."""
        return True

    @property
    def capacity(self) -> int:
        """Requests that it serves at once, in hundredths, as the algorithm ``least`` counts them."""
        return FULL_SHARE

    def connect_started(self) -> None:
        """Record that a connect has begun."""
        self.connecting += 1
        if self.suspect:
            self.rank_changed()

    def connect_slow(self) -> None:
        """Record that a connect under way has been unanswered for a second."""
        self.slow = True
        self.rank_changed()

    def connected(self) -> None:
        """Record a connect that succeeded."""
        self.connecting -= 1
        self.requests += 1
        if self.slow or self.suspect:
            self.slow = self.suspect = False
            self.rank_changed()

    def used_again(self) -> None:
        """Record a further request on a kept connection."""
        self.requests += 1

    def connect_failed(self, *, timed_out: bool) -> None:
        """Record a connect that was refused, or not answered in time; not: this machine ran out of something.

        A refusal that took more than a second counts as unanswered: "no route to host" comes from
        our own machine, after three seconds in which nobody answered.
        """
        self.connecting -= 1
        self.failcnt += 1
        self.suspect = self.suspect or timed_out or self.slow
        self.slow = False
        self.rank_changed()

    def connect_abandoned(self) -> None:
        """Record a connect that was given up for a reason that says nothing against the node.

        The client went away, the node was busy, or this machine ran out of something. If the
        connect had been unanswered for a second, that much is still known, and the next is a trial.
        """
        self.connecting -= 1
        if self.slow and not self.connecting:
            self.slow = False
            self.suspect = True
        if self.suspect:
            self.rank_changed()

    def let_go(self) -> None:
        """Count out an exchange that held it."""
        self.reference -= 1

    def recount(self) -> None:
        """Tell the order of nodes that an exchange holds it that was not given it there."""
        if self.freed is not None:
            self.freed.append(self)

    def rank_changed(self) -> None:
        """Handle a possible change of rank; a hook for pools, which sort nodes by it."""


class SubscribedNode(Node):
    """Announced node; changed only by the registry, but for the connects and requests that Node records.

    Args:
        name: see :class:`Node`.
        address: see :class:`Node`.
        key: that it announced.
        changed: called when its rank may have changed.
        order: its place among all nodes ever announced.
        place: see below.

    Attributes:
        key: that it announced.
        place: where it was first announced from: it counts against that place's share of the table.
        removed: it is not in the table any more.
        order: its place among all nodes ever announced, for ties.
        last_seen: when it last announced itself, on the loop's clock.
        last_requests: successful connects since then.
        alive_at: when it last gave a sign of life: an announce, or requests that it served while announces were lost.
        cores: requests that it serves at once, as announced; 0: it did not say.
        connections: that this process may have to it, if it speaks HTTP and nothing else is configured; 0: any number.
        load: as announced; shown only.
        weight: share of the traffic, at least 1: the one that was set, else the announced one.
        announced_weight: what it announced.
        set_weight: what the operator set; None: nothing.
        drained: the operator wants it to get no new requests.
        backup: nodes of a higher level serve only while there are none of a lower.
        vassal: its name under an Emperor.
        wrr: its credit in the current round (see subscriptions.balancing).
        share: part of its requests that it gets, in hundredths: less than all in slow start.
        due: hundredths of requests that it has come to in slow start, and did not get yet.
        in_service: it was ready when the nodes were last sorted, and has not been out since.
        death_mark: it failed, left or is stale. Without ``stale`` it is never chosen.
        stale: no announce for longer than the tolerance; no other mark: it is the last resort.
        pid, uid, gid: the sender's credentials; 0 for announces over UDP.
        owner: the user whose node it is: nobody else may change it. None: anybody who passes
            the checks may.
        credentials: the sender's; None if the kernel gave none.
        source: the IP address that its last datagram came from; None over a UNIX socket.
        via: the routers that passed its announce on; (): it announced itself.
        sni: what TLS for its key needs, if it announced that.
        check_failure: why its checks fail, in our words; "": they don't, or there are none.
    """

    __slots__ = (
        "_changed",
        "_requests_at",
        "alive_at",
        "announced_weight",
        "backup",
        "check_failure",
        "connections",
        "cores",
        "credentials",
        "death_mark",
        "drained",
        "due",
        "gid",
        "in_service",
        "key",
        "last_requests",
        "last_seen",
        "load",
        "order",
        "owner",
        "pid",
        "place",
        "removed",
        "set_weight",
        "share",
        "sni",
        "source",
        "stale",
        "uid",
        "vassal",
        "via",
        "weight",
        "wrr",
    )

    def __init__(
        self,
        name: str,
        address: Address,
        key: bytes,
        changed: Callable[[], None],
        *,
        order: int,
        place: Place,
    ) -> None:
        super().__init__(name, address)
        self.key = key
        self.place = place
        self._changed = changed
        self.removed = False
        self.order = order
        self.last_seen = 0.0
        self.last_requests = 0
        self.alive_at = 0.0
        self._requests_at = 0
        self.cores = 0
        self.connections = 0
        self.load = 0
        self.weight = 1
        self.announced_weight = 1
        self.set_weight: int | None = None
        self.drained = False
        self.backup = 0
        self.vassal: bytes | None = None
        self.wrr = 0
        self.share = FULL_SHARE
        self.due = 0
        self.in_service = False
        self.death_mark = False
        self.stale = False
        self.pid = 0
        self.uid = 0
        self.gid = 0
        self.owner: int | None = None
        self.credentials: Credentials | None = None
        self.source: str | None = None
        self.via: tuple[bytes, ...] = ()
        self.sni: Sni | None = None
        self.check_failure = ""

    def _marks(self) -> list[str]:
        marks = super()._marks()
        if self.stale:
            marks.append("stale")
        elif self.death_mark:
            marks.append("gone")
        if self.drained:
            marks.append("drained")
        if self.check_failure:
            marks.append("unhealthy")
        if self.ejected:
            marks.append("ejected")
        return marks

    @property
    def rank(self) -> int:
        """READY, SLOW_CONNECT, EJECTED, STALE, DRAINED, UNHEALTHY or GONE; lower is chosen first."""
        if self.death_mark and not self.stale:
            return GONE
        if self.drained:
            return DRAINED
        if self.check_failure:
            return UNHEALTHY
        if self.stale:
            return STALE
        if self.ejected:
            return EJECTED
        return SLOW_CONNECT if self.connecting_slowly else READY

    @property
    def takes_requests(self) -> bool:
        """False if it is drained, unhealthy or gone."""
        return self.rank < DRAINED

    @property
    def capacity(self) -> int:
        """Its cores, each as often as its weight says and in slow start a part of that, in hundredths."""
        return max(1, self.cores) * self.weight * self.share

    @property
    def state(self) -> str:
        """Word for the rank, as ``uwsgi-router status`` shows it."""
        return _STATES[self.rank]

    def announced(self, subscription: Subscription, now: float) -> None:
        """Take over an announce; the node lives. Counters survive."""
        self.modifier1 = subscription.modifier1
        self.modifier2 = subscription.modifier2
        self.speak(subscription.proto)
        before = (self.death_mark, self.weight, self.backup, self.cores)
        self.cores = self.connections = subscription.cores
        self.load = subscription.load
        self.vassal = subscription.vassal
        self.via = subscription.via
        self.last_seen = self.alive_at = now
        self.last_requests = 0
        self._requests_at = self.requests
        self.announced_weight = subscription.weight
        self.weight = self.announced_weight if self.set_weight is None else self.set_weight
        self.backup = subscription.backup
        self.death_mark = self.stale = False
        if before != (False, self.weight, self.backup, self.cores):
            self.rank_changed()

    def served_since_alive(self, now: float) -> bool:
        """Return True if it has served requests since its last sign of life; that is one, too."""
        if self.requests == self._requests_at:
            return False
        self._requests_at = self.requests
        self.alive_at = now
        return True

    def weigh(self, weight: int | None) -> None:
        """Set the weight, whatever the node announces; None: the announced weight counts again."""
        self.set_weight = weight
        self.weight = self.announced_weight if weight is None else weight
        self.rank_changed()

    def granted(self, grant: Grant) -> None:
        """Take over the sender's credentials; the node's owner is set already."""
        self.socket_owner = grant.socket_owner
        self.credentials = grant.credentials
        if grant.credentials is not None:
            self.pid = grant.credentials.pid
            self.uid = grant.credentials.uid
            self.gid = grant.credentials.gid

    def connected(self) -> None:
        """Record a connect that succeeded."""
        super().connected()
        self.last_requests += 1

    def used_again(self) -> None:
        """Record a further request on a kept connection."""
        self.requests += 1
        self.last_requests += 1

    def let_go(self) -> None:
        """Count out an exchange that held it."""
        self.reference -= 1
        if self.freed is not None:
            self.freed.append(self)

    def rank_changed(self) -> None:
        """Have the pool sort its nodes anew before the next choice."""
        self._changed()
