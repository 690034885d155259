"""What happened in the table: returned by the registry, in order, for logs and whoever waits."""

from dataclasses import dataclass
from typing import Literal

from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.sni import Sni

FailureReason = Literal["connect", "unsubscribe", "silent"]


@dataclass(frozen=True, slots=True)
class PoolAdded:
    """A key has its first node; ``algorithm`` is the one that will be used."""

    key: bytes
    algorithm: str


@dataclass(frozen=True, slots=True)
class PoolRemoved:
    """The last node of a key is gone."""

    key: bytes


@dataclass(frozen=True, slots=True)
class NodeAdded:
    """A node announced itself for the first time (since it was removed)."""

    key: bytes
    node: SubscribedNode


@dataclass(frozen=True, slots=True)
class NodeRefreshed:
    """A node announced itself again; ``revived``: it had failed, left or fallen silent.

    ``rerouted``: other routers passed it on than before.
    """

    key: bytes
    node: SubscribedNode
    revived: bool
    rerouted: bool = False


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """A node is not to be used from now on (``silent``: as a last resort only)."""

    key: bytes
    node: SubscribedNode
    reason: FailureReason


@dataclass(frozen=True, slots=True)
class NodeRemoved:
    """A node has left the table."""

    key: bytes
    node: SubscribedNode


@dataclass(frozen=True, slots=True)
class SniChanged:
    """TLS for this key needs these files from now on; None: there are none any more."""

    key: bytes
    sni: Sni | None


@dataclass(frozen=True, slots=True)
class NodeDrained:
    """The operator wants no new requests for a node."""

    key: bytes
    node: SubscribedNode


@dataclass(frozen=True, slots=True)
class NodeEnabled:
    """The operator lets a drained node have requests again."""

    key: bytes
    node: SubscribedNode


@dataclass(frozen=True, slots=True)
class NodeWeighed:
    """The operator set a node's weight, or took that back."""

    key: bytes
    node: SubscribedNode


@dataclass(frozen=True, slots=True)
class NodeIdle:
    """The last exchange that held a drained node has ended."""

    key: bytes
    node: SubscribedNode


@dataclass(frozen=True, slots=True)
class NodeUnhealthy:
    """A node's checks fail: it is not used until they succeed again."""

    key: bytes
    node: SubscribedNode
    reason: str


@dataclass(frozen=True, slots=True)
class NodeHealthy:
    """A node's checks succeed: it is used from now on."""

    key: bytes
    node: SubscribedNode


@dataclass(frozen=True, slots=True)
class NodeRests:
    """A node has failed several requests in a row; others are chosen first for so many seconds."""

    key: bytes
    node: SubscribedNode
    seconds: float


@dataclass(frozen=True, slots=True)
class NodeAnswers:
    """A node that has rested answers again."""

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
    | NodeRests
    | NodeAnswers
)
