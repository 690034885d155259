"""The whole program at work: sockets, tables, routers and stats, from their start to their end."""

import asyncio
import logging
import time
from collections.abc import Sequence

from router.access_log import AccessLog
from router.cache.build import bind_cache_sockets, build_caches
from router.cache.server import CacheServer
from router.cache.store import Caches
from router.config import Configuration, HttpRouterConfig, RouterConfig
from router.engine.gateway import Gateway
from router.engine.upstreams import Upstreams
from router.forwarders.build import build_forwarder
from router.forwarders.fixed import FixedForwarder
from router.forwarders.static import StaticForwarder
from router.fronts.http import HttpFront
from router.net.activation import Inherited
from router.net.listeners import BoundSocket, bind_datagram, bind_shared, bind_stream
from router.net.poller import Poller
from router.net.resolver import TTL, Resolver
from router.process import StartError
from router.stats.server import StatsServer
from router.table import Table

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
    """

    def __init__(self, configuration: Configuration, inherited: Inherited | None = None) -> None:
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
        self._stats: list[StatsServer] = []
        self._caches = Caches()
        self._cache_sockets: list[BoundSocket] = []
        self._cache_server: CacheServer | None = None
        self._refresher: asyncio.Task[None] | None = None
        self._resolver: Resolver | None = None
        self._poller: Poller | None = None
        self._upstreams: Upstreams | None = None
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
                        self._datagrams[text] = bind_datagram(text, process, self._inherited)
                stats = self._stats_sockets[router] = []
                for text in router.stats:
                    stats += bind_stream(
                        text, process, self._inherited, self._shared, server_first=True
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
            self._fronts[router] = HttpFront(router)
        except ValueError as exc:
            raise StartError(f"http-error-page: {exc}") from exc
        if router.access_log is not None:
            self._access_logs[router] = AccessLog(router.access_log, router.access_log_format)

    def reopen_logs(self) -> None:
        """Open log files by their names again: they have been renamed."""
        for access_log in self._access_logs.values():
            access_log.reopen()

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
        groups: list[Sequence[BoundSocket]] = [self._shared, self._cache_sockets]
        groups += [
            *self._streams.values(),
            *self._datagrams.values(),
            *self._stats_sockets.values(),
            *([bound for bound, _port in group] for group in self._redirecting.values()),
        ]
        for group in groups:
            for bound in group:
                bound.unlink()
                bound.close()

    async def start(self) -> None:
        """Begin to serve on the bound sockets."""
        loop = asyncio.get_running_loop()
        self._resolver = Resolver(loop)
        self._poller = Poller(loop)
        self._upstreams = Upstreams(loop)
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
            front=self._fronts.get(router),
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
        table = known[0] if known else Table(self._configuration.subscription, loop)
        fresh = [text for text in router.subscription_servers if text not in self._tables]
        for text in fresh:
            self._tables[text] = table
        table.start([bound for text in fresh for bound in self._datagrams[text]])
        return table

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
        if self._cache_server is not None:
            await self._cache_server.close()
        for table in self._tables.values():
            table.close()
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


def _has_names(gateway: Gateway) -> bool:
    return isinstance(gateway.forwarder, StaticForwarder) and bool(gateway.forwarder.names)
