"""A table with a manual clock, for the tests of this folder."""

from typing import Any

from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.subscriptions.events import Event
from uwsgi_router.subscriptions.grant import ANYBODY, Grant, Quota
from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.registry import Registry
from uwsgi_router.subscriptions.sender import Credentials

KEY = b"example.com"


class Table:
    """A registry whose time the test sets; made long after "start", so that no grace applies."""

    def __init__(self, **options: Any) -> None:
        self.now = 1000.0
        self.registry = Registry(started=0.0, **options)

    def announce(
        self,
        address: str,
        key: bytes = KEY,
        *,
        source: str | None = "10.9.9.9",
        grant: Grant = ANYBODY,
        **fields: Any,
    ) -> list[Event]:
        return self.registry.apply(
            Subscription("subscribe", key, address, **fields),
            source=source,
            now=self.now,
            grant=grant,
        )

    def leave(
        self,
        address: str,
        key: bytes = KEY,
        *,
        source: str | None = "10.9.9.9",
        grant: Grant = ANYBODY,
    ) -> list[Event]:
        return self.registry.apply(
            Subscription("unsubscribe", key, address), source=source, now=self.now, grant=grant
        )

    def node(self, name: str, key: bytes = KEY) -> SubscribedNode:
        node = self.registry.pools[key].get(name)
        assert node is not None
        return node

    def names(self, key: bytes = KEY) -> list[str]:
        pool = self.registry.pools.get(key)
        return [] if pool is None else [node.name for node in pool.nodes]

    def choose(self, *tried: SubscribedNode, key: bytes = KEY, client: bytes = b"") -> str | None:
        node = self.registry.choose(key, client=client, tried=tried)
        return None if node is None else node.name

    def choices(self, count: int) -> list[str | None]:
        return [self.choose() for _ in range(count)]

    def fail(self, name: str, key: bytes = KEY, *, timed_out: bool = False) -> list[Event]:
        node = self.node(name, key)
        node.connect_started()
        return self.registry.connect_failed(node, self.now, timed_out=timed_out)

    def release(self, node: SubscribedNode) -> list[Event]:
        node.let_go()
        return self.registry.released(node, self.now)

    def sweep(self) -> list[Event]:
        return self.registry.sweep(self.now)


def user(uid: int, max_keys: int = 3, max_nodes: int = 4) -> Grant:
    """What the gate grants a tenant."""
    return Grant(Credentials(uid * 10, uid, uid), uid, uid, Quota(max_keys, max_nodes))


def words(events: list[Event]) -> list[str]:
    """The events as a transcript: ``NodeFailed a:1 stale``."""
    lines = []
    for event in events:
        parts = [type(event).__name__]
        node = getattr(event, "node", None)
        parts.append(event.key.decode() if node is None else node.name)
        parts += [str(getattr(event, "reason", ""))]
        if getattr(event, "revived", False):
            parts.append("revived")
        lines.append(" ".join(part for part in parts if part))
    return lines
