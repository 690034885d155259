"""Events of the table, which the registry returns in order: nodes added, failed, drained, ejected, removed."""

from dataclasses import dataclass
from typing import Literal

from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.sni import Sni

FailureReason = Literal["connect", "unsubscribe", "stale"]


@dataclass(frozen=True, slots=True)
class PoolAdded:
    """Event: a key has its first node; ``algorithm`` is the one that will be used."""

    key: bytes
    algorithm: str


@dataclass(frozen=True, slots=True)
class PoolRemoved:
    """Event: the last node of a key has left the table."""

    key: bytes


@dataclass(frozen=True, slots=True)
class NodeAdded:
    """Event: a node announced itself for the first time (since it was removed)."""

    key: bytes
    node: SubscribedNode


@dataclass(frozen=True, slots=True)
class NodeRefreshed:
    """Event: a node announced itself again; ``revived``: it had failed, left or become stale.

    ``rerouted``: other routers passed it on than before.
    """

    key: bytes
    node: SubscribedNode
    revived: bool
    rerouted: bool = False


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """Event: a node is not to be used from now on (``stale``: as a last resort only)."""

    key: bytes
    node: SubscribedNode
    reason: FailureReason


@dataclass(frozen=True, slots=True)
class NodeRemoved:
    """Event: a node has left the table."""

    key: bytes
    node: SubscribedNode


@dataclass(frozen=True, slots=True)
class SniChanged:
    """Event: TLS for this key needs these files from now on; None: there are none any more."""

    key: bytes
    sni: Sni | None


@dataclass(frozen=True, slots=True)
class NodeDrained:
    """Event: the operator wants no new requests for a node."""

    key: bytes
    node: SubscribedNode


@dataclass(frozen=True, slots=True)
class NodeEnabled:
    """Event: the operator lets a drained node have requests again."""

    key: bytes
    node: SubscribedNode


@dataclass(frozen=True, slots=True)
class NodeWeighed:
    """Event: the operator set a node's weight, or took that back."""

    key: bytes
    node: SubscribedNode


@dataclass(frozen=True, slots=True)
class NodeIdle:
    """Event: the last exchange that held a drained node has ended."""

    key: bytes
    node: SubscribedNode


@dataclass(frozen=True, slots=True)
class NodeUnhealthy:
    """Event: a node's health checks fail: it is not used until they succeed again."""

    key: bytes
    node: SubscribedNode
    reason: str


@dataclass(frozen=True, slots=True)
class NodeHealthy:
    """Event: a node's health checks succeed: it is used from now on."""

    key: bytes
    node: SubscribedNode


@dataclass(frozen=True, slots=True)
class NodeEjected:
    """Event: a node failed several requests in a row; others are chosen first for so many seconds."""

    key: bytes
    node: SubscribedNode
    seconds: float


@dataclass(frozen=True, slots=True)
class NodeAnswers:
    """Event: a node that was ejected answers again."""

    key: bytes
    node: SubscribedNode


Event = (
    PoolAdded
    | PoolRemoved
    | NodeAdded
    | NodeRefreshed
    | NodeFailed
    | NodeRemoved
    | SniChanged
    | NodeDrained
    | NodeEnabled
    | NodeWeighed
    | NodeIdle
    | NodeUnhealthy
    | NodeHealthy
    | NodeEjected
    | NodeAnswers
)
