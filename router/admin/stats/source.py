"""Stats source: the interface through which statistics read a router."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from uwsgi_router.router.certificates.expiry import CertificateEnd
from uwsgi_router.router.report.counters import Counters
from uwsgi_router.router.routing.configured import UnannouncedNode
from uwsgi_router.router.routing.static import StaticNode
from uwsgi_router.subscriptions.node import Node
from uwsgi_router.subscriptions.registry import Registry


class KeptConnections(Protocol):
    """Connections to nodes that speak HTTP."""

    @property
    def idle(self) -> int:
        """Number of idle connections, of all routers of this process."""

    def counts(self, node: Node) -> tuple[int, int]:
        """Return how many connections of one node are in use, and how many idle."""


class LossyLog(Protocol):
    """Access log whose lines are dropped if its reader does not take them in time."""

    @property
    def dropped(self) -> int:
        """Number of dropped lines."""


class StatsSource(Protocol):
    """Router as its stats port sees it."""

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
    def configured_nodes(self) -> Sequence[UnannouncedNode]:
        """The nodes that the configuration names: those of ``to`` and fallbacks, among others."""

    @property
    def registry(self) -> Registry | None:
        """The table of announced nodes; None without a subscription server."""

    @property
    def cheap(self) -> bool:
        """True while the router does not accept because it has no node."""

    @property
    def counters(self) -> Counters:
        """Counters of requests and failures."""

    @property
    def upstreams(self) -> KeptConnections:
        """The connections to HTTP nodes."""

    @property
    def certificate_ends(self) -> Sequence[CertificateEnd] | None:
        """Until when certificates are valid that are served; None: it speaks no TLS."""

    @property
    def access_log(self) -> LossyLog | None:
        """The access log; None if there is none."""
