"""What was configured, checked and typed: the contract between the options and everything that runs.

The rest of this room makes these from command lines and ini files; nothing else reads an option. Times are seconds,
sizes bytes. Every address has been parsed once already (a bad one never gets here), but the text is kept as the
operator wrote it, because uWSGI shows it so in stats and logs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from uwsgi_router.router.config.health_checks import Checks
from uwsgi_router.subscriptions.permission import Network, Tenant
from uwsgi_router.subscriptions.signature import SignCheck


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """One cache (``cache2``). Source of names: uWSGI: core/cache.c."""

    name: str
    items: int
    """How many it holds; in uWSGI one less."""
    max_key: int = 2_048
    max_value: int = 65_536
    expire: bool = True
    """False (``no_expire``): items stay whatever was asked for."""
    when_full: Literal["refuse", "purge", "clear"] = "refuse"
    """``purge_lru``: the item that was not used for longest goes; ``clear_on_full``: all go."""
    log_full: bool = True
    unused: tuple[str, ...] = ()
    """Keys of the line that have no effect, for a warning."""


@dataclass(frozen=True, slots=True)
class CacheItem:
    """An item to begin with (``add-cache-item``, ``load-file-in-cache``)."""

    cache: str | None
    """None: in every cache."""
    key: str
    value: str | None
    """None: what is in the file called ``key``."""


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """The process as a whole."""

    listen: int = 100
    """Backlog of stream listeners (``listen``)."""
    defer_accept: bool = True
    """TCP_DEFER_ACCEPT on TCP listeners; ``no-defer-accept`` turns it off."""
    reuse_port: bool = False
    freebind: bool = False
    so_keepalive: bool = False
    so_sndbuf: int | None = None
    so_rcvbuf: int | None = None
    chmod_socket: int | None = None
    """Mode for UNIX stream sockets; ``chmod-socket`` without a value means 0o666."""
    chown_socket: str | None = None
    """``user[:group]``, names or numbers, for UNIX stream sockets."""
    uid: str | None = None
    gid: str | None = None
    additional_gids: tuple[str, ...] = ()
    pidfile: str | None = None
    """``pidfile``: written before privileges are dropped."""
    safe_pidfile: str | None = None
    """``safe-pidfile``/``pidfile2``: written after privileges are dropped."""
    logto: str | None = None
    """File that log lines are appended to; None: standard error."""
    log_date: bool = True
    umask: int | None = None
    chdir: str | None = None
    procname: str | None = None
    procname_prefix: str | None = None
    reload_mercy: float = 60.0
    shared_sockets: tuple[str, ...] = ()
    """``shared-socket`` lines, addressed as ``=N``."""
    worker_sockets: tuple[str, ...] = ()
    """``socket`` (and ``uwsgi-socket``) lines: only their addresses are used, by ``use-socket=N``."""
    default_cache_items: int | None = None
    """``cache``: a cache called default, before all others."""
    default_cache_max_value: int = 65_536
    default_cache_expire: bool = True
    named_caches: tuple[CacheConfig, ...] = ()
    cache_items: tuple[CacheItem, ...] = ()
    cache_files: tuple[CacheItem, ...] = ()
    cache_sockets: tuple[str, ...] = ()
    """Where caches are filled and read over the uwsgi cache protocol."""
    cache_socket_public: bool = False
    """Allow addresses that other machines, and UNIX modes that all users, can reach."""
    control_socket: str | None = None
    """Path of the UNIX socket over which operators see and steer announced nodes."""
    chmod_control_socket: int = 0o600
    chown_control_socket: str | None = None
    """``user[:group]``, names or numbers."""
    stats_http: bool = False
    """``stats-http``: stats ports wait for an HTTP request instead of writing first."""
    stats_minified: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    """``env NAME=VALUE`` lines, set before anything starts."""
    event_loop: Literal["auto", "uvloop", "asyncio"] = "auto"
    """``event-loop``: auto takes uvloop when it can be imported."""

    @property
    def caches(self) -> tuple[CacheConfig, ...]:
        """Every cache; the first is meant where none is named."""
        if self.default_cache_items is None:
            return self.named_caches
        default = CacheConfig(
            "default",
            self.default_cache_items,
            max_value=self.default_cache_max_value,
            expire=self.default_cache_expire,
        )
        return (default, *self.named_caches)


@dataclass(frozen=True, slots=True)
class SubscriptionConfig:
    """The table of announced nodes; shared by the routers that name the same server address."""

    tolerance: float = 17.0
    """A node that was silent for longer is not chosen while a sibling lives."""
    algorithm: Literal["wrr", "lrc", "wlrc", "iphash"] = "wrr"
    """For pools whose first announce names none."""
    dotsplit: bool = False
    mountpoints: int = 0
    """Path segments that belong to a key; 0: none."""
    max_keys: int = 10_000
    max_nodes_per_key: int = 1_000
    max_rate: int = 2_000
    """Datagrams per second and source; 0: any number."""
    sign_check: SignCheck | None = None
    """None: nobody has to sign."""
    sign_tolerance: float | None = None
    """How old a signed announce may be; None: 86400."""
    sign_skip_uids: tuple[int, ...] = ()
    use_credentials: bool = False
    credentials_dirs: tuple[str, ...] = ()
    allow_from: tuple[Network, ...] = ()
    """Networks that UDP announces may come from; (): any."""
    own_address: bool = False
    tenants: tuple[Tenant, ...] = ()
    resubscribe: tuple[str, ...] = ()
    """Subscription servers of other routers, which are told that this one serves the keys of its nodes."""
    resubscribe_bind: str | None = None
    """Where that is sent from; None: the kernel chooses."""
    tee: tuple[str, ...] = ()
    """Where each accepted datagram is sent on to, unchanged."""
    sni_allow_dirs: tuple[str, ...] = ()
    """Where announced certificates may be; (): none are taken."""
    state: str | None = None
    """File that the table is kept in from one run to the next."""
    check: Checks | None = None
    """How announced nodes are asked whether they serve; None: they are not."""
    max_fails: int = 5
    """A node that failed so many requests in a row rests; 0: never."""
    chmod_socket: int | None = None
    """Mode of subscription servers that are UNIX sockets; None: by the umask, with tenants 0o666."""


@dataclass(frozen=True, slots=True)
class CodeString:
    """``use-code-string = 0:FILE:FUNCTION``: the function that names the nodes.

    Attributes:
        file: a path (it has a slash or ends in ``.py``) or a dotted module.
        function: its name in there.
    """

    file: str
    function: str

    def __str__(self) -> str:
        return f"0:{self.file}:{self.function}"


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """One router: its listeners, forwarder, limits and stats. Source of names: plugins/fastrouter/fastrouter.c."""

    kind: Literal["fastrouter", "http", "rawrouter"] = "fastrouter"
    listen: tuple[str, ...] = ()
    subscription_servers: tuple[str, ...] = ()
    use_cache: str | None = None
    """A cache's name, "" for the first; or ``NAME@ADDRESS``, a cache of the uWSGI at that address."""
    use_pattern: str | None = None
    use_base: str | None = None
    use_code_string: CodeString | Callable[[bytes], object] | None = field(default=None, hash=False)
    """A function itself only in a router that a program made with the Python API."""
    code_limit: float = 0.1
    """A function that blocks the event loop for longer is named in the log."""
    code_timeout: float = 5.0
    """An ``async`` function is given up after so long."""
    code_reload: bool = False
    """Read the function's file again when it has changed."""
    use_socket: str | None = None
    """An address, or the index of a ``socket`` line; "" means 0."""
    to: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    fallback_on_no_key: bool = False
    subscription_fallback_key: str | None = None
    force_key: str | None = None
    cheap: bool = False
    quiet: bool = False
    gracetime: float = 30.0
    max_retries: int | None = None
    """None: each live node once; N: at most N + 1 attempts."""
    buffer_size: int = 65_536
    """Bytes read at once from a connection."""
    timeout: float = 60.0
    """Inactivity, over both directions together."""
    connect_timeout: float = 5.0
    post_buffering: int = 0
    """Bodies up to this size are collected in memory, larger ones in a file, before connecting; 0: streamed."""
    post_buffering_dir: str | None = None
    stats: tuple[str, ...] = ()
    errors: Literal["close", "http"] = "close"
    hold: float = 0.0
    """Seconds that a request for a known key without a live node waits for one; 0: not at all."""
    hold_max: int = 1_000
    """Requests that may wait at once."""
    hold_max_bytes: int = 64 * 1024 * 1024
    """Bytes of these requests that may be kept at once."""
    keep_modifiers: bool = False
    abort_on_eof: bool = False
    backend_http: bool = False
    """Nodes that were not announced (``to``, ``fallback``, paths, caches, code) speak HTTP/1.1, not uwsgi."""
    backend_connections: int | None = None
    """Connections to one HTTP node, idle and in use; None: the cores it announced, without limit if it names none."""
    backend_keepalive: float = 1.5
    """Seconds that an idle connection to an HTTP node is kept, if the node does not say otherwise; 0: none is kept."""
    backend_queue: int = 1_000
    """Requests that may wait at once for a connection."""
    backend_queue_timeout: float | None = None
    """Seconds that each may wait; None: ``timeout``."""
    uid: str | None = None
    gid: str | None = None


@dataclass(frozen=True, slots=True)
class RedirectListener:
    """``http-to-https = ADDRESS[,PORT]``: every request is redirected to https.

    Attributes:
        listen: where clients come.
        port: for the Location, None for the default port of https.
    """

    listen: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class HttpRouterConfig(RouterConfig):
    """The HTTP router. Source of names: uWSGI: plugins/http/http.c; ours are told apart in docs/options.md.

    ``post_buffering``: 0 streams bodies of known length; otherwise all bodies are read whole before a node is
    connected. Those that must be read whole anyway (chunked, for a uwsgi node) then use 1 MiB of memory.
    """

    kind: Literal["fastrouter", "http", "rawrouter"] = "http"
    errors: Literal["close", "http"] = "http"
    redirects: tuple[RedirectListener, ...] = ()
    modifier1: int = 0
    """Replaces the node's if not 0; likewise ``modifier2``."""
    modifier2: int = 0
    variables: tuple[tuple[str, str], ...] = ()
    """``http-var NAME=VALUE``, in order: they come last and so override."""
    keepalive: float | None = None
    """None: each connection serves one request. Seconds that an idle one is kept; 0: ``timeout``."""
    headers_timeout: float | None = None
    """Seconds for a whole head, absolute; None: ``timeout``."""
    max_head: int = 65_536
    max_fields: int = 200
    body_limit: int = 1024**3
    """Bytes of a request's body; larger ones get 413."""
    body_rate: int = 500
    """Bytes a second that a body has to keep up over 30 s; 0: any."""
    manage_expect: int = 0
    """``http-manage-expect=BYTES``: a request that expects a 100 and announces more gets 413; 0: no such check."""
    auto_chunked: bool = False
    auto_gzip: bool = False
    chunked_input: bool = False
    raw_body: bool = False
    websockets: bool = False
    websocket_timeout: float = 3600.0
    """Seconds of silence that end a tunnel."""
    websocket_check: bool = False
    websocket_max_frame: int = 1024 * 1024
    websocket_max_message: int = 16 * 1024 * 1024
    manage_source: bool = False
    manage_rtsp: bool = False
    server_name_as_http_host: bool = False
    proxy_protocol: tuple[str, ...] | None = None
    """Peers (networks, ``unix``) whose connections begin with a PROXY header; () all; None: nobody's."""
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1", "unix")
    """Peers whose X-Forwarded fields are believed: networks, ``unix``; () nobody."""
    response_buffering: int = 0
    """Bytes of an answer taken from the node although the client reads slowly; 0: 256 KiB are in flight."""
    error_pages: tuple[tuple[int, str], ...] = ()
    """(status, file)."""
    access_log: str | None = None
    """File of the access log; "" is standard output; None: no log."""
    access_log_format: Literal["text", "json"] = "text"


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything; made by ``load``."""

    process: ProcessConfig = field(default_factory=ProcessConfig)
    subscription: SubscriptionConfig = field(default_factory=SubscriptionConfig)
    routers: tuple[RouterConfig, ...] = ()
    warnings: tuple[str, ...] = ()
    """Lines for the log: options that are accepted and do something else, or nothing yet."""
    prints: tuple[str, ...] = ()
    """``print`` lines, in order."""
