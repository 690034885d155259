"""Context of a router's connections: site policy, limits, timeouts, upstream pool, resolver, loop.

Values of the configuration that requests meet are copied here once, so that no request touches a configuration.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.certificates.nodes import NodeTls
from uwsgi_router.router.config.model import RouterConfig
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.net.descriptors import Descriptors
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.router.net.resolver import TTL, Resolver
from uwsgi_router.router.proxy.attempts import RoutingPolicy
from uwsgi_router.router.proxy.connection import Connections
from uwsgi_router.router.proxy.connection_limits import ConnectionLimits
from uwsgi_router.router.proxy.hold import Hold
from uwsgi_router.router.proxy.queue_room import QueueRoom
from uwsgi_router.router.proxy.retry_budget import RetryBudget
from uwsgi_router.router.proxy.spool import SpoolMemory
from uwsgi_router.router.proxy.upstream_pool import UpstreamPool
from uwsgi_router.router.report.requests import Reporter
from uwsgi_router.subscriptions.node import Node, SubscribedNode

# Of a body that must be read whole for a node that wants its length, so much is kept in memory unless configured.
SPOOL_MEMORY: Final = 1024 * 1024
_FOREVER: Final = 1e9


@dataclass(frozen=True, slots=True)
class Timing:
    """Timings that no option sets, in seconds.

    Attributes:
        tick: between two looks at all deadlines; each may be met so much late.
        idle_grace: for which a client may be idle and is not closed to make room for others.
        slow_connect: until an unanswered connect counts as slow.
        trusted_idle: for which a kept connection may have been idle and still carry a request that can't be sent again.
        body_window: over which the rate of a body is measured (``http-body-rate``).
        first_look: for the look-up of one name of a configured node at the start.
        resolve_again: between two look-ups of the names of configured nodes.
        log_delay: until lines of the access log are written.
        look_at_files: between two looks at the files of listening UNIX sockets.
        last_request: for clients without a whole request to send one, when the router stops.
        last_linger: then, for clients that have been answered to end their connections.
    """

    tick: float = 0.25
    idle_grace: float = 0.5
    slow_connect: float = 1.0
    trusted_idle: float = 1.0
    body_window: float = 30.0
    last_request: float = 2.0
    last_linger: float = 0.5
    first_look: float = 5.0
    log_delay: float = 0.2
    resolve_again: float = TTL
    look_at_files: float = 1.0


class Limits:
    """Limits and timeouts of the configuration that apply to each request.

    Attributes:
        abort_on_eof: a client's half-close is its end.
        answers: requests that failed are answered; False: the connection is closed.
        backend_connections: limit of connections to one HTTP node; 0: none; None: the cores that it announced.
        backend_keepalive: seconds for which an idle connection to a node is kept.
        backend_queue: requests that may wait for a connection.
        backend_queue_timeout: seconds for which each may wait.
        buffer_size: bytes read at once.
        connect_timeout: seconds for one connect.
        first_byte_timeout: seconds without a byte of an answer after which another node is asked; 0: none is.
        hold: seconds for which a request waits for a node to announce itself; 0: not at all.
        hold_max: requests that may wait at once.
        post_buffering: bytes of a spooled body in memory; 0: bodies are streamed.
        post_buffering_dir: directory for larger spools; None: the system's.
        timeout: idle timeout: seconds without a byte in either direction.
    """

    __slots__ = (
        "abort_on_eof",
        "answers",
        "backend_connections",
        "backend_keepalive",
        "backend_queue",
        "backend_queue_timeout",
        "buffer_size",
        "connect_timeout",
        "first_byte_timeout",
        "hold",
        "hold_max",
        "post_buffering",
        "post_buffering_dir",
        "timeout",
    )

    def __init__(self, config: RouterConfig) -> None:
        self.abort_on_eof = config.abort_on_eof
        self.answers = config.errors != "close"
        self.backend_connections = config.backend_connections
        self.backend_keepalive = config.backend_keepalive
        self.backend_queue = config.backend_queue
        self.backend_queue_timeout = config.backend_queue_timeout
        self.buffer_size = config.buffer_size
        self.connect_timeout = config.connect_timeout
        first_byte = config.first_byte_timeout
        self.first_byte_timeout = first_byte if first_byte < config.timeout else 0.0
        self.hold = config.hold
        self.hold_max = config.hold_max
        self.post_buffering = config.post_buffering
        self.post_buffering_dir = config.post_buffering_dir
        # Only a relay may wait for ever.
        self.timeout = config.timeout or _FOREVER


class Site:
    """Site: policy for the requests of one application, its routing and limits.

    There is one for each router today, made of its own options.

    Attributes:
        limits: for each request.
        routing: policy of choosing nodes.
        hold: requests that wait for a node of a known key to announce itself.
        queue: room for the requests that wait for a connection, shared between keys.
        retries: budget of requests that go to a further node.
        settling: requests that wait for the first announce of their key, right after the start; bounded likewise, and
            apart, so that they take no places of known keys.
        spool_memory: memory of the bodies that are read whole.
        reporter: counters and log.
    """

    __slots__ = (
        "_http_back",
        "_uwsgi_back",
        "hold",
        "limits",
        "queue",
        "reporter",
        "retries",
        "routing",
        "settling",
        "spool_memory",
    )

    def __init__(
        self,
        config: RouterConfig,
        routing: RoutingPolicy,
        reporter: Reporter,
        *,
        uwsgi_back: Back,
        http_back: Back,
    ) -> None:
        self.limits = Limits(config)
        self.routing = routing
        self.reporter = reporter
        self.hold = Hold(config.hold_max, config.hold_max_bytes)
        self.queue = QueueRoom(config.backend_queue)
        self.retries = RetryBudget(config.retry_budget, reporter.counters)
        self.settling = Hold(config.hold_max, config.hold_max_bytes)
        self.spool_memory = SpoolMemory(config.post_buffering_max_bytes, reporter.counters)
        self._uwsgi_back = uwsgi_back
        self._http_back = http_back

    def back_of(self, node: Node) -> Back:
        """Return the back that speaks a node's protocol."""
        return self._http_back if node.is_http else self._uwsgi_back

    def connection_limit(self, node: Node) -> int | None:
        """Return how many connections an HTTP node may have, idle and in use; None: any number."""
        configured = self.limits.backend_connections
        if configured is not None:
            return configured or None
        return (node.connections or None) if isinstance(node, SubscribedNode) else None

    def awaited_keys(self, request: Request, now: float) -> frozenset[bytes]:
        """Return the keys whose announce a request may wait for; none: there is nothing to wait for."""
        forwarder = self.routing.forwarder
        if self.limits.hold and not forwarder.is_known(request, now):
            return frozenset()
        if not self.limits.hold and not forwarder.settled_at(request, now):
            return frozenset()
        return forwarder.awaited_keys(request)

    def refuse_unknown(self, request: Request, now: float) -> None:
        """Check, before a body is collected, that some node may take the request.

        Raises:
            Failure: if the key is unknown and no fallback takes it.
        """
        if not self.routing.fallback_on_no_key and not self.routing.forwarder.is_known(
            request, now
        ):
            raise self.unknown_key()

    def unknown_key(self) -> Failure:
        """Return the failure of a request whose key no node serves."""
        return Failure(reasons.UNKNOWN_KEY, self.routing.forwarder.unknown)


class Context:
    """Context: what the connections of one router share.

    Attributes:
        loop: the event loop.
        poller: of all connections of this process.
        upstreams: connections to HTTP nodes, of all routers of this process.
        resolver: of nodes' names.
        timing: times that no option sets.
        connections: the open ones of this router.
        descriptors: of this process.
        site: policy for the requests.
        node_tls: of nodes that speak TLS.
    """

    __slots__ = (
        "connections",
        "descriptors",
        "loop",
        "node_tls",
        "poller",
        "resolver",
        "site",
        "timing",
        "upstreams",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        poller: Poller,
        upstreams: UpstreamPool,
        resolver: Resolver,
        site: Site,
        timing: Timing,
        descriptors: Descriptors,
        limits: ConnectionLimits,
        ids: str,
        node_tls: NodeTls,
    ) -> None:
        self.node_tls = node_tls
        self.loop = loop
        self.poller = poller
        self.upstreams = upstreams
        self.resolver = resolver
        self.site = site
        self.timing = timing
        self.descriptors = descriptors
        self.connections = Connections(
            loop, poller, timing.tick, ids, limits, site.reporter.counters, timing.idle_grace
        )
