"""Feeding of an instance: whether it decides over the table or has a copy, and who is fed or feeds it."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from uwsgi_router.router.admin.stats.source import StatsSource
from uwsgi_router.router.app.assembly import Shared
from uwsgi_router.router.app.feeding.caches import FedCaches, OwnedCaches
from uwsgi_router.router.app.feeding.certificates import FedCertificates, OwnedCertificates
from uwsgi_router.router.app.feeding.fed_router import FedRouter
from uwsgi_router.router.app.feeding.owned_router import OwnedRouter
from uwsgi_router.router.app.feeding.post import FeedPost
from uwsgi_router.router.app.feeding.totals import RouterTotals
from uwsgi_router.router.app.gateway import Gateway
from uwsgi_router.router.app.tables import Tables
from uwsgi_router.router.certificates.listener import Certificates
from uwsgi_router.router.proxy.running import NodeLoad
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

    As long as an instance is the only one nothing is made here, and nothing noted for others.

    Args:
        seat: of the instance.
        tables: of the instance.
        restart: begins to check, save and announce the tables again, which another process has done meanwhile.

    Attributes:
        seat: see above.
        post: tells who is fed by whom, to be set before the start; None: there are no other processes.
        owner: that feeds others; None: this process is fed, or alone.
        feed: that feeds this process; None: it decides.
    """

    def __init__(self, seat: Seat, tables: Tables, restart: Callable[[], Awaitable[None]]) -> None:
        self.seat = seat
        self._all_tables = tables
        self._restart = restart
        self._shared: Shared | None = None
        self._caches = Caches()
        self._certificates: Certificates | None = None
        self._gateways: dict[str, Gateway] = {}
        self._owned_routers: dict[Gateway, OwnedRouter] = {}
        self._closing: list[Callable[[], None]] = []
        self.post: FeedPost | None = None
        self.owner: FeedOwner | None = None
        self.feed: Feed | None = None

    async def begin(
        self,
        shared: Shared,
        caches: Caches,
        gateways: Iterable[Gateway],
        certificates: Certificates,
    ) -> bool:
        """Take the tables over from whoever decided before, and feed the workers.

        In a worker return when its copies are whole. What is announced meanwhile waits.

        Args:
            shared: by the routers.
            caches: of the instance.
            gateways: the routers; they do not accept yet.
            certificates: of the instance.

        Returns:
            False if there was nothing to take.
        """
        self._shared, self._caches, self._certificates = shared, caches, certificates
        for gateway in gateways:
            self._add(gateway)
        if self.seat.role is Role.WHOLE and not self.seat.takes_over:
            if self.post is not None:
                self.post.workers(self._attach)
            return False
        self._all_tables.pause()
        return await self._take_seat(self.post or FeedPost())

    def _add(self, gateway: Gateway) -> None:
        """Take in a router of the instance."""
        name, count = f"router {gateway.name}", 1
        while name in self._gateways:
            count += 1
            name = f"router {gateway.name} {count}"
        self._gateways[name] = gateway
        for table in self._all_tables:
            if table.registry is gateway.registry:
                registry = table.registry
                if gateway.config.backend_connections is None:
                    # Otherwise the cores of nodes limit nothing.
                    registry.processes = max(registry.processes, gateway.config.workers)
                registry.number = self.seat.number

    async def _take_seat(self, post: FeedPost) -> bool:
        seat = self.seat
        if seat.role is Role.WORKER:
            feed = self._follow()
            await post.owner(self._fed_by)
            await feed.synced()
            return True
        owner = self._decide()
        owner.expect()
        post.workers(self._attach)
        taken = False
        if seat.takes_over:
            before = await post.predecessor()
            taken = before is not None and await owner.take(*before)
        asked = seat.role is Role.KEEPER and await post.complete()
        recovered = await owner.recover(asked=asked and not taken)
        return taken or recovered

    async def outlive_workers(self, seconds: float) -> None:
        """Return when no worker is fed any more, or after so long."""
        if self.owner is not None:
            try:
                async with asyncio.timeout(seconds):
                    await self.owner.deserted()
            except TimeoutError:
                pass

    # --- orders of the master ---

    async def hand_over(self, sock: socket.socket) -> None:
        """Let the process at the other end of ``sock`` decide over the tables from now on, and follow it."""
        await self._all_tables.leave_to_others()
        giving = list((self.owner or self._decide()).snapshot())
        self._follow(counted=True).attach(sock, giving=iter(giving))
        if self.post is not None:
            self.post.owners(self._fed_by)

    async def take_back(self) -> None:
        """Decide over the tables again, if they were handed over: the process that has them has been given up."""
        if self.seat.role is Role.WORKER or self.feed is None:
            return
        self._decide()
        if self.post is not None:
            self.post.workers(self._attach)
        await self._restart()
        self._all_tables.resume()

    def _attach(self, sock: socket.socket, worker: Worker) -> None:
        """Feed a worker; one that comes when this process does not decide any more is told so by the end."""
        if self.feed is not None:
            sock.close()
        else:
            (self.owner or self._decide()).attach(sock, worker)

    def _fed_by(self, sock: socket.socket) -> None:
        """Be fed over another socket, unless this process decides."""
        if self.feed is None:
            sock.close()
        else:
            self.feed.attach(sock)

    # --- deciding ---

    def _decide(self) -> FeedOwner:
        """Decide from now on, and feed those who are attached."""
        self.close()
        loop = self._loop
        owner = self.owner = FeedOwner(loop, self.seat.limits)
        for table, names in self._named().items():
            part = OwnedTable(names[0], table, owner.changed, loop.time)
            owner.add(part, names)
            self._closing.append(part.close)
        caches = OwnedCaches(self._caches, owner.changed)
        owner.add(caches)
        self._closing.append(caches.close)
        if self._certificates is not None:
            served = OwnedCertificates()
            owner.add(served)
            self._certificates.know_elsewhere(served.ends)
            self._closing.append(self._certificates.know_elsewhere)
        serves = self.seat.role is Role.WHOLE
        for name, gateway in self._gateways.items():
            router = OwnedRouter(name, gateway, owner.changed, serves=serves)
            owner.add(router)
            self._owned_routers[gateway] = router
            self._closing.append(router.close)
        self._closing.append(owner.close)
        return owner

    def source_of(self, gateway: Gateway) -> StatsSource:
        """Return the numbers of a router, of all processes that serve it."""
        if self.seat.role is not Role.KEEPER or self.owner is None:
            return gateway
        router = self._owned_routers[gateway]
        return RouterTotals(router, self._part_of(gateway), self.owner)

    def drain_streams(self, names: Collection[str], end: bool) -> None:
        """Have the workers watch event streams of the nodes with these names, or ``end`` these and WebSockets."""
        for router in self._owned_routers.values():
            router.drain_streams(names, end=end)

    async def loads(self) -> Mapping[tuple[str, str], NodeLoad]:
        """Ask the workers what the running requests of each node are, by key and name of the node."""
        questions = [router.ask_loads() for router in self._owned_routers.values()]
        found: dict[tuple[str, str], NodeLoad] = {}
        for loads in await asyncio.gather(*(question.wait() for question in questions)):
            for place, load in loads.items():
                found.setdefault(place, NodeLoad()).add(load)
        return found

    def _part_of(self, gateway: Gateway) -> OwnedTable | None:
        for table in self._all_tables:
            sharing = table.registry.sharing
            if table.registry is gateway.registry and isinstance(sharing, OwnedTable):
                return sharing
        return None

    # --- having a copy ---

    def _follow(self, *, counted: bool = False) -> Feed:
        """Have copies from now on, of what another process decides.

        Args:
            counted: that process knows what was counted here.
        """
        self.close()
        loop, upstreams = self._loop, self._running.upstreams
        feed = self.feed = Feed(loop, self.seat.limits)
        for table, names in self._named().items():
            part = FedTable(
                names[0],
                table,
                feed.urgent,
                loop.time,
                lambda node: upstreams.counts(node)[1],
            )
            if counted:
                part.count_from_now()
            feed.add(part, names)
            self._closing.append(part.close)
        feed.add(FedCaches(self._caches))
        if self._certificates is not None:
            feed.add(FedCertificates(self._certificates.store))
        first = True
        for name, gateway in self._gateways.items():
            router = FedRouter(name, gateway, feed.urgent, loop.time, log_lines=first)
            first = False
            if counted:
                router.count_from_now()
            feed.add(router)
            self._closing.append(router.close)
        self._closing.append(feed.detach)
        return feed

    def end(self) -> None:
        """Tell the owner the last numbers, and end."""
        if self.feed is not None:
            self.feed.report()
        self.close()

    def close(self) -> None:
        """Feed nobody, and be fed by nobody; may be called again."""
        # First the connections, so that nothing is told of what follows.
        for close in reversed(self._closing):
            close()
        self._closing.clear()
        self._owned_routers.clear()
        self.owner = None
        self.feed = None

    @property
    def _running(self) -> Shared:
        """Parts that the routers share; they have been made."""
        assert self._shared is not None
        return self._shared

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return self._running.loop

    def _named(self) -> dict[Table, list[str]]:
        names: dict[Table, list[str]] = {}
        for name, table in self._all_tables.by_address.items():
            names.setdefault(table, []).append(name)
        return names
