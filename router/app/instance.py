"""Instance: all routers and tables of a configuration, from start to stop."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from uwsgi_router.router.admin.cache_server import CacheServer
from uwsgi_router.router.admin.control.operator import Operator
from uwsgi_router.router.admin.control.server import ControlServer, Reload
from uwsgi_router.router.app.assembly import AssembledRouter, Shared
from uwsgi_router.router.app.caches import bind_cache_sockets, build_caches
from uwsgi_router.router.app.commons import Commons
from uwsgi_router.router.app.control_socket import bind_control_socket
from uwsgi_router.router.app.feeding.feeding import Feeding, Role, Seat
from uwsgi_router.router.app.file_watch import FileWatch
from uwsgi_router.router.app.gateway import Gateway
from uwsgi_router.router.app.jail import Jail
from uwsgi_router.router.app.names import Names
from uwsgi_router.router.app.summary import summary
from uwsgi_router.router.app.vassal_sockets import emperors_socket, on_demand_directory
from uwsgi_router.router.certificates.listener import Certificates
from uwsgi_router.router.config.model import Configuration, RouterConfig
from uwsgi_router.router.net.acceptor import Acceptor
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import BoundSocket, bind_shared
from uwsgi_router.router.proxy.context import Timing
from uwsgi_router.router.report.access_log import AccessLog
from uwsgi_router.router.routing.cache_store import Caches
from uwsgi_router.router.table.timing import TableTiming

log = logging.getLogger("uwsgi-router")


@dataclass(frozen=True, slots=True)
class HandOn:
    """Order to leave everything to another process.

    Attributes:
        leaving: kinds and addresses that it does not have.
        idle: seconds in which idle connections may have a last request.
        mercy: seconds for requests.
        streams: seconds for WebSockets and event streams.
        left: called once nothing more is accepted.
    """

    leaving: frozenset[tuple[int, str]]
    idle: float
    mercy: float
    streams: float
    left: Callable[[], object] = lambda: None


class Instance:
    """Instance of a configuration, running.

    :meth:`bind` needs the rights of whoever started the program, everything later does not; so privileges are
    dropped in between.

    Args:
        configuration: checked already.
        inherited: sockets that are open already.
        timing: of the routers: times that no option sets.
        table_timing: likewise, of the tables of announced nodes.
        jails: routers for jails, which it binds and does not start.
        commons: what it shares with other instances of the program; None: nothing.
        seat: its place among the processes of the program; None: it is the only one.

    Attributes:
        jails: see above.
        routers: in the order of the configuration.
        tables: of announced nodes.
        shared: what the routers share, once it has started.
        feeding: decides over the tables, or has copies.
        reload: asks the master for a reload, as :class:`ControlServer` does.
    """

    def __init__(
        self,
        configuration: Configuration,
        inherited: Inherited | None = None,
        timing: Timing | None = None,
        table_timing: TableTiming | None = None,
        jails: Sequence[Jail] = (),
        commons: Commons | None = None,
        seat: Seat | None = None,
    ) -> None:
        self._configuration = configuration
        self._inherited = inherited or Inherited()
        self._timing = timing or Timing()
        self.routers = [AssembledRouter(config, self._timing) for config in configuration.routers]
        seat = seat or Seat()
        self._commons = commons or Commons(
            configuration.subscription,
            self._timing,
            table_timing,
            reads=seat.role is not Role.WORKER,
        )
        self.tables = self._commons.tables
        self.jails = jails
        self.shared: Shared | None = None
        self.feeding = Feeding(seat, self.tables, lambda: self._commons.start(restore=False))
        self.reload: Reload = lambda _who, _sock: False
        self._caches = Caches()
        defaults = [one.files for router in configuration.routers for one in router.secured]
        self.certificates = Certificates(configuration.tls, configuration.subscription, defaults)
        self._shared_sockets: list[BoundSocket] = []
        self._cache_sockets: list[BoundSocket] = []
        self._control_sockets: list[BoundSocket] = []
        self._control_server: ControlServer | None = None
        self._cache_server: CacheServer | None = None
        self._names: Names | None = None
        self._borrowed: list[tuple[int, Gateway, Acceptor]] = []
        self._file_watch: FileWatch | None = None

    @property
    def gateways(self) -> list[Gateway]:
        """The routers at work: all of them, once it has started."""
        return [gateway for router in self.routers if (gateway := router.gateway) is not None]

    # --- sockets ---

    def bind(self) -> None:
        """Open all sockets.

        Raises:
            StartError: if one can't be opened; then none stays open.
        """
        process, inherited = self._configuration.process, self._inherited
        try:
            self._caches = build_caches(process)
            self._shared_sockets = bind_shared(process, inherited)
            self._cache_sockets = bind_cache_sockets(process, inherited)
            self._control_sockets = bind_control_socket(process, inherited)
            for router in self.routers:
                router.bind(process, inherited, self._shared_sockets)
            self._commons.join(self, self.routers, process, inherited)
            for jail in self.jails:
                jail.bind(inherited, self._shared_sockets)
        except BaseException:
            self.close_sockets()
            raise
        for unused in inherited.unused():
            log.warning(
                "the inherited socket %d (%s) is not in the configuration", unused.fd, unused.name
            )

    def addresses(
        self, config: RouterConfig
    ) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Return the real addresses of a router's listeners, subscription servers and stats, once they are bound."""
        (router,) = (one for one in self.routers if one.config is config)
        streams = [*router.streams, *(bound for bound, _files in router.secure)]
        groups = (streams, self.tables.servers_of(config), router.stats)
        listeners, servers, documents = (
            tuple(bound.address for bound in group) for group in groups
        )
        return listeners, servers, documents

    def summaries(self) -> Iterator[tuple[str, str]]:
        """Yield kinds of routers, and lines that say where each listens and where its requests go."""
        for router in self.routers:
            for line in summary(router, self.tables.servers_of(router.config)):
                yield router.config.kind, line

    @property
    def access_logs(self) -> list[AccessLog]:
        """Access logs of the routers, once they are bound."""
        return [router.access_log for router in self.routers if router.access_log is not None]

    def close_sockets(self) -> None:
        """Close every socket that :meth:`bind` opened, and remove socket files that are ours."""
        for bound in self._sockets():
            bound.unlink()
            bound.close()
        for jail in self.jails:
            jail.close_sockets()
        self._commons.release(self)

    def replace(self, kind: int, text: str, place: int, sock: socket.socket) -> None:
        """Go on with another socket of an address: the master has bound it again.

        Args:
            kind: SOCK_STREAM or SOCK_DGRAM.
            text: the address as configured.
            place: number of the socket among those of the address.
            sock: the new one.
        """
        known = [
            bound
            for bound in (*self._sockets(), *self._commons.sockets())
            if bound.name == text and bound.sock.type == kind and bound.can_be_replaced
        ]
        if place >= len(known):
            sock.close()
            return
        known[place].replace(sock, None)
        if self.shared is not None:
            self._enter()

    def borrow(self, slot: int, text: str, sock: socket.socket) -> None:
        """Accept also on a socket of another worker, which has died.

        Args:
            slot: of that worker.
            text: the address as configured.
            sock: its socket.
        """
        bound = BoundSocket(sock, text, held=True)
        for gateway in self.gateways:
            acceptor = gateway.borrow(bound)
            if acceptor is not None:
                self._borrowed.append((slot, gateway, acceptor))
                return
        sock.close()

    def give_back(self, slot: int) -> None:
        """Accept no more on the sockets of another worker, which is back."""
        for number, gateway, acceptor in self._borrowed:
            if number == slot:
                gateway.give_back(acceptor)
        self._borrowed = [one for one in self._borrowed if one[0] != slot]

    def _sockets(self) -> Iterator[BoundSocket]:
        """Yield every socket that was bound, but for those of the tables."""
        yield from self._shared_sockets
        yield from self._cache_sockets
        yield from self._control_sockets
        for router in self.routers:
            yield from router.sockets()

    def _streams(self) -> Iterator[BoundSocket]:
        """Yield the listeners of all routers."""
        for router in self.routers:
            yield from router.streams
            yield from (bound for bound, _files in router.secure)

    def _enter(self) -> Shared:
        """Tell which sockets are its own now, and return what it shares with others."""
        streams = [bound.sock for bound in self._streams()]
        return self._commons.enter(self, streams, [bound.sock for bound in self._sockets()])

    # --- its life ---

    async def start(self) -> None:
        """Begin to serve on the bound sockets."""
        loop = asyncio.get_running_loop()
        process = self._configuration.process
        shared = self.shared = self._enter()
        sleepers = on_demand_directory(self._configuration, os.environ)
        for router in self.routers:
            table = self.tables.table_of(router.config, loop, self._commons.is_own)
            ids = self.feeding.seat.request_ids
            router.make(shared, process, self._caches, table, self.certificates, ids, sleepers)
        taken = await self.feeding.begin(shared, self._caches, self.gateways, self.certificates)
        for router, gateway in zip(self.routers, self.gateways, strict=True):
            router.serve_stats(loop, process, self.feeding.source_of(gateway))
        if self._cache_sockets:
            self._cache_server = CacheServer(
                self._cache_sockets,
                self._caches,
                loop=loop,
                # Clients hear of ends in it; items end on the loop's clock.
                wall_clock=time.time,  # noqa: TID251
            )
            self._cache_server.start()
        await self._commons.start(restore=not taken)
        self.tables.resume()
        if self._control_sockets:
            self._control_server = ControlServer(
                self._control_sockets,
                self.operator(),
                loop=loop,
                reload=self.reload,
                emperor=emperors_socket(self._configuration, os.environ),
            )
            self._control_server.start()
        if self.feeding.seat.role is not Role.KEEPER:
            self._names = Names(self.gateways, shared.resolver, loop, self._timing)
            await self._names.start()
            for router in self.routers:
                router.accept()
        if self.feeding.seat.role is not Role.WORKER:
            # They are valid by the calendar. One process of several says so: the keeper.
            self.certificates.watch(loop, time.time)  # noqa: TID251
        # Those of acceptors are known only now.
        interval = self._timing.look_at_files
        self._file_watch = FileWatch(self._sockets(), process, loop, self._enter, interval=interval)
        self._file_watch.start()

    def operator(self) -> Operator:
        """Return the operator of all nodes; to be called once it has started."""
        configured = [nodes for gateway in self.gateways for nodes in gateway.configured]
        keeps = self.feeding.seat.role is Role.KEEPER
        return self.tables.operator(
            configured,
            self.certificates.ends,
            [gateway.connections for gateway in self.gateways],
            self.feeding if keeps else None,
        )

    async def stop(self, mercy: float) -> None:
        """Stop accepting, let requests finish for up to ``mercy`` seconds, end the rest; close everything."""
        if self._file_watch is not None:
            self._file_watch.close()
        self.certificates.close()
        if not any(bound.inherited for bound in self._streams()):
            # Otherwise the next process takes these listeners over, and requests wait there for it.
            await self._commons.withdraw(self)
        for gateway in self.gateways:
            gateway.stop_accepting()
        await self._finish(mercy)
        await self._end()

    async def hand_on(self, order: HandOn) -> None:
        """Leave everything to another process: accept no more, finish what runs, end the rest."""
        for service in (self._cache_server, self._control_server):
            if service is not None:
                service.stop_accepting()
        for router in self.routers:
            router.hand_on_stats()
        for gateway in self.gateways:
            gateway.hand_on(order.leaving, order.idle)
        order.left()
        loop = asyncio.get_running_loop()
        ending = loop.call_later(order.streams, self._end_streams)
        await self._finish(max(order.mercy, order.streams))
        ending.cancel()
        await self._end()

    def _end_streams(self) -> None:
        for gateway in self.gateways:
            gateway.connections.end_streams()

    async def _end(self) -> None:
        """End what still runs, and close everything."""
        for gateway in self.gateways:
            gateway.abort()
            gateway.forwarder.close()
        # Not before: while requests finish one may want to see where.
        for asked in (self._cache_server, self._control_server):
            if asked is not None:
                await asked.close()
        await self._commons.leave(self)
        self.feeding.end()
        for router in self.routers:
            await router.close_stats()
        if self._names is not None:
            self._names.close()
        for router in self.routers:
            router.close_log()
        self.close_sockets()

    async def _finish(self, mercy: float) -> None:
        """Let requests finish for up to ``mercy`` seconds; in the keeper those of the workers."""
        if self.feeding.seat.role is Role.KEEPER:
            await self.feeding.outlive_workers(mercy)
            return
        if not (mercy and any(gateway.active_sessions for gateway in self.gateways)):
            return
        left = self._running
        if left:
            log.info("%d requests are finishing, they have %g s", left, mercy)
        try:
            async with asyncio.timeout(mercy):
                for gateway in self.gateways:
                    await gateway.drained()
        except TimeoutError:
            left = self._running
            if left:
                log.warning("reload-mercy=%g is over: %d requests are cut off", mercy, left)

    @property
    def _running(self) -> int:
        return sum(gateway.running for gateway in self.gateways)
