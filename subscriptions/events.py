"""What happened in the table: returned by the registry, in order, for logs and whoever waits."""

from dataclasses import dataclass
from typing import Literal

from subscriptions.node import SubscribedNode

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
    """A node announced itself again; ``revived``: it had failed, left or fallen silent."""

    key: bytes
    node: SubscribedNode
    revived: bool


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


Event = PoolAdded | PoolRemoved | NodeAdded | NodeRefreshed | NodeFailed | NodeRemoved
