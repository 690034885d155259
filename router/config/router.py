"""Configuration of one router: listeners, forwarder, timeouts, limits; what fastrouter and HTTP router share."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from uwsgi_router.protocol.scheme import NodeProto, split_scheme
from uwsgi_router.router.config import http_values, tls_values, values
from uwsgi_router.router.config.option import Provenance, Scope, Spelling, option, switch
from uwsgi_router.router.config.routing import RoutingConfig
from uwsgi_router.router.config.types import CertificateFiles, SecureListener
from uwsgi_router.router.config.values import BYTES, COUNT, SECONDS, integer, seconds

_OURS: Final = Provenance.OURS
_UNRELEASED: Final = Provenance.UNRELEASED
_ROUTER: Final = Scope.ROUTER
# Those that read requests; others only pass bytes on.
_REQUESTS: Final = ("fastrouter", "http")
# Clients come to them; in front of a fastrouter is a web server, which knows who they are, and has a log.
_DIRECT: Final = ("http", "rawrouter", "sslrouter")


@dataclass(frozen=True, slots=True)
class RouterConfig(RoutingConfig):
    """One router; its options have its kind as prefix. Those without a scope of their own are a site's."""

    # --- connections to nodes, and waiting for them ---

    connect_timeout: float = option(
        "connect-timeout",
        SECONDS,
        "Give up on connecting to a node after so long and try the next.",
        default=5.0,
        origin={"fastrouter": _OURS, "rawrouter": _OURS, "sslrouter": _OURS},
    )
    gracetime: float = option(
        "gracetime",
        seconds(zero=30.0),
        "Leave a node of {router}-to that failed alone for so long.",
        default=30.0,
    )
    # None: each live node once; N: at most N + 1 attempts.
    max_retries: int | None = option(
        "max-retries",
        COUNT,
        "Connect to at most this many nodes after the first; not given: to each live node once.",
        default=None,
        origin={"fastrouter": _UNRELEASED, "http": _OURS},
    )
    backend_http: bool = switch(
        "backend-http",
        "Speak HTTP/1.1 to nodes that did not announce what they speak, and not uwsgi.",
        origin={"fastrouter": _OURS, "http": _UNRELEASED},
        only=_REQUESTS,
    )
    # None: the cores that the node announced, without limit if it names none.
    backend_connections: int | None = option(
        "backend-connections",
        integer("N", 1, 1_000_000),
        "Connections to one HTTP node at once.",
        default=None,
        origin=_OURS,
        needs=("backend_http", "subscription_servers", "has_http_nodes"),
        shown="as many as its announce has cores, else without limit",
        only=_REQUESTS,
    )
    backend_keepalive: float = option(
        "backend-keepalive",
        seconds(zero=0.0),
        "Keep an idle connection to an HTTP node for so long, if the node names no time.",
        default=1.5,
        origin=_OURS,
        needs=("backend_http", "subscription_servers", "has_http_nodes"),
        zero="not at all",
        only=_REQUESTS,
    )
    backend_queue: int = option(
        "backend-queue",
        COUNT,
        "Requests that may wait at once for a connection to an HTTP node.",
        default=1_000,
        origin=_OURS,
        needs=("backend_http", "subscription_servers", "has_http_nodes"),
        only=_REQUESTS,
    )
    backend_queue_timeout: float = option(
        "backend-queue-timeout",
        SECONDS,
        "Let each of them wait for so long, then answer 503.",
        default=5.0,
        origin=_OURS,
        needs=("backend_http", "subscription_servers", "has_http_nodes"),
        only=_REQUESTS,
    )
    backend_ca: str | None = option(
        "backend-ca",
        values.FILE,
        "Believe the certificates of these authorities, of nodes that speak TLS (https://, suwsgi://).",
        default=None,
        origin=_OURS,
        needs=("has_secure_nodes",),
        shown="the system's authorities",
    )
    backend_server_name: str | None = option(
        "backend-server-name",
        values.TEXT,
        "Ask such nodes for this name, which their certificates must have.",
        default=None,
        origin=_OURS,
        needs=("has_secure_nodes",),
        shown="the node's host",
    )
    backend_certificate: CertificateFiles | None = option(
        "backend-certificate",
        tls_values.PAIR,
        "Show this certificate to such nodes.",
        default=None,
        origin=_OURS,
        needs=("has_secure_nodes",),
    )
    backend_insecure: bool = switch(
        "backend-insecure",
        "Believe any certificate of such nodes: whoever is on the way can read and change everything.",
        origin=_OURS,
        needs=("has_secure_nodes",),
    )
    retry_budget: int = option(
        "retry-budget",
        integer("PERCENT", 0, 100),
        "So many of the running requests may go to a further node after one that did not answer; 3 in any case.",
        default=20,
        origin=_OURS,
        zero="without limit",
        only=_REQUESTS,
    )
    hold: float = option(
        "hold",
        seconds(zero=0.0),
        "Let requests for a known key without a live node wait so long for one.",
        default=0.0,
        origin=_OURS,
        needs=("subscription_servers",),
        zero="not at all",
    )
    hold_max: int = option(
        "hold-max",
        COUNT,
        "Requests that may wait at once; likewise, for 10 s after a start, of those for keys that are not known yet.",
        default=1_000,
        origin=_OURS,
        needs=("subscription_servers",),
    )
    hold_max_bytes: int = option(
        "hold-max-bytes",
        BYTES,
        "Bytes of waiting requests that may be kept at once.",
        default=64 * 1024 * 1024,
        origin=_OURS,
        needs=("subscription_servers",),
    )
    cheap: bool = switch(
        "cheap",
        "Accept connections only while at least one node is announced.",
        scope=_ROUTER,
        needs=("subscription_servers",),
    )
    quiet: bool = switch("quiet", "Do not log connects that failed.", kind=values.SWITCH_WORD)

    # --- exchanges ---

    timeout: float = option(
        "timeout",
        seconds(zero=60.0),
        "End an exchange that was silent in both directions for so long.",
        default=60.0,
    )
    first_byte_timeout: float = option(
        "first-byte-timeout",
        seconds(zero=0.0),
        "Ask another node, once, when one has sent nothing of the answer to a GET (or other safe request) for so long.",
        default=0.0,
        origin=_OURS,
        zero="never",
        only=_REQUESTS,
    )
    buffer_size: int = option(
        "buffer-size",
        integer("BYTES", 1, 16 * 1024 * 1024, zero=65_536),
        "Bytes read at once from a connection; unless this is given, four times as many once a body has passed 1 MB.",
        default=65_536,
    )
    post_buffering: int = option(
        "post-buffering",
        BYTES,
        "Read bodies whole before connecting: up to this size in memory, larger ones in a file.",
        default=0,
        origin={"http": _UNRELEASED},
        zero="stream",
        only=_REQUESTS,
    )
    # No "needs": chunked bodies for uwsgi nodes are read whole in any case.
    post_buffering_max_bytes: int = option(
        "post-buffering-max-bytes",
        BYTES,
        "Bytes of all bodies that are read whole that may be in memory at once; what is beyond goes to files.",
        default=64 * 1024 * 1024,
        origin=_OURS,
        zero="files only",
        only=_REQUESTS,
    )
    post_buffering_dir: str | None = option(
        "post-buffering-dir",
        values.DIRECTORY,
        "Directory of these files.",
        default=None,
        origin={"http": _UNRELEASED},
        shown="TMPDIR, or /tmp",
        only=_REQUESTS,
    )
    abort_on_eof: bool = switch(
        "abort-on-eof",
        "Take every end of input from a client as its departure, half-closed connections too.",
        origin=_OURS,
        only=_REQUESTS,
    )
    errors: Literal["close", "http"] = option(
        "errors",
        values.choice("close", "http"),
        "When no node can answer: close the connection, as uWSGI does, or answer 502, 503 or 504.",
        default="close",
        origin=_OURS,
        only=_REQUESTS,
    )

    # --- statistics, user ---

    stats: tuple[str, ...] = option(
        "stats",
        values.STATS,
        "Serve statistics here: JSON, and over HTTP also /metrics.",
        default=(),
        scope=_ROUTER,
        aliases=("stats-server", "ss"),
        repeatable=True,
    )
    uid: str | None = option(
        "uid",
        values.USER,
        "Run as this user once everything is bound.",
        default=None,
        scope=_ROUTER,
        only=_REQUESTS,
    )
    gid: str | None = option(
        "gid",
        values.GROUP,
        "Run as this group once everything is bound.",
        default=None,
        scope=_ROUTER,
        only=_REQUESTS,
    )

    # Peers (networks, ``unix``) whose connections begin with a PROXY header; () all; None: nobody's.
    proxy_protocol: tuple[str, ...] | None = option(
        "enable-proxy-protocol",
        http_values.PROXY_PROTOCOL,
        "Connections begin with a PROXY header (version 1 or 2): all, or those from these networks (or unix).",
        default=None,
        scope=_ROUTER,
        only=_DIRECT,
        origin={"rawrouter": _OURS, "sslrouter": _OURS},
        spellings=(
            Spelling(
                "enable-proxy-protocol",
                http_values.PROXY_PROTOCOL_SWITCH,
                "The same as http-enable-proxy-protocol, where there is an HTTP router.",
                any_router=True,
                only=("http",),
            ),
        ),
    )
    # "" is standard output.
    access_log: str | None = option(
        "access-log",
        http_values.ACCESS_LOG,
        "Log every request, or connection, in this file; without a value on standard output.",
        default=None,
        scope=_ROUTER,
        origin=_OURS,
        shown="off",
        only=_DIRECT,
    )
    access_log_format: Literal["text", "json"] = option(
        "access-log-format",
        values.choice("text", "json"),
        "Lines of text, or one JSON object a line.",
        default="text",
        scope=_ROUTER,
        origin=_OURS,
        needs=("access_log",),
        only=_DIRECT,
    )

    @property
    def secured(self) -> tuple[SecureListener, ...]:
        """Listeners whose clients speak TLS."""
        return self.suwsgi

    @property
    def server_first(self) -> bool:
        """True if nodes may be the first to speak: then no client is waited for before its connection is accepted."""
        return False

    @property
    def default_proto(self) -> NodeProto:
        """Protocol of nodes that did not announce what they speak, and whose address does not say."""
        return "http" if self.backend_http else "uwsgi"

    @property
    def node_protos(self) -> frozenset[NodeProto]:
        """Protocols that nodes may speak, for all that the configuration says."""
        if self.subscription_servers or (self.use_cache, self.use_code_string) != (None, None):
            return frozenset(get_args(NodeProto))
        named = (*self.to, *self.fallback, self.use_pattern, self.use_base, self.use_socket)
        said = [split_scheme(text)[1] for text in named if text is not None] or [None]
        return frozenset(one or self.default_proto for one in said)

    @property
    def has_http_nodes(self) -> bool:
        """True if some node may speak HTTP."""
        return not self.node_protos.isdisjoint(("http", "https"))

    @property
    def has_secure_nodes(self) -> bool:
        """True if some node may speak TLS."""
        return not self.node_protos.isdisjoint(("https", "suwsgi"))

    @property
    def node_verification(self) -> tuple[object, ...]:
        """Values that decide which nodes are believed that speak TLS."""
        return (
            self.backend_ca,
            self.backend_server_name,
            self.backend_certificate,
            self.backend_insecure,
        )

    @property
    def workers(self) -> int:
        """Number of worker processes, where ``auto`` has been replaced."""
        return 1 if self.processes == "auto" else self.processes
