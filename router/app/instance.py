"""The whole program at work: sockets, tables, routers and stats, from their start to their end."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Sequence

from uwsgi_router.router.admin.cache_server import CacheServer
from uwsgi_router.router.admin.control.operator import Operator
from uwsgi_router.router.admin.control.server import ControlServer
from uwsgi_router.router.admin.stats.server import StatsServer
from uwsgi_router.router.app.caches import bind_cache_sockets, build_caches
from uwsgi_router.router.app.control_socket import bind_control_socket
from uwsgi_router.router.app.forwarders import build_forwarder
from uwsgi_router.router.app.gateway import Gateway
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import Configuration, HttpRouterConfig, RouterConfig
from uwsgi_router.router.fronts.http.front import HttpFront
from uwsgi_router.router.fronts.http.pages import ErrorPages
from uwsgi_router.router.fronts.uwsgi.front import UwsgiFront
from uwsgi_router.router.fronts.uwsgi.parser import UwsgiParser
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import BoundSocket, bind_datagram, bind_shared, bind_stream
from uwsgi_router.router.net.own import OwnAddresses
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.router.net.resolver import TTL, Resolver
from uwsgi_router.router.proxy.context import Timing
from uwsgi_router.router.proxy.upstream_pool import UpstreamPool
from uwsgi_router.router.report.access_log import AccessLog
from uwsgi_router.router.routing.cache_store import Caches
from uwsgi_router.router.routing.fixed import FixedForwarder
from uwsgi_router.router.routing.static import StaticForwarder
from uwsgi_router.router.table.prober import Prober
from uwsgi_router.router.table.resubscription import announced_by
from uwsgi_router.router.table.state_file import StateFile
from uwsgi_router.router.table.table import Table

log = logging.getLogger("uwsgi-router")

# How long the start waits for the first answers about the names of static nodes.
_FIRST_LOOK = 5.0


class Instance:
    """What a configuration describes, running.

    :meth:`bind` needs the rights of whoever started the program, everything later does not; so privileges are
    dropped in between.

    Args:
        configuration: checked already.
        inherited: sockets that are open already.
        timing: times that no option sets.
    """

    def __init__(
        self,
        configuration: Configuration,
        inherited: Inherited | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._timing = timing or Timing()
        self._configuration = configuration
        self._inherited = inherited or Inherited()
        self._shared: list[BoundSocket] = []
        self._streams: dict[RouterConfig, list[BoundSocket]] = {}
        self._redirecting: dict[RouterConfig, list[tuple[BoundSocket, int]]] = {}
        self._fronts: dict[RouterConfig, HttpFront] = {}
        self._access_logs: dict[RouterConfig, AccessLog] = {}
        self._datagrams: dict[str, list[BoundSocket]] = {}
        self._stats_sockets: dict[RouterConfig, list[BoundSocket]] = {}
        self._tables: dict[str, Table] = {}
        self._resubscribing: list[BoundSocket] = []
        self._state: StateFile | None = None
        self._probers: list[Prober] = []
        self._stats: list[StatsServer] = []
        self._caches = Caches()
        self._cache_sockets: list[BoundSocket] = []
        self._control_sockets: list[BoundSocket] = []
        self._control_server: ControlServer | None = None
        self._cache_server: CacheServer | None = None
        self._refresher: asyncio.Task[None] | None = None
        self._resolver: Resolver | None = None
        self._poller: Poller | None = None
        self._upstreams: UpstreamPool | None = None
        self._own = OwnAddresses()
        self.gateways: list[Gateway] = []

    def bind(self) -> None:
        """Open all sockets.

        Raises:
            StartError: if one can't be opened; then none stays open.
        """
        process = self._configuration.process
        try:
            self._caches = build_caches(process)
            self._shared = bind_shared(process, self._inherited)
            self._cache_sockets = bind_cache_sockets(process, self._inherited)
            self._control_sockets = bind_control_socket(process, self._inherited)
            for router in self._configuration.routers:
                streams = self._streams[router] = []
                for text in router.listen:
                    streams += bind_stream(text, process, self._inherited, self._shared)
                if isinstance(router, HttpRouterConfig):
                    self._prepare_http(router)
                    self._redirecting[router] = [
                        (bound, redirect.port or 0)
                        for redirect in router.redirects
                        for bound in bind_stream(
                            redirect.listen, process, self._inherited, self._shared
                        )
                    ]
                for text in router.subscription_servers:
                    if text not in self._datagrams:
                        self._datagrams[text] = self._bind_datagram(text)
                stats = self._stats_sockets[router] = []
                for text in router.stats:
                    stats += bind_stream(
                        text, process, self._inherited, self._shared, server_first=True
                    )
            subscription = self._configuration.subscription
            if subscription.resubscribe and subscription.resubscribe_bind is not None:
                self._resubscribing = bind_datagram(
                    subscription.resubscribe_bind, process, self._inherited
                )
        except BaseException:
            self.close_sockets()
            raise
        for unused in self._inherited.unused():
            log.warning(
                "the inherited socket %d (%s) is not in the configuration", unused.fd, unused.name
            )

    def _prepare_http(self, router: HttpRouterConfig) -> None:
        """Open the files of an HTTP router: later they may be out of reach.

        Raises:
            StartError: if one can't be opened.
        """
        try:
            pages = ErrorPages(router.error_pages)
            host = socket.gethostname().encode("ascii", "replace")
            self._fronts[router] = HttpFront(router, pages, host)
        except ValueError as exc:
            raise StartError(f"http-error-page: {exc}") from exc
        if router.access_log is not None:
            self._access_logs[router] = AccessLog(router.access_log, router.access_log_format)

    def reopen_logs(self) -> None:
        """Open log files by their names again: they have been renamed."""
        for access_log in self._access_logs.values():
            access_log.reopen()

    def _bind_datagram(self, text: str) -> list[BoundSocket]:
        bound = bind_datagram(text, self._configuration.process, self._inherited)
        subscription = self._configuration.subscription
        mode = subscription.chmod_socket
        if mode is None and subscription.tenants:
            # They are other users, who otherwise could not send there.
            mode = 0o666
        for one in bound:
            if one.file is not None and mode is not None:
                os.chmod(one.sock.getsockname(), mode)
        return bound

    def addresses(
        self, router: RouterConfig
    ) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Return where a router's listeners, subscription servers and stats really are, once they are bound."""
        datagrams = [
            bound for text in router.subscription_servers for bound in self._datagrams[text]
        ]
        streams, stats = self._streams[router], self._stats_sockets[router]
        listeners, servers, documents = (
            tuple(bound.address for bound in group) for group in (streams, datagrams, stats)
        )
        return listeners, servers, documents

    def close_sockets(self) -> None:
        """Close every socket that :meth:`bind` opened, and remove socket files that are ours."""
        for group in self._groups():
            for bound in group:
                bound.unlink()
                bound.close()

    def _groups(self) -> list[Sequence[BoundSocket]]:
        """Every socket that was bound."""
        return [
            self._shared,
            self._cache_sockets,
            self._control_sockets,
            self._resubscribing,
            *self._streams.values(),
            *self._datagrams.values(),
            *self._stats_sockets.values(),
            *([bound for bound, _port in group] for group in self._redirecting.values()),
        ]

    async def start(self) -> None:
        """Begin to serve on the bound sockets."""
        loop = asyncio.get_running_loop()
        streams = [bound.sock for group in self._streams.values() for bound in group]
        self._resolver = Resolver(loop, OwnAddresses(streams).__contains__)
        self._own = OwnAddresses(bound.sock for group in self._groups() for bound in group)
        self._poller = Poller(loop)
        self._upstreams = UpstreamPool(loop, self._poller, self._timing.tick)
        if self._cache_sockets:
            self._cache_server = CacheServer(
                self._cache_sockets,
                self._caches,
                loop=loop,
                # Clients hear of ends in it; items end on the loop's clock.
                wall_clock=time.time,  # noqa: TID251
            )
            self._cache_server.start()
        for access_log in self._access_logs.values():
            access_log.start(loop)
        for router in self._configuration.routers:
            self._start_router(router, loop)
        self._start_tables(loop)
        if self._control_sockets:
            self._control_server = ControlServer(self._control_sockets, self.operator(), loop=loop)
            self._control_server.start()
        if any(_has_names(gateway) for gateway in self.gateways):
            try:
                async with asyncio.timeout(_FIRST_LOOK * 2):
                    await self._resolve_all()
            except TimeoutError:
                log.warning("names are still being resolved; their nodes follow")
            self._refresher = loop.create_task(self._keep_resolving())
        for gateway in self.gateways:
            gateway.start(self._streams[gateway.config], self._redirecting.get(gateway.config, ()))

    def _start_router(self, router: RouterConfig, loop: asyncio.AbstractEventLoop) -> None:
        configuration = self._configuration
        assert self._resolver is not None
        assert self._poller is not None
        assert self._upstreams is not None
        table = self._table_of(router, loop)
        streams = self._streams[router]
        gateway = Gateway(
            router,
            self._fronts.get(router) or _uwsgi_front(router),
            loop=loop,
            forwarder=build_forwarder(
                router,
                configuration.process.worker_sockets,
                table,
                loop,
                caches=self._caches,
                resolver=self._resolver,
            ),
            static_nodes=StaticForwarder(router.to, router.gracetime, last_resort=False).nodes,
            fallback=FixedForwarder(router.fallback),
            resolver=self._resolver,
            poller=self._poller,
            upstreams=self._upstreams,
            timing=self._timing,
            access_log=self._access_logs.get(router),
            registry=table.registry if table is not None else None,
            sockets=[*(bound.name for bound in streams), *router.subscription_servers],
        )
        self.gateways.append(gateway)
        if table is not None:
            table.used_by(gateway)
        listeners = self._stats_sockets[router]
        if listeners:
            server = StatsServer(
                listeners,
                gateway,
                loop=loop,
                # Shown only; everything that decides runs on the loop's clock.
                wall_clock=time.time,  # noqa: TID251
                wait_for_http=configuration.process.stats_http,
                minified=configuration.process.stats_minified,
            )
            server.start()
            self._stats.append(server)

    def _table_of(self, router: RouterConfig, loop: asyncio.AbstractEventLoop) -> Table | None:
        """Return the router's table: one that already has one of its addresses, or a new one."""
        if not router.subscription_servers:
            return None
        known = [self._tables[text] for text in router.subscription_servers if text in self._tables]
        if any(table is not known[0] for table in known):
            raise StartError(
                f"{router.kind}-subscription-server: these addresses belong to different tables: "
                + ", ".join(router.subscription_servers)
            )
        subscription, is_own = self._configuration.subscription, self._own.__contains__
        table = known[0] if known else Table(subscription, loop, is_own=is_own)
        fresh = [text for text in router.subscription_servers if text not in self._tables]
        for text in fresh:
            self._tables[text] = table
        table.start([bound for text in fresh for bound in self._datagrams[text]])
        return table

    def _start_tables(self, loop: asyncio.AbstractEventLoop) -> None:
        """Fill the tables with what was saved, check their nodes, and announce them to other routers."""
        subscription = self._configuration.subscription
        if subscription.state is not None:
            tables = {self._name_of(table): table for table in self._tables_in_use()}
            # Its times have to mean something to the next run.
            wall_clock = time.time  # noqa: TID251
            self._state = StateFile(subscription.state, tables, loop, wall_clock=wall_clock)
            self._state.restore()
            self._state.start()
        if subscription.check is not None:
            assert self._resolver is not None
            for table in self._tables_in_use():
                prober = Prober(
                    subscription.check, table.registry, table.report, self._resolver, loop
                )
                table.watch(prober.note)
                self._probers.append(prober)
        if not subscription.resubscribe:
            return
        for table in self._tables_in_use():
            announced = announced_by(
                [
                    ("uwsgi" if router.kind == "fastrouter" else "http", self._streams[router])
                    for router in self._configuration.routers
                    if any(self._tables[text] is table for text in router.subscription_servers)
                ]
            )
            if announced is not None:
                table.resubscribe(announced, [bound.sock for bound in self._resubscribing])

    async def _withdraw(self) -> None:
        """Tell other routers that this one goes; what they send meanwhile is still served."""
        if any(bound.inherited for group in self._streams.values() for bound in group):
            # The next process takes these listeners over, and requests wait there for it.
            return
        for table in self._tables_in_use():
            await table.withdraw()

    def operator(self) -> Operator:
        """Return what sees and steers the tables; to be called once it has started."""
        tables = {self._name_of(table): table for table in self._tables_in_use()}
        return Operator(tables, asyncio.get_running_loop().time)

    def _tables_in_use(self) -> list[Table]:
        return list(dict.fromkeys(self._tables.values()))

    def _name_of(self, table: Table) -> str:
        """Return a table's first address, by which its part of a state file is known."""
        return next(text for text, other in self._tables.items() if other is table)

    async def _resolve_all(self) -> None:
        assert self._resolver is not None
        for gateway in self.gateways:
            forwarder = gateway.forwarder
            if not isinstance(forwarder, StaticForwarder):
                continue
            for index, address in forwarder.names.items():
                try:
                    async with asyncio.timeout(_FIRST_LOOK):
                        found = await self._resolver.resolve(address)
                except OSError as exc:
                    log.warning(
                        "%s-to = %s: its name can't be resolved: %s", gateway.name, address, exc
                    )
                    continue
                if forwarder.resolved(index, found):
                    names = ", ".join(
                        str(where[1][0]) for where in found if isinstance(where[1], tuple)
                    )
                    log.info("%s-to = %s: now %s", gateway.name, address, names)

    async def _keep_resolving(self) -> None:
        while True:
            await asyncio.sleep(TTL)
            await self._resolve_all()

    async def stop(self, mercy: float) -> None:
        """Stop accepting, let requests finish for up to ``mercy`` seconds, end the rest; close everything."""
        await self._withdraw()
        for gateway in self.gateways:
            gateway.stop_accepting()
        left = sum(gateway.active_sessions for gateway in self.gateways)
        if mercy and left:
            log.info("%d requests are finishing, they have %g s", left, mercy)
            try:
                async with asyncio.timeout(mercy):
                    for gateway in self.gateways:
                        await gateway.drained()
            except TimeoutError:
                left = sum(gateway.active_sessions for gateway in self.gateways)
                log.warning("reload-mercy=%g is over: %d requests are cut off", mercy, left)
        for gateway in self.gateways:
            gateway.abort()
            gateway.forwarder.close()
        # Not before: while requests finish one may want to see where.
        for asked in (self._cache_server, self._control_server):
            if asked is not None:
                await asked.close()
        await self._stop_tables()
        for server in self._stats:
            server.close()
        if self._refresher is not None:
            self._refresher.cancel()
        if self._resolver is not None:
            self._resolver.close()
        if self._upstreams is not None:
            self._upstreams.close()
        for access_log in self._access_logs.values():
            access_log.close()
        if self._poller is not None:
            self._poller.close()
        self.close_sockets()

    async def _stop_tables(self) -> None:
        """Check nobody any more, save the tables, and listen to announces no more."""
        for prober in self._probers:
            await prober.close()
        if self._state is not None:
            await self._state.close()
        for table in self._tables_in_use():
            table.close()


def _uwsgi_front(config: RouterConfig) -> UwsgiFront:
    force_key = config.force_key
    return UwsgiFront(
        UwsgiParser(
            force_key=force_key.encode("utf-8", "surrogateescape") if force_key else None,
            keep_modifiers=config.keep_modifiers,
        )
    )


def _has_names(gateway: Gateway) -> bool:
    return isinstance(gateway.forwarder, StaticForwarder) and bool(gateway.forwarder.names)
