"""Assembly of one router from its configuration: sockets, front, forwarder, gateway, statistics port."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from uwsgi_router.protocol.address import Address
from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.router.admin.stats.server import StatsServer, load_metrics
from uwsgi_router.router.admin.stats.source import StatsSource
from uwsgi_router.router.app.forwarders import build_forwarder
from uwsgi_router.router.app.gateway import Gateway
from uwsgi_router.router.certificates.errors import CertificateFault
from uwsgi_router.router.certificates.listener import Certificates
from uwsgi_router.router.certificates.nodes import NodeTls
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import (
    CertificateFiles,
    HttpRouterConfig,
    ProcessConfig,
    RawRouterConfig,
    RouterConfig,
)
from uwsgi_router.router.fronts.http.front import HttpFront
from uwsgi_router.router.fronts.http.pages import ErrorPages
from uwsgi_router.router.fronts.raw.front import RawFront
from uwsgi_router.router.fronts.uwsgi.front import UwsgiFront
from uwsgi_router.router.fronts.uwsgi.parser import UwsgiParser
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.descriptors import Descriptors
from uwsgi_router.router.net.listeners import BoundSocket, bind_stream
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.net.zerg_listeners import bind_zerg
from uwsgi_router.router.proxy.context import Timing
from uwsgi_router.router.proxy.front import Front
from uwsgi_router.router.proxy.upstream_pool import UpstreamPool
from uwsgi_router.router.report.access_log import AccessLog
from uwsgi_router.router.routing.cache_store import Caches
from uwsgi_router.router.routing.fixed import FixedForwarder
from uwsgi_router.router.routing.on_demand import OnDemandKeys
from uwsgi_router.router.routing.static import StaticForwarder
from uwsgi_router.router.table.table import Table
from uwsgi_router.subscriptions.health import Ejections


class Shared:
    """Shared parts of routers that use the same connections and tables.

    Attributes:
        loop: the event loop.
        poller: of all connections.
        upstreams: connections to HTTP nodes.
        resolver: of nodes' names.
        ejections: of configured nodes that fail requests.
        descriptors: of this process.
        timing: times that no option sets.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        is_own: Callable[[Address], bool],
        ejections: Ejections,
        timing: Timing,
    ) -> None:
        self.loop = loop
        self.poller = Poller(loop)
        self.upstreams = UpstreamPool(loop, self.poller, timing.tick)
        self.resolver = Resolver(loop, is_own)
        self.ejections = ejections
        self.descriptors = Descriptors()
        self.timing = timing

    def close(self) -> None:
        """Release everything."""
        self.resolver.close()
        self.upstreams.close()
        self.poller.close()


class AssembledRouter:
    """Router with all its parts, from its binding to its end.

    Args:
        config: see below.
        timing: times that no option sets.

    Attributes:
        config: checked already.
        streams: its listeners.
        secure: listeners whose clients speak TLS, and the certificates that they have unless another name is asked for.
        redirecting: listeners whose requests are redirected to https, and to which port.
        stats: where its statistics are served.
        node_tls: of its connections to nodes that speak TLS.
        access_log: where requests get a line each, or None.
        gateway: the router at work, once it was made.
    """

    def __init__(self, config: RouterConfig, timing: Timing) -> None:
        self.config = config
        self._timing = timing
        self.streams: list[BoundSocket] = []
        self.redirecting: list[tuple[BoundSocket, int]] = []
        self.secure: list[tuple[BoundSocket, CertificateFiles]] = []
        self.stats: list[BoundSocket] = []
        self.access_log: AccessLog | None = None
        self._front: Front | None = None
        self.node_tls = NodeTls(config)
        self.gateway: Gateway | None = None
        self._stats_server: StatsServer | None = None

    def bind(self, process: ProcessConfig, inherited: Inherited, shared: list[BoundSocket]) -> None:
        """Open sockets and files: later they may be out of reach.

        Raises:
            StartError: if one can't be opened.
        """
        config = self.config
        for text in config.listen:
            self.streams += bind_stream(
                text,
                process,
                inherited,
                shared,
                server_first=config.server_first,
                workers=config.workers,
            )
        for path in config.zerg:
            self.streams += bind_zerg(path, process, inherited)
        self._front = FRONTS[config.kind](config)
        try:
            self.node_tls.load()
        except CertificateFault as exc:
            raise StartError(
                f"{config.kind}-backend-ca, {config.kind}-backend-certificate: {exc}"
            ) from exc
        if config.access_log is not None:
            self.access_log = AccessLog(
                config.access_log, config.access_log_format, delay=self._timing.log_delay
            )
        for one in config.secured:
            bound = bind_stream(one.listen, process, inherited, shared, workers=config.workers)
            self.secure += [(sock, one.files) for sock in bound]
        if isinstance(config, HttpRouterConfig):
            for redirect in config.redirects:
                bound = bind_stream(
                    redirect.listen, process, inherited, shared, workers=config.workers
                )
                self.redirecting += [(one, redirect.port or 0) for one in bound]
        if config.stats:
            # Whoever this process becomes may not read Python's files.
            load_metrics()
        for text in config.stats:
            self.stats += bind_stream(text, process, inherited, shared, server_first=True)

    def sockets(self) -> Iterator[BoundSocket]:
        """Yield what was bound."""
        yield from self.streams
        yield from self.stats
        for bound, _port in self.redirecting:
            yield bound
        for bound, _files in self.secure:
            yield bound

    def make(
        self,
        shared: Shared,
        process: ProcessConfig,
        caches: Caches,
        table: Table | None,
        certificates: Certificates,
        request_ids: str = "",
        on_demand: str | None = None,
    ) -> Gateway:
        """Make the gateway; it accepts nothing yet.

        Args:
            shared: with other routers.
            process: of the configuration.
            caches: for forwarders that read one.
            table: of announced nodes.
            certificates: of the process.
            request_ids: part of all request ids of this process.
            on_demand: directory with the keys of on-demand vassals; None: there are none.

        Raises:
            StartError: if what is configured can't be used safely.
        """
        config, loop = self.config, shared.loop
        assert self._front is not None
        if self.access_log is not None:
            self.access_log.start(loop)
        gateway = self.gateway = Gateway(
            config,
            self._front,
            loop=loop,
            forwarder=build_forwarder(
                config,
                process.worker_sockets,
                table,
                loop,
                poller=shared.poller,
                caches=caches,
                resolver=shared.resolver,
                ejections=shared.ejections,
                on_demand=None if on_demand is None else OnDemandKeys(on_demand, loop.time),
            ),
            fallback=FixedForwarder(config.fallback, config.default_proto, shared.ejections),
            resolver=shared.resolver,
            poller=shared.poller,
            upstreams=shared.upstreams,
            descriptors=shared.descriptors,
            timing=shared.timing,
            access_log=self.access_log,
            request_ids=request_ids,
            registry=table.registry if table is not None else None,
            sockets=[*(bound.name for bound in self.streams), *config.subscription_servers],
            static_nodes=StaticForwarder(
                config.to, config.gracetime, last_resort=False, proto=config.default_proto
            ).nodes,
            certificates=certificates,
            node_tls=self.node_tls,
        )
        if table is not None:
            table.used_by(gateway)
        return gateway

    def serve_stats(
        self, loop: asyncio.AbstractEventLoop, process: ProcessConfig, source: StatsSource
    ) -> None:
        """Serve statistics.

        Args:
            loop: the event loop.
            process: of the configuration.
            source: of the numbers.
        """
        if self.stats:
            self._stats_server = StatsServer(
                self.stats,
                source,
                loop=loop,
                # Shown only; everything that decides runs on the loop's clock.
                wall_clock=time.time,  # noqa: TID251
                wait_for_http=process.stats_http,
                minified=process.stats_minified,
                ready=self._listens,
            )
            self._stats_server.start()

    def _listens(self) -> bool:
        return self.gateway is not None and not self.gateway.connections.stopping

    def accept(self) -> None:
        """Begin to accept, once it was made."""
        assert self.gateway is not None
        self.gateway.start(self.streams, self.redirecting, self.secure)

    def hand_on_stats(self) -> None:
        """Serve statistics to nobody who comes now: another process does."""
        if self._stats_server is not None:
            self._stats_server.stop_accepting()

    async def close_stats(self) -> None:
        """Serve statistics no more."""
        if self._stats_server is not None:
            await self._stats_server.close()

    def close_log(self) -> None:
        """Write the last lines of the access log."""
        if self.access_log is not None:
            self.access_log.close()


def _uwsgi(config: RouterConfig) -> Front:
    force_key = config.force_key
    return UwsgiFront(
        UwsgiParser(
            force_key=to_bytes(force_key) if force_key else None,
            keep_modifiers=config.keep_modifiers,
        )
    )


def _http(config: RouterConfig) -> Front:
    assert isinstance(config, HttpRouterConfig)
    try:
        pages = ErrorPages(config.error_pages)
    except ValueError as exc:
        raise StartError(f"http-error-page: {exc}") from exc
    return HttpFront(config, pages, socket.gethostname().encode("ascii", "replace"))


def _raw(config: RouterConfig) -> Front:
    assert isinstance(config, RawRouterConfig)
    return RawFront(config)


#: Who makes the front of a router, by its kind.
FRONTS: Final[Mapping[str, Callable[[RouterConfig], Front]]] = {
    "fastrouter": _uwsgi,
    "http": _http,
    "rawrouter": _raw,
    "sslrouter": _raw,
}
