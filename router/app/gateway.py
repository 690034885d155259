"""One configured router: its listeners, sessions, forwarder, counters, and what it says in the log."""

import asyncio
import secrets
import socket
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus

from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.backs.http import HttpBack
from uwsgi_router.router.backs.uwsgi import UwsgiBack
from uwsgi_router.router.config.model import HttpRouterConfig, RouterConfig
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.fronts.http.connection import HttpSession
from uwsgi_router.router.fronts.http.front import HttpFront
from uwsgi_router.router.fronts.uwsgi.connection import UwsgiSession
from uwsgi_router.router.fronts.uwsgi.front import UwsgiFront
from uwsgi_router.router.net.acceptor import Acceptor, Peer
from uwsgi_router.router.net.deadlines import Deadlines
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.proxy.exchange import Session
from uwsgi_router.router.proxy.hold import Hold
from uwsgi_router.router.proxy.route import Attempts, Plan
from uwsgi_router.router.proxy.upstream_pool import Upstreams
from uwsgi_router.router.report.access_log import AccessLog
from uwsgi_router.router.report.requests import Telling
from uwsgi_router.router.routing.base import Forwarder
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
from uwsgi_router.subscriptions.node import Node, SubscribedNode
from uwsgi_router.subscriptions.registry import Registry

# A client that has connected and sent no whole request yet gets so long for it when we stop.
LAST_REQUEST = 2.0


class Gateway(Telling):
    """One router (uWSGI's word for its process: gateway).

    Attributes:
        forwarder: finds nodes.
        plan: how requests are tried: by the forwarder, and the nodes that stand in when the forwarder's fail.
        registry: the table of announced nodes, or None.
        ids: what request ids of this run begin with.
    """

    def __init__(
        self,
        config: RouterConfig,
        *,
        loop: asyncio.AbstractEventLoop,
        forwarder: Forwarder,
        fallback: Forwarder,
        resolver: Resolver,
        poller: Poller,
        upstreams: Upstreams,
        front: HttpFront | None = None,
        access_log: AccessLog | None = None,
        registry: Registry | None = None,
        sockets: Sequence[str] = (),
        static_nodes: Sequence[StaticNode] = (),
    ) -> None:
        super().__init__(config, access_log)
        self.loop = loop
        self.forwarder = forwarder
        self.plan = Plan(forwarder, fallback, config.max_retries, config.fallback_on_no_key)
        self.resolver = resolver
        self.poller = poller
        self.upstreams = upstreams
        self.registry = registry
        self.sockets = sockets
        self._static_nodes = static_nodes
        self.hold = Hold(config.hold_max, config.hold_max_bytes)
        self._front = front or make_front(config)
        opaque = isinstance(self._front, UwsgiFront)
        self._uwsgi_back = UwsgiBack(
            opaque=opaque,
            chunked_input=isinstance(config, HttpRouterConfig)
            and (config.chunked_input or config.raw_body),
        )
        self._http_back = HttpBack()
        self.stopping = False
        self.cheap = config.cheap and registry is not None
        self._deadlines = Deadlines(loop)
        self._sessions: set[Session] = set()
        self._acceptors: list[Acceptor] = []
        self._idle: asyncio.Future[None] | None = None
        self.ids = secrets.token_hex(3)
        self._count = 0

    def __repr__(self) -> str:
        return f"<Gateway {self.name} sessions={len(self._sessions)} cheap={self.cheap}>"

    # --- its life ---

    def start(
        self, listeners: Sequence[BoundSocket], redirecting: Sequence[tuple[BoundSocket, int]] = ()
    ) -> None:
        """Begin to accept; in cheap mode as soon as there is a node.

        Args:
            listeners: where requests are served.
            redirecting: where they are redirected to https, and to which port of it, 0 for the default one.
        """
        for bound, port in [*((bound, None) for bound in listeners), *redirecting]:
            accepted = self._acceptance(bound, port)
            self._acceptors.append(Acceptor(self.loop, [bound], accepted, self._accept_failed))
        if self.registry is not None and not self.registry.empty:
            self.cheap = False
        if self.cheap:
            self._log.info("starting in cheap mode, clients wait until a node announces itself")
        else:
            for acceptor in self._acceptors:
                acceptor.start()

    def _acceptance(
        self, bound: BoundSocket, redirect: int | None
    ) -> Callable[[socket.SocketType, Peer], None]:
        """Return what makes a session of a connection to one listener."""
        front, config = self._front, self.config
        if isinstance(front, UwsgiFront):
            return lambda sock, peer: self._begin(
                UwsgiSession(self, front, sock, peer, self._next_number())
            )
        assert isinstance(config, HttpRouterConfig)
        door = front.door(bound.port, redirect)
        return lambda sock, peer: self._begin(
            HttpSession(self, front, config, door, sock, peer, self._next_number())
        )

    def _next_number(self) -> int:
        self._count += 1
        return self._count

    def stop_accepting(self) -> None:
        """Close the listeners; what already waits in the backlog of our own is still served."""
        self.stopping = True
        for acceptor in self._acceptors:
            acceptor.stop(drain=True)
        self._acceptors.clear()
        for session in self._sessions:
            session.hurry(LAST_REQUEST)

    async def drained(self) -> None:
        """Return when the last session has ended."""
        if self._sessions:
            self._idle = self.loop.create_future()
            await self._idle

    def abort(self) -> None:
        """End all sessions now."""
        for session in list(self._sessions):
            session.cancel()
        self._deadlines.close()

    # --- sessions ---

    @property
    def active_sessions(self) -> int:
        """Open client connections."""
        return len(self._sessions)

    def _begin(self, session: Session) -> None:
        self._sessions.add(session)
        self._deadlines.add(session)
        session.begin_with(session.talk())

    def _accept_failed(self) -> None:
        self.counters.accept_errors += 1

    def session_ended(self, session: Session) -> None:
        """Forget a session."""
        self._sessions.discard(session)
        self._deadlines.discard(session)
        if not self._sessions and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    # --- what sessions ask ---

    def back_of(self, node: Node) -> Back:
        """Return how a node is spoken to."""
        if node.proto == "http" or (
            self.config.backend_http and not isinstance(node, SubscribedNode)
        ):
            return self._http_back
        return self._uwsgi_back

    def connection_limit(self, node: Node) -> int | None:
        """Return how many connections an HTTP node may have, idle and in use; None: any number."""
        if self.config.backend_connections is not None:
            return self.config.backend_connections or None
        return (node.cores or None) if isinstance(node, SubscribedNode) else None

    def awaited_keys(self, request: Request) -> frozenset[bytes]:
        """Return the keys whose announce a request may wait for; none: there is nothing to wait for."""
        if not self.config.hold or not self.forwarder.is_known(request, self.loop.time()):
            return frozenset()
        return self.forwarder.awaited_keys(request)

    def refuse_unknown(self, request: Request) -> None:
        """Before a body is collected: is there anybody to give it to?

        Raises:
            Failure: if the key is unknown and no fallback takes it.
        """
        if not self.config.fallback_on_no_key and not self.forwarder.is_known(
            request, self.loop.time()
        ):
            raise self._unknown_key()

    def no_node(
        self, request: Request, attempts: Attempts, *, out_of_time: bool = False
    ) -> Failure:
        """Return why a request has no node to go to (any more); ``out_of_time``: others were not tried."""
        if attempts.only_busy:
            return Failure(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "busy",
                f"{attempts.last_node} took no connection for too long: {attempts.last_error}",
                f"{self.name}-connect-timeout={self.config.connect_timeout:g}",
            )
        if attempts.made:
            status = HTTPStatus.GATEWAY_TIMEOUT if attempts.timed_out else HTTPStatus.BAD_GATEWAY
            option = ""
            if out_of_time:
                option = f"{self.name}-timeout={self.config.timeout:g}"
            elif attempts.timed_out:
                option = f"{self.name}-connect-timeout={self.config.connect_timeout:g}"
            elif self.config.max_retries is not None and attempts.made > self.config.max_retries:
                option = f"{self.name}-max-retries={self.config.max_retries}"
            text = f"no node took the request, {attempts.last_node} was the last: {attempts.last_error}"
            return Failure(status, attempts.reason, text, option)
        now = self.loop.time()
        if not self.forwarder.is_known(request, now):
            return self._unknown_key()
        if not self.forwarder.has_nodes(request, now):
            text = "no node has announced this key yet, and the router has just started"
            return Failure(HTTPStatus.SERVICE_UNAVAILABLE, "no-node", text)
        return self.forwarder.why_none(request)

    def _unknown_key(self) -> Failure:
        return Failure(HTTPStatus.NOT_FOUND, "unknown-key", self.forwarder.unknown)

    # --- what happens in the table ---

    def table_changed(self, events: Iterable[Event]) -> None:
        """Wake held requests when a node came; enter and leave cheap mode."""
        if self.hold:
            for event in events:
                if isinstance(event, NodeAdded | NodeRefreshed | NodeEnabled | NodeHealthy):
                    self.hold.node_announced(event.key)
        for event in events:
            # One that only fell silent may be well.
            if isinstance(event, NodeRemoved) or (
                isinstance(event, NodeFailed) and event.reason != "silent"
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

    def datagram_refused(self) -> None:
        """Count an announce that was refused."""
        self.counters.refused_datagrams += 1

    @property
    def static_nodes(self) -> Sequence[StaticNode] | None:
        """The nodes of ``to``, shown even if another forwarder comes first; None if there are none."""
        if not self.config.to:
            return None
        if isinstance(self.forwarder, StaticForwarder):
            return self.forwarder.nodes
        return self._static_nodes


def make_front(config: RouterConfig) -> UwsgiFront | HttpFront:
    """Return what reads the requests of a router."""
    if isinstance(config, HttpRouterConfig):
        return HttpFront(config)
    return UwsgiFront(
        force_key=config.force_key.encode("utf-8", "surrogateescape") if config.force_key else None,
        keep_modifiers=config.keep_modifiers,
    )
