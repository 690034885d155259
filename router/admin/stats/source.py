"""What a router shows to its stats port: the one place where stats and the engine meet."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from uwsgi_router.router.report.counters import Counters
from uwsgi_router.router.routing.static import StaticNode
from uwsgi_router.subscriptions.node import Node
from uwsgi_router.subscriptions.registry import Registry


class KeptConnections(Protocol):
    """The connections to nodes that speak HTTP."""

    @property
    def idle(self) -> int:
        """How many are kept idle, of all routers of this process."""

    def counts(self, node: Node) -> tuple[int, int]:
        """How many of one node are in use, and how many idle."""


class LossyLog(Protocol):
    """An access log: what its reader does not take in time is dropped."""

    @property
    def dropped(self) -> int:
        """Lines that were."""


class StatsSource(Protocol):
    """One router, as its stats port sees it."""

    @property
    def name(self) -> str:
        """Short router name, as in uWSGI: ``fastrouter``, ``http``. It is a key of the document."""

    @property
    def sockets(self) -> Sequence[str]:
        """Stream and subscription addresses in configuration order, as written.

        Of shared sockets the real name.
        """

    @property
    def active_sessions(self) -> int:
        """Open client connections."""

    @property
    def static_nodes(self) -> Iterable[StaticNode] | None:
        """The nodes of ``to``; None if none is configured."""

    @property
    def registry(self) -> Registry | None:
        """The table of announced nodes; None without a subscription server."""

    @property
    def cheap(self) -> bool:
        """True while the router does not accept because it has no node."""

    @property
    def counters(self) -> Counters:
        """What the engine counts."""

    @property
    def upstreams(self) -> KeptConnections:
        """The connections to HTTP nodes."""

    @property
    def access_log(self) -> LossyLog | None:
        """The access log; None if there is none."""
