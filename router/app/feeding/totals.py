"""Totals of a router: its numbers as the keeper shows them, of all workers together."""

from collections.abc import Sequence
from typing import Protocol

from uwsgi_router.router.app.feeding.owned_router import OwnedRouter
from uwsgi_router.router.core.log import dropped_lines
from uwsgi_router.router.report.counters import Counters
from uwsgi_router.router.routing.configured import UnannouncedNode
from uwsgi_router.router.routing.static import StaticNode
from uwsgi_router.router.table.feed.owned_table import OwnedTable
from uwsgi_router.router.table.feed.parts import Worker
from uwsgi_router.subscriptions.node import Node, SubscribedNode
from uwsgi_router.subscriptions.registry import Registry


class KeptTotals:
    """Idle connections to HTTP nodes, of all workers."""

    def __init__(self, router: OwnedRouter, table: OwnedTable | None) -> None:
        self._router = router
        self._table = table

    @property
    def idle(self) -> int:
        """Number of idle connections, of all routers."""
        return self._router.total("kept")

    def counts(self, node: Node) -> tuple[int, int]:
        """Return how many connections of one node are in use, and how many idle."""
        if isinstance(node, SubscribedNode):
            idle = 0 if self._table is None else self._table.kept(node)
        else:
            idle = self._router.kept(node)
        return node.reference, idle


class DroppedLines:
    """Lines that the access logs of all workers have lost."""

    def __init__(self, router: OwnedRouter) -> None:
        self._router = router

    @property
    def dropped(self) -> int:
        """Number of dropped lines."""
        return self._router.dropped


class Attached(Protocol):
    """Owner of a feed, as far as it tells who is fed."""

    @property
    def workers(self) -> Sequence[Worker]:
        """The workers that are attached."""


class RouterTotals:
    """Router as its stats port sees it, where several processes serve it.

    Args:
        router: with the sums.
        table: that its nodes are in, or None.
        attached: tells of the workers.
    """

    def __init__(self, router: OwnedRouter, table: OwnedTable | None, attached: Attached) -> None:
        self._router = router
        self._gateway = router.gateway
        self._attached = attached
        self._kept = KeptTotals(router, table)
        self._dropped = DroppedLines(router)

    @property
    def name(self) -> str:
        """Short router name."""
        return self._gateway.name

    @property
    def sockets(self) -> Sequence[str]:
        """Stream and subscription addresses in configuration order."""
        return self._gateway.sockets

    @property
    def active_sessions(self) -> int:
        """Open client connections."""
        return self._router.total("sessions")

    @property
    def static_nodes(self) -> Sequence[StaticNode] | None:
        """The nodes of ``to``; None if none is configured."""
        return self._gateway.static_nodes

    @property
    def configured_nodes(self) -> Sequence[UnannouncedNode]:
        """The nodes that the configuration names."""
        return self._gateway.configured_nodes

    @property
    def registry(self) -> Registry | None:
        """The table of announced nodes; None without a subscription server."""
        return self._gateway.registry

    @property
    def cheap(self) -> bool:
        """True while the workers do not accept because there is no node."""
        registry = self._gateway.registry
        return self._gateway.config.cheap and registry is not None and registry.empty

    @property
    def counters(self) -> Counters:
        """Counters of requests and failures."""
        return self._gateway.counters

    @property
    def upstreams(self) -> KeptTotals:
        """The connections to HTTP nodes."""
        return self._kept

    @property
    def access_log(self) -> DroppedLines:
        """The access log."""
        return self._dropped

    @property
    def log_lines_dropped(self) -> int:
        """Lines of the log that were lost."""
        return dropped_lines() + self._router.dropped_log_lines

    @property
    def workers(self) -> list[dict[str, int]]:
        """Numbers of each worker, since it started."""
        router = self._router
        return [
            {
                "id": worker.number + 1,
                "pid": worker.pid,
                "generation": worker.generation,
                "active_sessions": router.level_of(worker, "sessions"),
                "requests": router.counts_of(worker, "requests"),
                "tx": router.counts_of(worker, "clients.tx"),
                "rx": router.counts_of(worker, "clients.rx"),
            }
            for worker in sorted(
                self._attached.workers, key=lambda one: (one.number, -one.generation)
            )
        ]
