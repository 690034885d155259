"""Nodes as an operator sees and steers them: announced ones, and those that the configuration names."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from uwsgi_router.protocol.address import AddressError, parse_address
from uwsgi_router.protocol.text import show, to_text
from uwsgi_router.router.routing.configured import ConfiguredForwarder, UnannouncedNode
from uwsgi_router.router.table.table import Table
from uwsgi_router.subscriptions.events import (
    Event,
    NodeEnabled,
    NodeFailed,
    NodeIdle,
    NodeRefreshed,
    NodeRemoved,
)
from uwsgi_router.subscriptions.node import Node, SubscribedNode

log = logging.getLogger("uwsgi-router.control")

# What may end a wait. An announce alone does only if it brings back a node that had left.
_TURNS = (NodeIdle, NodeRemoved, NodeFailed, NodeEnabled, NodeRefreshed)


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Status of one node of one key.

    Attributes:
        table: the first subscription server of its table; of a configured node the option that names it.
        key: bytes that are not UTF-8 are lone surrogates; likewise in ``node``. "": the node is configured.
        algorithm: how a node of this key is chosen.
        node: its address.
        state: ready, slow-connect (a connect waits for its answer), ejected (its last requests failed), stale (no
            announce for longer than the tolerance), unhealthy (its health checks fail), drained, or gone (it left, or
            a connect failed; requests still hold it); grace (configured: a connect failed lately).
        requests: that it has been sent.
        running: that it has now.
        weight: its share of the requests, 1 or more: the one that was set, else the announced one.
        announced_weight: what it announces; of a configured node 1.
        set_weight: what an operator set, or None.
        backup: its level.
        failures: as ``failcnt`` in the stats.
        age: seconds since its last announce; None: it is configured.
        proto: what it speaks.
        drained: an operator drained it, whatever ``state`` says.
        check: why its checks fail, or "".
        waiting: requests without a byte of an answer; None, as the three that follow: it was not asked for.
        waiting_since: seconds for which all of these have waited.
        streams: running event streams.
        tunnels: running WebSockets.
    """

    table: str
    key: str
    algorithm: str
    node: str
    state: str
    requests: int
    running: int
    weight: int
    announced_weight: int
    set_weight: int | None
    backup: int
    failures: int
    age: float | None
    proto: str
    drained: bool
    check: str
    waiting: int | None = None
    waiting_since: float | None = None
    streams: int | None = None
    tunnels: int | None = None


class NoWeight(Exception):
    """Error: a node has no weight, for its place decides; ``str()`` says which."""


class SteeredNode(Protocol):
    """Node that an operator steers; ``by`` says who it is, for the log."""

    @property
    def node(self) -> Node:
        """The node."""

    @property
    def in_service(self) -> bool:
        """True if it gets requests, or would if it were healthy."""

    def drain(self, by: str) -> None:
        """Let it have no new requests."""

    def enable(self, by: str) -> None:
        """Let it have requests again."""

    def weigh(self, weight: int | None, by: str) -> None:
        """Set its weight; None: take that back.

        Raises:
            NoWeight: it can't have one.
        """

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call ``changed`` when it may be out of service, or without requests; return what ends that."""


@dataclass(frozen=True, slots=True)
class AnnouncedNode:
    """Announced node, and the table that it is in."""

    table: Table
    node: SubscribedNode

    @property
    def in_service(self) -> bool:
        """True if it gets requests, or would if it were healthy."""
        return not self.node.drained and (not self.node.death_mark or self.node.stale)

    def drain(self, by: str) -> None:
        """Let it have no new requests, however often it announces itself."""
        self._tell(self.table.registry.drain(self.node), "drained", by)

    def enable(self, by: str) -> None:
        """Let it have requests again."""
        self._tell(self.table.registry.enable(self.node), "enabled", by)

    def weigh(self, weight: int | None, by: str) -> None:
        """Set its weight, whatever it announces; None: take that back."""
        self._tell(self.table.registry.set_weight(self.node, weight), _weighed(weight), by)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call ``changed`` when it may be out of service, or without requests; return what ends that."""
        name = self.node.name

        def happened(events: Sequence[Event]) -> None:
            if any(isinstance(event, _TURNS) and event.node.name == name for event in events):
                changed()

        self.table.watch(happened)
        return lambda: self.table.unwatch(happened)

    def _tell(self, events: list[Event], what: str, by: str) -> None:
        if events:
            log.info("[%s] %s is %s by %s", show(self.node.key), self.node.name, what, by)
        self.table.report(events)


@dataclass(frozen=True, slots=True)
class ConfiguredNode:
    """Configured node, and the option that names it."""

    group: "ConfiguredNodes"
    node: UnannouncedNode

    @property
    def in_service(self) -> bool:
        """True if it gets requests."""
        return not self.node.drained

    def drain(self, by: str) -> None:
        """Let it have no new requests, until it is enabled or the router restarts."""
        if self.group.forwarder.drain(self.node, True):
            self._log("drained", by)

    def enable(self, by: str) -> None:
        """Let it have requests again."""
        if self.group.forwarder.drain(self.node, False):
            self._log("enabled", by)

    def weigh(self, weight: int | None, by: str) -> None:
        """Set its share of the requests; None: it is 1 again.

        Raises:
            NoWeight: the order of these nodes decides.
        """
        if not self.group.forwarder.weighted:
            option = self.group.option
            raise NoWeight(f"{option} = {self.node.name}: it has no weight, its place decides")
        if self.group.forwarder.weigh(self.node, weight or 1):
            self._log(_weighed(weight), by)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call ``changed`` when it may be out of service, or without requests; return what ends that."""
        forwarder = self.group.forwarder
        forwarder.watch(changed)
        return lambda: forwarder.unwatch(changed)

    def _log(self, what: str, by: str) -> None:
        log.info("%s = %s is %s by %s", self.group.option, self.node.name, what, by)


@dataclass(frozen=True, slots=True)
class ConfiguredNodes:
    """Nodes that an option of a router names.

    Attributes:
        option: that names them.
        forwarder: that chooses them.
    """

    option: str
    forwarder: ConfiguredForwarder

    def named(self, name: str) -> list[ConfiguredNode]:
        """Return the nodes of this name, or of the address that it means."""
        try:
            address = parse_address(name)
        except AddressError:
            address = None
        return [
            ConfiguredNode(self, node)
            for node in self.forwarder.steered()
            if node.name == name or node.address == address
        ]

    def status(self, now: float) -> list[NodeStatus]:
        """Return the status of each."""
        forwarder = self.forwarder
        return [
            NodeStatus(
                table=self.option,
                key="",
                algorithm="in turn" if forwarder.weighted else "in order",
                node=node.name,
                state=forwarder.state_of(node, now),
                requests=node.requests,
                running=node.reference,
                weight=node.weight,
                announced_weight=1,
                set_weight=None if node.weight == 1 else node.weight,
                backup=0,
                failures=node.failcnt,
                age=None,
                proto=node.proto,
                drained=node.drained,
                check="",
            )
            for node in forwarder.steered()
        ]


def status_of(table: str, algorithm: str, node: SubscribedNode, now: float) -> NodeStatus:
    """Return the status of an announced node."""
    return NodeStatus(
        table=table,
        key=to_text(node.key),
        algorithm=algorithm,
        node=node.name,
        state=node.state,
        requests=node.requests,
        running=node.reference,
        weight=node.weight,
        announced_weight=node.announced_weight,
        set_weight=node.set_weight,
        backup=node.backup,
        failures=node.failcnt,
        age=round(max(0.0, now - node.last_seen), 1),
        proto=node.proto,
        drained=node.drained,
        check=node.check_failure,
    )


def _weighed(weight: int | None) -> str:
    return "given its announced weight" if weight is None else f"given the weight {weight}"
