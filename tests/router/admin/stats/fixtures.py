"""A router as stats see it: the real table and counters, and what a Router object adds to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from uwsgi_router.protocol.address import parse_address
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.router.admin.stats.source import KeptConnections
from uwsgi_router.router.certificates.expiry import CertificateEnd
from uwsgi_router.router.report.counters import Counters
from uwsgi_router.router.routing.configured import UnannouncedNode
from uwsgi_router.router.routing.static import StaticNode
from uwsgi_router.subscriptions.node import Node, SubscribedNode
from uwsgi_router.subscriptions.registry import Registry

#: The loop's clock and the wall clock at the moment of every document in these tests.
NOW = 1_000.5
WALL = 1_795_231_290.25


@dataclass
class Connections:
    """Satisfies KeptConnections."""

    kept: dict[Node, int] = field(default_factory=dict)

    @property
    def idle(self) -> int:
        return sum(self.kept.values())

    def counts(self, node: Node) -> tuple[int, int]:
        return 0, self.kept.get(node, 0)


@dataclass
class Dropping:
    """Satisfies LossyLog."""

    dropped: int


@dataclass
class Source:
    """Satisfies StatsSource."""

    name: str = "fastrouter"
    sockets: Sequence[str] = ("127.0.0.1:26001", "127.0.0.1:26002")
    active_sessions: int = 0
    static_nodes: list[StaticNode] | None = None
    registry: Registry | None = None
    cheap: bool = False
    counters: Counters = field(default_factory=Counters)
    upstreams: KeptConnections = field(default_factory=Connections)
    access_log: Dropping | None = None
    certificate_ends: Sequence[CertificateEnd] | None = None

    @property
    def configured_nodes(self) -> Sequence[UnannouncedNode]:
        return self.static_nodes or ()


def configured(address: str) -> StaticNode:
    return StaticNode(address, parse_address(address))


def announce(
    registry: Registry,
    key: bytes,
    address: str,
    *,
    now: float = NOW,
    weight: int = 1,
    cores: int = 0,
    modifier2: int = 0,
) -> SubscribedNode:
    subscription = Subscription(
        "subscribe", key, address, weight=weight, cores=cores, modifier2=modifier2
    )
    registry.apply(subscription, source=None, now=now)
    node = registry.pools[key].get(address)
    assert node is not None
    return node
