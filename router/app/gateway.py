"""Gateway: one configured router at work (uWSGI: core/gateway.c)."""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable, Collection, Mapping, Sequence

from uwsgi_router.router.admin.control.nodes import ConfiguredNodes
from uwsgi_router.router.certificates.expiry import CertificateEnd
from uwsgi_router.router.certificates.listener import Certificates
from uwsgi_router.router.certificates.nodes import NodeTls
from uwsgi_router.router.config.model import CertificateFiles, RouterConfig
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.log import dropped_lines
from uwsgi_router.router.net.acceptor import Acceptor, Peer
from uwsgi_router.router.net.descriptors import Descriptors
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.net.openssl import BareSocket
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.net.tls_link import TlsLink
from uwsgi_router.router.proxy.attempts import RoutingPolicy
from uwsgi_router.router.proxy.connection import Connections
from uwsgi_router.router.proxy.connection_limits import ConnectionLimits
from uwsgi_router.router.proxy.context import Context, Site, Timing
from uwsgi_router.router.proxy.front import Front, Listener
from uwsgi_router.router.proxy.handshake import Handshake, Handshakes
from uwsgi_router.router.proxy.refused import MAX_REFUSED, RefusedConnection
from uwsgi_router.router.proxy.upstream_pool import UpstreamPool
from uwsgi_router.router.report.access_log import AccessLog
from uwsgi_router.router.report.counters import Counters
from uwsgi_router.router.report.requests import Reporter
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.router.routing.configured import ConfiguredForwarder, UnannouncedNode
from uwsgi_router.router.routing.static import StaticForwarder, StaticNode
from uwsgi_router.subscriptions.events import (
    Event,
    NodeAdded,
    NodeEnabled,
    NodeFailed,
    NodeHealthy,
    NodeRefreshed,
    NodeRemoved,
)
from uwsgi_router.subscriptions.registry import Registry


class Gateway:
    """Gateway: accepts connections, has its front serve them, and follows events of the table.

    Attributes:
        config: of the router.
        name: uWSGI's short name, the prefix of its options and its key in the stats document.
        forwarder: finds nodes.
        registry: the table of announced nodes, or None.
        context: what its connections share.
        cheap: it does not accept, because it has no node.
    """

    def __init__(
        self,
        config: RouterConfig,
        front: Front,
        *,
        loop: asyncio.AbstractEventLoop,
        forwarder: Forwarder,
        fallback: Forwarder,
        resolver: Resolver,
        poller: Poller,
        upstreams: UpstreamPool,
        descriptors: Descriptors,
        timing: Timing,
        access_log: AccessLog | None = None,
        registry: Registry | None = None,
        sockets: Sequence[str] = (),
        static_nodes: Sequence[StaticNode] = (),
        certificates: Certificates,
        node_tls: NodeTls,
        request_ids: str = "",
    ) -> None:
        self.config = config
        self.name = config.kind
        self.forwarder = forwarder
        self.registry = registry
        self.sockets = sockets
        self._front = front
        self._loop = loop
        self._poller = poller
        self._reporter = Reporter(config.kind, access_log, quiet=config.quiet)
        routing = RoutingPolicy(forwarder, fallback, config.max_retries, config.fallback_on_no_key)
        site = Site(
            config,
            routing,
            self._reporter,
            uwsgi_back=front.uwsgi_back,
            http_back=front.http_back,
        )
        ids = secrets.token_hex(3) + request_ids
        limits = ConnectionLimits(
            config.max_connections, config.max_connections_per_client, front.is_proxy
        )
        self.context = Context(
            loop, poller, upstreams, resolver, site, timing, descriptors, limits, ids, node_tls
        )
        descriptors.freed_by(self.context.connections.close_idle)
        self.cheap = config.cheap and registry is not None
        self._static_nodes = static_nodes
        self._certificates = certificates
        tls = certificates.config
        self._handshakes = Handshakes(tls.max_handshakes, tls.handshake_timeout)
        self._speaks_tls = bool(config.secured)
        self._acceptors: list[Acceptor] = []
        self._listeners: dict[str, Listener] = {}
        self._count = 0
        self._log = logging.getLogger(f"uwsgi-router.{config.kind}")

    def __repr__(self) -> str:
        return f"<Gateway {self.name} connections={len(self.connections)} cheap={self.cheap}>"

    # --- its life ---

    def start(
        self,
        listeners: Sequence[BoundSocket],
        redirecting: Sequence[tuple[BoundSocket, int]] = (),
        secure: Sequence[tuple[BoundSocket, CertificateFiles]] = (),
    ) -> None:
        """Begin to accept; in cheap mode as soon as there is a node.

        Args:
            listeners: where requests are served.
            redirecting: where they are redirected to https, and to which port of it, 0 for the default one.
            secure: where clients speak TLS, and the certificates that are served there unless they ask for other ones.
        """
        front, certificates = self._front, self._certificates
        accepting = [(bound, front.listener(bound.port, bound.name)) for bound in listeners]
        for bound, redirect in redirecting:
            accepting.append((bound, front.listener(bound.port, bound.name, redirect)))
        for bound, files in secure:
            listener = front.listener(bound.port, bound.name)
            listener.certificates = certificates.listener(
                files, bound.port, front.alpn, self.registry
            )
            accepting.append((bound, listener))
        # However many they may be, others get in beside those that do not finish.
        limits, clients = self.connections.limits, self.context.descriptors.clients
        self._handshakes.limit = max(
            1, min(self._handshakes.limit, limits.total // 2, clients // 2)
        )
        for bound, listener in accepting:
            self._listeners[bound.name] = listener
            self._acceptors.append(self._acceptor(bound, listener))
        if self.registry is not None and not self.registry.empty:
            self.cheap = False
        if self.cheap:
            self._log.info("starting in cheap mode, clients wait until a node announces itself")
        else:
            for acceptor in self._acceptors:
                acceptor.start()

    def _acceptor(self, bound: BoundSocket, listener: Listener) -> Acceptor:
        secure = listener.certificates is not None
        return Acceptor(
            self._loop,
            [bound],
            self._accepting(listener),
            self._accept_failed,
            make=BareSocket if secure else socket.SocketType,
        )

    def borrow(self, bound: BoundSocket) -> Acceptor | None:
        """Accept also on the socket of another worker, at an address of ours; None: it is none, or we accept nothing.

        Returns:
            What accepts, for :meth:`give_back`.
        """
        listener = self._listeners.get(bound.name)
        if listener is None or self.connections.stopping:
            return None
        acceptor = self._acceptor(bound, listener)
        self._acceptors.append(acceptor)
        if not self.cheap:
            acceptor.start()
        return acceptor

    def give_back(self, acceptor: Acceptor) -> None:
        """Accept no more on a socket that was borrowed: its worker is back."""
        if acceptor in self._acceptors:
            self._acceptors.remove(acceptor)
            acceptor.stop(drain=False)

    def _accepting(self, listener: Listener) -> Callable[[socket.SocketType, Peer], None]:
        """Return a function that makes a connection of a socket that ``listener`` accepted."""
        connections, descriptors = self.connections, self.context.descriptors
        crowded, most = descriptors.crowded, descriptors.clients
        context, front, traffic = self.context, self._front, self.counters.clients
        secure = listener.certificates is not None

        def room() -> bool:
            if len(connections) >= most and not descriptors.make_room():
                return False
            return descriptors.find_room()

        def accepted(sock: socket.SocketType, peer: Peer) -> None:
            self._count += 1
            # This is no callback of the poller's.
            self._poller.tick()
            count = len(connections)
            if (sock.fileno() >= crowded or count >= most) and not descriptors.make_room():
                for acceptor in self._acceptors:
                    acceptor.rest(until=room)
            if count >= connections.limits.least:
                failure = connections.refusal(peer[0])
                if failure is not None:
                    self._refuse(sock, peer, failure, told=not secure)
                    return
            if not secure:
                link = Link(self._poller, sock, None, traffic)
                front.connection(context, link, peer, self._count, listener, None).start()
                return
            tls = TlsLink(self._poller, sock, None, traffic)
            Handshake(context, front, self._handshakes, tls, peer, self._count, listener).start()

        return accepted

    def _refuse(self, sock: socket.SocketType, peer: Peer, failure: Failure, *, told: bool) -> None:
        """Refuse a client for whom there is no place; it is told so, unless that needs a handshake."""
        connections, answer = self.connections, b""
        self._reporter.connection_refused(peer[0], failure)
        if told and self.context.site.limits.answers:
            answer = self._front.refusal(failure, f"{connections.ids}-{self._count:x}")
        if answer and connections.refused < MAX_REFUSED:
            link = Link(self._poller, sock, None, self.counters.clients)
            RefusedConnection(connections, link, peer, self._count, answer).start()
        else:
            sock.close()

    def _accept_failed(self) -> None:
        self.counters.accept_errors += 1
        self.context.descriptors.find_room()

    def stop_accepting(self) -> None:
        """Close the listeners; what already waits in the backlog of our own is still served."""
        self.connections.stopping = True
        for acceptor in self._acceptors:
            acceptor.stop(drain=True)
        self._acceptors.clear()
        timing = self.context.timing
        self.connections.stop(timing.last_request, timing.last_linger)

    def hand_on(self, leaving: Collection[tuple[int, str]], idle: float) -> None:
        """Leave the listeners to another process.

        Args:
            leaving: kinds and addresses of those that it does not have: who waits there is still served.
            idle: seconds in which idle connections may have a last request.
        """
        for acceptor in self._acceptors:
            acceptor.hand_on(leaving)
        self._acceptors.clear()
        timing = self.context.timing
        self.connections.hand_on(timing.last_request, timing.last_linger, idle)

    async def drained(self) -> None:
        """Return when the last connection has ended."""
        await self.connections.drained()

    def abort(self) -> None:
        """End all connections now."""
        self.connections.abort()

    # --- what the statistics show ---

    @property
    def connections(self) -> Connections:
        """The open client connections."""
        return self.context.connections

    @property
    def active_sessions(self) -> int:
        """Number of open client connections."""
        return len(self.context.connections)

    @property
    def running(self) -> int:
        """Number of requests that are being served."""
        return self.counters.running

    @property
    def counters(self) -> Counters:
        """Counters since the router started."""
        return self._reporter.counters

    @property
    def certificate_ends(self) -> list[CertificateEnd] | None:
        """Until when certificates are valid that are served; None: it speaks no TLS."""
        return self._certificates.ends() if self._speaks_tls else None

    @property
    def access_log(self) -> AccessLog | None:
        """Access log, or None."""
        return self._reporter.access_log

    @property
    def upstreams(self) -> UpstreamPool:
        """The connections to HTTP nodes."""
        return self.context.upstreams

    @property
    def static_nodes(self) -> Sequence[StaticNode] | None:
        """The nodes of ``to``, shown even if another forwarder comes first; None if there are none."""
        if not self.config.to:
            return None
        if isinstance(self.forwarder, StaticForwarder):
            return self.forwarder.nodes
        return self._static_nodes

    @property
    def configured(self) -> list[ConfiguredNodes]:
        """The nodes that the configuration names, for the operator: those that are used."""
        routing, kind = self.context.site.routing, self.config.kind
        option = "to" if isinstance(routing.forwarder, StaticForwarder) else "use-socket"
        if self.config.use_pattern is not None:
            option = "use-pattern"
        return [
            ConfiguredNodes(f"{kind}-{name}", forwarder)
            for name, forwarder in ((option, routing.forwarder), ("fallback", routing.fallback))
            if isinstance(forwarder, ConfiguredForwarder) and forwarder.steered()
        ]

    @property
    def configured_nodes(self) -> list[UnannouncedNode]:
        """The nodes that the configuration names, for metrics."""
        shown: list[UnannouncedNode] = list(self.static_nodes or ())
        for group in self.configured:
            shown += [node for node in group.forwarder.steered() if node not in shown]
        return shown

    @property
    def log_lines_dropped(self) -> int:
        """Lines of the log that were lost."""
        return dropped_lines()

    @property
    def workers(self) -> Sequence[Mapping[str, int]] | None:
        """None: this process serves the router, and no other."""
        return None

    # --- what happens in the table ---

    def datagrams_refused(self, count: int) -> None:
        """Count announces that were refused."""
        self.counters.refused_datagrams += count

    def datagrams_lost(self, count: int) -> None:
        """Count datagrams that the kernel had no room for."""
        self.counters.lost_datagrams += count

    def table_changed(self, events: Sequence[Event]) -> None:
        """Wake held requests when a node comes; enter and leave cheap mode."""
        for event in events:
            if isinstance(event, NodeAdded | NodeRefreshed | NodeEnabled | NodeHealthy):
                self.upstreams.came(event.node)
        site = self.context.site
        for hold in (site.hold, site.settling):
            if not hold:
                continue
            for event in events:
                if isinstance(event, NodeAdded | NodeRefreshed | NodeEnabled | NodeHealthy):
                    hold.node_announced(event.key)
        for event in events:
            # A stale one may be well.
            if isinstance(event, NodeRemoved) or (
                isinstance(event, NodeFailed) and event.reason != "stale"
            ):
                self.upstreams.drop(event.node)
        if not self.config.cheap or self.registry is None or not self._acceptors:
            return
        if self.cheap and not self.registry.empty:
            self.cheap = False
            self._log.info("leaving cheap mode")
            for acceptor in self._acceptors:
                acceptor.resume()
        elif not self.cheap and self.registry.empty:
            self.cheap = True
            self._log.warning("no more nodes available, going cheap")
            for acceptor in self._acceptors:
                acceptor.pause()
