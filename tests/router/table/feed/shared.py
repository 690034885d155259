"""A table that one process decides and others have copies of, over socket pairs within one event loop."""

import asyncio
import socket
from typing import Any

from tests.lab.messages import KEY
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.router.config.model import SubscriptionConfig
from uwsgi_router.router.table.feed.fed import Feed
from uwsgi_router.router.table.feed.fed_table import FedTable
from uwsgi_router.router.table.feed.owned_table import OwnedTable
from uwsgi_router.router.table.feed.owner import FeedLimits, FeedOwner
from uwsgi_router.router.table.feed.parts import Worker
from uwsgi_router.router.table.table import Table
from uwsgi_router.subscriptions.events import Event
from uwsgi_router.subscriptions.node import SubscribedNode

NAME = "127.0.0.1:3032"
NODE = "10.0.0.1:80"
#: Quick reports, so that tests need not wait for them.
QUICK = FeedLimits(interval=0.01)


class Member:
    """A process with a table, as far as the table is concerned.

    Attributes:
        events: what its routers were told, as the names of the events.
    """

    def __init__(self, **options: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.table = Table(SubscriptionConfig(**options), self.loop)
        self.registry = self.table.registry
        self.events: list[str] = []
        self.table.used_by(self)

    def table_changed(self, events: Any) -> None:
        self.events += [type(event).__name__ for event in events]

    def datagrams_refused(self, count: int) -> None:
        raise AssertionError

    def datagrams_lost(self, count: int) -> None:
        raise AssertionError

    def find(self, name: str = NODE, key: bytes = KEY) -> SubscribedNode | None:
        pool = self.registry.pools.get(key)
        return None if pool is None else pool.get(name)

    def node(self, name: str = NODE, key: bytes = KEY) -> SubscribedNode:
        node = self.find(name, key)
        assert node is not None
        return node

    def names(self, key: bytes = KEY) -> list[str]:
        pool = self.registry.pools.get(key)
        return [] if pool is None else [node.name for node in pool.nodes]

    def close(self) -> None:
        self.table.close()


class Keeper(Member):
    """The one that decides."""

    def __init__(self, limits: FeedLimits = QUICK, **options: Any) -> None:
        super().__init__(**options)
        self.owner = FeedOwner(self.loop, limits)
        self.part = OwnedTable(NAME, self.table, self.owner.changed, self.loop.time)
        self.owner.add(self.part)

    def announce(
        self, name: str = NODE, key: bytes = KEY, *, later: float = 0.0, **fields: Any
    ) -> list[Event]:
        return self._say("subscribe", name, key, fields, later)

    def leave(self, name: str = NODE, key: bytes = KEY) -> list[Event]:
        return self._say("unsubscribe", name, key, {})

    def _say(
        self, command: Any, name: str, key: bytes, fields: dict[str, Any], later: float = 0.0
    ) -> list[Event]:
        now = self.loop.time() + later
        events = self.registry.apply(
            Subscription(command, key, name, **fields), source="10.0.0.1", now=now
        )
        self.table.report(events)
        return events

    def close(self) -> None:
        self.owner.close()
        super().close()


class Copy(Member):
    """One that has a copy."""

    def __init__(self, number: int = 0, limits: FeedLimits = QUICK, **options: Any) -> None:
        super().__init__(**options)
        self.worker = Worker(number)
        self.feed = Feed(self.loop, limits)
        self.part = FedTable(NAME, self.table, self.feed.urgent, self.loop.time)
        self.feed.add(self.part)

    async def join(self, keeper: Keeper) -> "Copy":
        ours, theirs = socket.socketpair()
        keeper.owner.attach(theirs, self.worker)
        self.feed.attach(ours)
        await self.feed.synced()
        return self

    def serve(self, name: str = NODE, count: int = 1) -> None:
        """Have a node serve requests."""
        node = self.node(name)
        for _ in range(count):
            node.connect_started()
            node.connected()
            node.tx += 100
            node.rx += 10

    def release(self, node: SubscribedNode, count: int = 1) -> None:
        """Have requests end that hold a node."""
        node.reference -= count
        self.table.report(self.registry.released(node, self.loop.time()))

    def close(self) -> None:
        self.feed.detach()
        super().close()


async def shared(count: int, **options: Any) -> tuple[Keeper, list[Copy]]:
    """A keeper with so many copies."""
    keeper = Keeper(**options)
    return keeper, [await Copy(number, **options).join(keeper) for number in range(count)]
