"""Feeding of an instance: whether it decides over the table or has a copy, and who is fed or feeds it."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from uwsgi_router.router.admin.stats.source import StatsSource
from uwsgi_router.router.app.feeding.caches import FedCaches, OwnedCaches
from uwsgi_router.router.app.feeding.fed_router import FedRouter
from uwsgi_router.router.app.feeding.owned_router import OwnedRouter
from uwsgi_router.router.app.feeding.post import FeedPost
from uwsgi_router.router.app.feeding.totals import RouterTotals
from uwsgi_router.router.app.gateway import Gateway
from uwsgi_router.router.proxy.upstream_pool import UpstreamPool
from uwsgi_router.router.routing.cache_store import Caches
from uwsgi_router.router.table.feed.fed import Feed
from uwsgi_router.router.table.feed.fed_table import FedTable
from uwsgi_router.router.table.feed.owned_table import OwnedTable
from uwsgi_router.router.table.feed.owner import FeedLimits, FeedOwner
from uwsgi_router.router.table.feed.parts import Worker
from uwsgi_router.router.table.table import Table


class Role(Enum):
    """Role of an instance among the processes of a program."""

    WHOLE = "whole"
    """It serves requests and decides over the table: there is no other process of its generation."""
    KEEPER = "keeper"
    """It decides, and serves no requests."""
    WORKER = "worker"
    """It serves requests, and has a copy of the table."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Seat of an instance among the processes of a program.

    Attributes:
        role: see :class:`Role`.
        number: of a worker, from 0.
        takes_over: the table comes from the process that decided before, at a reload.
        limits: see :class:`FeedLimits`.
    """

    role: Role = Role.WHOLE
    number: int = 0
    takes_over: bool = False
    limits: FeedLimits = field(default_factory=FeedLimits)

    @property
    def request_ids(self) -> str:
        """Text that tells the request ids of this process from those of others."""
        return f"-{self.number + 1}" if self.role is Role.WORKER else ""


class Feeding:
    """Feeding of an instance.

    Args:
        seat: of the instance.
        loop: the event loop.
        tables: by all of their addresses.
        caches: of the instance.
        upstreams: connections to HTTP nodes.

    Attributes:
        owner: that feeds others; None: this process is fed.
        feed: that feeds this process; None: it decides.
    """

    def __init__(
        self,
        seat: Seat,
        loop: asyncio.AbstractEventLoop,
        tables: Mapping[str, Table],
        caches: Caches,
        upstreams: UpstreamPool,
    ) -> None:
        self._seat = seat
        self._loop = loop
        self._tables = tables
        self._caches = caches
        self._upstreams = upstreams
        self._gateways: dict[str, Gateway] = {}
        self._owned_routers: dict[Gateway, OwnedRouter] = {}
        self._closing: list[Callable[[], None]] = []
        self.owner: FeedOwner | None = None
        self.feed: Feed | None = None

    def add(self, gateway: Gateway) -> None:
        """Take in a router of the instance."""
        name, count = f"router {gateway.name}", 1
        while name in self._gateways:
            count += 1
            name = f"router {gateway.name} {count}"
        self._gateways[name] = gateway
        for table in set(self._tables.values()):
            if table.registry is gateway.registry:
                registry = table.registry
                registry.processes = max(registry.processes, gateway.config.workers)
                registry.number = self._seat.number

    # --- deciding ---

    def decide(self) -> FeedOwner:
        """Decide from now on, and feed those who are attached."""
        self.close()
        owner = self.owner = FeedOwner(self._loop, self._seat.limits)
        for table, names in self._named().items():
            part = OwnedTable(names[0], table, owner.changed, self._loop.time)
            owner.add(part, names)
            self._closing.append(part.close)
        caches = OwnedCaches(self._caches, owner.changed)
        owner.add(caches)
        self._closing.append(caches.close)
        for name, gateway in self._gateways.items():
            router = OwnedRouter(name, gateway, owner.changed)
            owner.add(router)
            self._owned_routers[gateway] = router
            self._closing.append(router.close)
        self._closing.append(owner.close)
        return owner

    async def begin(self, post: FeedPost) -> bool:
        """Take over from whoever decided before, and feed the workers; return False if there was nothing to take.

        In a worker return when its copies are whole.

        Args:
            post: tells who is fed by whom.
        """
        seat = self._seat
        if seat.role is Role.WORKER:
            feed = self.follow()
            await post.owner(self.fed_by)
            await feed.synced()
            return True
        owner = self.decide()
        owner.expect()
        post.workers(self._attach)
        taken = False
        if seat.takes_over:
            before = await post.predecessor()
            taken = before is not None and await owner.take(*before)
        asked = seat.role is Role.KEEPER and await post.complete()
        recovered = await owner.recover(asked=asked and not taken)
        return taken or recovered

    def _attach(self, sock: socket.socket, worker: Worker) -> None:
        """Feed a worker; one that comes when this process does not decide any more is told so by the end."""
        if self.owner is None:
            sock.close()
        else:
            self.owner.attach(sock, worker)

    def fed_by(self, sock: socket.socket) -> None:
        """Be fed over another socket, unless this process decides."""
        if self.feed is None:
            sock.close()
        else:
            self.feed.attach(sock)

    def source_of(self, gateway: Gateway) -> StatsSource:
        """Return the numbers of a router, of all processes that serve it."""
        assert self.owner is not None
        router = self._owned_routers[gateway]
        return RouterTotals(router, self._part_of(gateway), self.owner)

    def _part_of(self, gateway: Gateway) -> OwnedTable | None:
        for table in self._tables.values():
            sharing = table.registry.sharing
            if table.registry is gateway.registry and isinstance(sharing, OwnedTable):
                return sharing
        return None

    # --- having a copy ---

    def follow(self, *, counted: bool = False) -> Feed:
        """Have copies from now on, of what another process decides.

        Args:
            counted: that process knows what was counted here.
        """
        self.close()
        feed = self.feed = Feed(self._loop, self._seat.limits)
        for table, names in self._named().items():
            part = FedTable(
                names[0],
                table,
                feed.urgent,
                self._loop.time,
                lambda node: self._upstreams.counts(node)[1],
            )
            if counted:
                part.count_from_now()
            feed.add(part, names)
            self._closing.append(part.close)
        feed.add(FedCaches(self._caches))
        first = True
        for name, gateway in self._gateways.items():
            router = FedRouter(name, gateway, feed.urgent, log_lines=first)
            first = False
            if counted:
                router.count_from_now()
            feed.add(router)
            self._closing.append(router.close)
        self._closing.append(feed.detach)
        return feed

    def hand_over(self, sock: socket.socket) -> None:
        """Give everything to the process that decides from now on, and be fed by it over the same socket."""
        assert self.owner is not None
        giving = list(self.owner.snapshot())
        self.follow(counted=True).attach(sock, giving=iter(giving))

    def close(self) -> None:
        """Feed nobody, and be fed by nobody; may be called again."""
        # First the connections, so that nothing is told of what follows.
        for close in reversed(self._closing):
            close()
        self._closing.clear()
        self._owned_routers.clear()
        self.owner = None
        self.feed = None

    def _named(self) -> dict[Table, list[str]]:
        names: dict[Table, list[str]] = {}
        for name, table in self._tables.items():
            names.setdefault(table, []).append(name)
        return names
