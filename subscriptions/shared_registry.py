"""Shared registry: a table that several processes use; one of them decides, the others hold copies.

In the process that decides, it is a registry that asks those that have copies before a node leaves
(:class:`Sharing`). A copy chooses nodes as any registry does, but marks and removes none by itself:
what it finds out goes to the process that decides (:class:`Superior`), and what that decides comes
back as records. The same registry may be one today and the other tomorrow.
"""

from typing import Any, Final, Protocol

from uwsgi_router.protocol.subscription import Proto, Subscription
from uwsgi_router.subscriptions.events import (
    Event,
    FailureReason,
    NodeAdded,
    NodeDrained,
    NodeEnabled,
    NodeFailed,
    NodeHealthy,
    NodeRefreshed,
    NodeUnhealthy,
    PoolAdded,
)
from uwsgi_router.subscriptions.fair_room import Place, place_of
from uwsgi_router.subscriptions.grant import Grant
from uwsgi_router.subscriptions.health import Health
from uwsgi_router.subscriptions.node import Node, SubscribedNode
from uwsgi_router.subscriptions.node_address import node_address
from uwsgi_router.subscriptions.node_record import NodeRecord
from uwsgi_router.subscriptions.pool import NodePool
from uwsgi_router.subscriptions.refusal import Refused
from uwsgi_router.subscriptions.registry import Registry

#: Protocols of which connections are kept, and so counted against the cores of a node.
COUNTED: Final[frozenset[Proto]] = frozenset({"http"})
# Who has how much of the table, only the process that decides asks.
_ELSEWHERE: Final = Place("another process", "another process")


class Sharing(Protocol):
    """Sharing of a table, as the registry that decides sees it."""

    def ask(self, node: SubscribedNode) -> None:
        """Count a node as held until each process with a copy has said whether it holds it."""

    def changed(self, node: SubscribedNode) -> None:
        """Tell of a change that no event tells of."""


class Superior(Protocol):
    """Superior of a copy: the process that decides is told what this one found out."""

    def connect_failed(self, node: SubscribedNode, *, timed_out: bool) -> None:
        """Tell of a failed connect."""

    def released(self, node: SubscribedNode) -> None:
        """Tell that nothing here holds a node that is gone or drained."""

    def request_failed(self, node: SubscribedNode) -> None:
        """Tell of a failed request."""

    def request_answered(self, node: SubscribedNode) -> None:
        """Tell of an answer of a node that had failed before."""


def share(limit: int, processes: int, number: int) -> int:
    """Return the part of a limit that one of several processes gets: the remainder goes to the first ones.

    Args:
        limit: to be shared.
        processes: among so many.
        number: of the process, from 0.
    """
    return limit // processes + (number < limit % processes)


class SharedHealth(Health):
    """Health of the nodes of a shared table.

    Attributes:
        superior: as of :class:`SharedRegistry`.
    """

    __slots__ = ("superior",)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.superior: Superior | None = None

    def request_failed(self, node: SubscribedNode, now: float) -> list[Event]:
        """Record a request that ``node`` took and did not answer, or not in time, or not well."""
        if self.superior is None:
            return super().request_failed(node, now)
        # So that the next answer is told of, too.
        node.fails += 1
        self.superior.request_failed(node)
        return []

    def request_answered(self, node: SubscribedNode) -> list[Event]:
        """Record a request that ``node`` answered."""
        if self.superior is None:
            return super().request_answered(node)
        if node.fails:
            node.fails = 0
            self.superior.request_answered(node)
        return []

    def ejected_until(self, node: Node) -> float:
        """Return when a node's ejection ends; 0: it is not ejected."""
        return self._ejections.until(node)

    def adopt(self, node: SubscribedNode, record: NodeRecord) -> bool:
        """Take over a node's health; return True if its rank may have changed."""
        before = bool(node.check_failure), node.ejected
        node.check_failure = record.check_failure
        node.fails = record.fails
        node.ejection = record.ejection
        self._ejections.adopt(node, record.ejected_until)
        return before != (bool(node.check_failure), node.ejected)


class SharedRegistry(Registry):
    """Registry of a table that several processes use.

    Attributes:
        sharing: of the process that decides; None: no other has a copy.
        processes: that share the connections of a node.
        number: of this one among them, from 0.
    """

    def __init__(self, *, health: SharedHealth | None = None, **options: Any) -> None:
        health = health or SharedHealth()
        super().__init__(health=health, **options)
        self._shared_health = health
        self._superior: Superior | None = None
        self.sharing: Sharing | None = None
        self.processes = 1
        self.number = 0

    @property
    def superior(self) -> Superior | None:
        """Process that decides; None: this process does."""
        return self._superior

    def follow(self, superior: Superior | None) -> None:
        """Be a copy of what another process decides; None: decide here."""
        self._superior = self._shared_health.superior = superior

    def nodes(self) -> list[SubscribedNode]:
        """Return all nodes, gone ones too, of each key in the order of their first announces."""
        return [node for pool in self._pools.values() for node in pool.nodes]

    def sort_by_age(self) -> None:
        """Bring the nodes into the order in which they were last heard of: a sweep depends on it."""
        for some in (self._live, self._stale):
            nodes = sorted(some, key=lambda node: node.alive_at)
            some.clear()
            some.update(dict.fromkeys(nodes))

    def record_of(self, node: SubscribedNode, totals: tuple[int, int, int]) -> NodeRecord:
        """Return the record of a node in the table."""
        algorithm = self._pools[node.key].algorithm
        return NodeRecord.of(node, algorithm, self._shared_health.ejected_until(node), totals)

    def start_of(self) -> tuple[float, float]:
        """Return when the table began, and for how long it settles."""
        return self._started, self._settling

    def adopt_start(self, started: float, settling: float) -> None:
        """Take over when the table began: keys that nobody announced since are unknown."""
        self._started, self._settling = started, settling

    @property
    def identity(self) -> bytes:
        """Name by which other routers know this one; b"": it passes no announces on."""
        return self._router

    @identity.setter
    def identity(self, identity: bytes) -> None:
        self._router = identity

    def suspects(self) -> list[tuple[bytes, str, float]]:
        """Return the nodes that left as suspects: key, name, since."""
        return [(key, name, since) for (key, name), since, _owner in self._suspects.items()]

    def remember_suspect(self, key: bytes, name: str, since: float) -> None:
        """Remember a node that left as a suspect."""
        self._suspects.add((key, name), since)

    # --- The process that decides ---

    def apply(self, subscription: Subscription, **options: Any) -> list[Event]:
        """Do what a datagram asks for; see :meth:`Registry.apply`.

        Raises:
            Refused: also if the node may have fewer connections than there are processes.
        """
        cores = subscription.cores
        if (
            0 < cores < self.processes
            and subscription.command == "subscribe"
            and subscription.proto in COUNTED
            and not options.get("restored")
        ):
            raise Refused(
                "full",
                f"{subscription.address} takes {cores} connections at once, and {self.processes} workers"
                " share them: start fewer workers, or set backend-connections",
            )
        return super().apply(subscription, **options)

    def drain(self, node: SubscribedNode) -> list[Event]:
        """Choose ``node`` no more, not even as the last resort, however often it announces itself."""
        if self.sharing is not None and not node.drained:
            self.sharing.ask(node)
        return super().drain(node)

    def _leaves(self, node: SubscribedNode) -> None:
        if self.sharing is not None:
            self.sharing.ask(node)

    def _readmitted(self, node: Node) -> None:
        if self.sharing is not None and isinstance(node, SubscribedNode):
            self.sharing.changed(node)

    # --- A copy ---

    def connect_failed(self, node: SubscribedNode, now: float, *, timed_out: bool) -> list[Event]:
        """Record a connect to ``node`` that was refused or (``timed_out``) not answered in time: it is gone."""
        if self._superior is not None:
            self._superior.connect_failed(node, timed_out=timed_out)
        return super().connect_failed(node, now, timed_out=timed_out)

    def released(self, node: SubscribedNode, now: float) -> list[Event]:
        """Note that an exchange holds ``node`` no more (its ``reference`` has been counted down already)."""
        if self._superior is None:
            return super().released(node, now)
        if not (node.reference or node.removed):
            self._superior.released(node)
        return []

    def sweep(self, now: float, *, lossy: bool = False) -> list[Event]:
        """Look for what time changes; in a copy that is only what it remembers."""
        if self._superior is None:
            return super().sweep(now, lossy=lossy)
        self._slow_start.advance(now)
        self._known.forget_old(now)
        self._suspects.forget_old(now)
        return []

    def put(self, record: NodeRecord, grant: Grant) -> tuple[SubscribedNode, list[Event]]:
        """Take in a node, or what has changed of it; return it, and what happened.

        Args:
            record: of the node.
            grant: to whoever announced it.
        """
        pool = self._pools.get(record.key)
        node = None if pool is None else pool.get(record.name)
        if node is None:
            node, events = self._put_new(pool, record, grant)
            fresh = True
        else:
            events = self._changes(node, record)
            fresh = False
        self._announces = max(self._announces, record.order)
        if self._overwrite(node, record) or fresh:
            node.rank_changed()
        node.granted(grant)
        self._live.pop(node, None)
        self._stale.pop(node, None)
        if node.stale:
            self._stale[node] = None
        elif not node.death_mark:
            self._live[node] = None
        return node, events + self._sni_changed(node.key)

    def refresh(self, node: SubscribedNode, now: float) -> list[Event]:
        """Note that a node announced itself again as it was, at ``now``; it lives, whatever this process thought."""
        revived = node.death_mark
        node.last_seen = node.alive_at = now
        node.last_requests = 0
        if revived:
            node.death_mark = node.stale = False
            node.rank_changed()
        self._stale.pop(node, None)
        self._live[node] = None
        self._live.move_to_end(node)
        return [NodeRefreshed(node.key, node, revived)]

    def take_out(self, node: SubscribedNode, now: float) -> list[Event]:
        """Remove a node that has left the table."""
        events: list[Event] = []
        if not node.death_mark or node.stale:
            reason: FailureReason = "unsubscribe"
            events.append(NodeFailed(node.key, node, reason))
        self._live.pop(node, None)
        self._stale.pop(node, None)
        node.death_mark, node.stale = True, False
        node.rank_changed()
        return events + self._remove(node, now)

    def _put_new(
        self, pool: NodePool | None, record: NodeRecord, grant: Grant
    ) -> tuple[SubscribedNode, list[Event]]:
        place = _ELSEWHERE
        if self._superior is None:
            who = record.credentials
            place = place_of(record.source, None if who is None else who.uid)
        events: list[Event] = []
        if pool is None:
            pool = self._pools[record.key] = NodePool(
                record.key, record.algorithm, place, self._slow_start
            )
            self._room_for_keys.take(place)
            self._known.discard(record.key)
            self._given_up -= {record.key}
            events.append(PoolAdded(record.key, record.algorithm))
        _, address = node_address(record.name, None)
        node = SubscribedNode(
            record.name, address, pool.key, pool.resort, order=record.order, place=place
        )
        node.owner = grant.owner
        pool.add(node)
        self._room_for_nodes.take(place)
        if grant.owner is not None:
            self._shares.add(grant.owner, record.key, grant.quota)
        if not record.death_mark or record.stale:
            events.append(NodeAdded(record.key, node))
        return node, events

    @staticmethod
    def _changes(node: SubscribedNode, record: NodeRecord) -> list[Event]:
        """Return what the change of a node means to others."""
        key, gone = node.key, record.death_mark and not record.stale
        events: list[Event] = []
        if record.last_seen != node.last_seen and not record.death_mark:
            rerouted = node.via != record.via
            events.append(NodeRefreshed(key, node, node.death_mark, rerouted))
        if record.stale and not node.death_mark:
            events.append(NodeFailed(key, node, "stale"))
        elif gone and (not node.death_mark or node.stale):
            events.append(NodeFailed(key, node, "unsubscribe"))
        if record.drained != node.drained:
            events.append((NodeDrained if record.drained else NodeEnabled)(key, node))
        if record.check_failure and not node.check_failure:
            events.append(NodeUnhealthy(key, node, record.check_failure))
        elif node.check_failure and not record.check_failure:
            events.append(NodeHealthy(key, node))
        return events

    def _overwrite(self, node: SubscribedNode, record: NodeRecord) -> bool:
        """Take over what a record says; return True if the node's rank may have changed."""
        before = _decisive(node)
        node.order = record.order
        node.modifier1 = record.modifier1
        node.modifier2 = record.modifier2
        node.speak(record.proto)
        node.cores = record.cores
        node.connections = share(record.cores, self.processes, self.number)
        node.load = record.load
        node.announced_weight = record.announced_weight
        node.set_weight = record.set_weight
        node.weight = record.announced_weight if record.set_weight is None else record.set_weight
        node.backup = record.backup
        node.vassal = record.vassal
        node.via = record.via
        node.source = record.source
        node.sni = record.sni
        node.last_seen = record.last_seen
        node.alive_at = record.alive_at
        node.death_mark = record.death_mark
        node.stale = record.stale
        node.drained = record.drained
        node.suspect = record.suspect
        node.failcnt = record.failcnt
        return self._shared_health.adopt(node, record) or before != _decisive(node)


def _decisive(node: SubscribedNode) -> tuple[object, ...]:
    """Return what the place of a node among others depends on."""
    return (
        node.death_mark,
        node.stale,
        node.drained,
        node.suspect,
        node.weight,
        node.backup,
        node.cores,
        node.order,
    )
