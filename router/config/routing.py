"""Configuration of one router's listeners and forwarder: where clients come, and how nodes are found."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from uwsgi_router.router.config import tls_values, values
from uwsgi_router.router.config.cache_values import USE_CACHE
from uwsgi_router.router.config.option import Provenance, Scope, option, switch
from uwsgi_router.router.config.types import CodeString, SecureListener
from uwsgi_router.router.config.values import NODE, SECONDS, integer, seconds

_OURS: Final = Provenance.OURS
_UNRELEASED: Final = Provenance.UNRELEASED
_ROUTER: Final = Scope.ROUTER
# Those that read requests; others only pass bytes on.
_REQUESTS: Final = ("fastrouter", "http")

RouterKind = Literal["fastrouter", "http", "rawrouter", "sslrouter"]


@dataclass(frozen=True, slots=True)
class RoutingConfig:
    """Listeners and forwarder of a router; ``RouterConfig`` is the whole of it."""

    kind: RouterKind = "fastrouter"
    listen: tuple[str, ...] = option(
        "",
        values.LISTEN,
        "Listen here for web servers that speak uwsgi.",
        default=(),
        scope=_ROUTER,
        repeatable=True,
    )

    suwsgi: tuple[SecureListener, ...] = option(
        "suwsgi",
        tls_values.SUWSGI,
        "Listen here for web servers that speak uwsgi inside TLS (nginx: uwsgi_pass suwsgi://), with this certificate.",
        default=(),
        scope=_ROUTER,
        only=("fastrouter",),
        repeatable=True,
        origin=_OURS,
    )

    max_connections: int = option(
        "max-connections",
        integer("N", 0, 10_000_000),
        "Clients' connections at once; the oldest idle ones are closed for new ones, or these are refused with 503.",
        default=10_000,
        scope=_ROUTER,
        origin=_OURS,
        zero="any number",
    )
    max_connections_per_client: int = option(
        "max-connections-per-client",
        integer("N", 0, 10_000_000),
        "The same of one IPv4 address, or IPv6 network of 64 bits; UNIX sockets have no such limit.",
        default=0,
        scope=_ROUTER,
        origin=_OURS,
        zero="any number",
    )
    processes: int | Literal["auto"] = option(
        "processes",
        values.WORKERS,
        "Worker processes; auto: as many as there are cores for them.",
        default=1,
        scope=_ROUTER,
        aliases=("workers",),
    )
    harakiri: float = option(
        "harakiri",
        seconds(zero=0.0),
        "Kill and start again a worker whose event loop is stuck for so long; the log says where it was.",
        default=0.0,
        scope=_ROUTER,
        zero="never",
    )
    zerg: tuple[str, ...] = option(
        "zerg",
        values.SOCKET_PATH,
        "Take listening sockets from the zerg server, or pool, at this UNIX socket.",
        default=(),
        scope=_ROUTER,
        repeatable=True,
    )

    # --- nodes ---

    use_cache: str | None = option(
        "use-cache",
        USE_CACHE,
        "Forward to the nodes that the key's item names in this cache, or in the first; @ADDRESS: of that server.",
        default=None,
    )
    use_pattern: str | None = option(
        "use-pattern",
        values.PATTERN,
        "Forward to the address that results when %s is replaced by the key (in a file write %%s).",
        default=None,
    )
    subscription_servers: tuple[str, ...] = option(
        "subscription-server",
        values.DATAGRAM,
        "Listen here for nodes that announce themselves, and forward to those of the key.",
        default=(),
        repeatable=True,
    )
    use_base: str | None = option(
        "use-base",
        values.BASE,
        "Forward to this prefix followed by the key; a directory needs its final slash.",
        default=None,
    )
    # A function itself only in a router that a program made with the Python API.
    use_code_string: CodeString | Callable[[bytes], object] | None = option(
        "use-code-string",
        values.CODE,
        "Forward to what this Python function returns for the key: an address, or a list of them to try.",
        default=None,
        hash=False,
    )
    code_limit: float = option(
        "code-limit",
        SECONDS,
        "Name the function in the log when it blocks all other requests for longer than this.",
        default=0.1,
        origin=_OURS,
        needs=("use_code_string",),
    )
    code_timeout: float = option(
        "code-timeout",
        SECONDS,
        "Give an async function up after so long.",
        default=5.0,
        origin=_OURS,
        needs=("use_code_string",),
    )
    code_reload: bool = switch(
        "code-reload",
        "Read the function's file again when it has changed; a broken new version is not used.",
        origin=_OURS,
        needs=("use_code_string",),
    )
    use_socket: str | None = option(
        "use-socket",
        values.SOCKET_OR_INDEX,
        "Forward to the N-th socket line (counted from 0; 0 if not given), or to this address.",
        default=None,
    )
    to: tuple[str, ...] = option(
        "to",
        NODE,
        "Forward to this node, http://HOST:PORT if it speaks HTTP; repeated: to each in turn.",
        default=(),
        repeatable=True,
    )
    to_algorithm: Literal["wrr", "least"] = option(
        "to-algo",
        values.choice("wrr", "least"),
        "How one of several configured nodes is chosen: in turn, or the one with the fewest running requests.",
        default="wrr",
        origin=_OURS,
        needs=("to",),
    )
    fallback: tuple[str, ...] = option(
        "fallback",
        NODE,
        "Node to try when all others failed; repeated: in this order.",
        default=(),
        repeatable=True,
    )
    fallback_on_no_key: bool = switch(
        "fallback-on-no-key",
        "Use the fallback nodes also for keys that have no node.",
        origin={"http": _OURS, "rawrouter": _OURS, "sslrouter": _OURS},
        needs=("fallback",),
    )
    subscription_fallback_key: str | None = option(
        "subscription-fallback-key",
        values.KEY,
        "Look this key up when the request's own has no node.",
        default=None,
        origin={"rawrouter": _OURS, "sslrouter": _OURS},
        needs=("subscription_servers",),
    )
    force_key: str | None = option(
        "force-key",
        values.KEY,
        "Every request has this key, whatever its variables say.",
        default=None,
        only=("fastrouter",),
        origin=_UNRELEASED,
    )
    keep_modifiers: bool = switch(
        "keep-modifiers",
        "Forward the web server's modifiers, not the node's (0/0 for configured ones); refuse 22, 110, 111, 173.",
        only=("fastrouter",),
        origin=_OURS,
    )
