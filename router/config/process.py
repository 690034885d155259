"""Configuration of the process: listening sockets, user, files, caches, control socket."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from uwsgi_router.router.config import values
from uwsgi_router.router.config.cache_values import (
    CACHE,
    CACHE_SOCKET,
    ITEM,
    ITEM_FILE,
    MAX_ITEMS,
    MAX_VALUE,
)
from uwsgi_router.router.config.option import Provenance, Spelling, option, switch
from uwsgi_router.router.config.types import CacheConfig, CacheItem, ZergPool
from uwsgi_router.router.config.values import FILE, TEXT, integer, seconds
from uwsgi_router.router.config.vassal import PROCESS, VassalOptions
from uwsgi_router.router.config.zerg_values import ZERG_POOL

SOCKETS: Final = "listening sockets"
CACHES: Final = "caches"
_OURS: Final = Provenance.OURS


@dataclass(frozen=True, slots=True)
class ProcessConfig(VassalOptions):
    """The process as a whole."""

    listen: int = option(
        "listen",
        integer("N", 1, 65_535),
        "Connections that may wait to be accepted, per socket.",
        default=100,
        group=SOCKETS,
        short="l",
    )
    shared_sockets: tuple[str, ...] = option(
        "shared-socket",
        values.LISTEN,
        "Open this socket first; others name it =N, counted from 0.",
        default=(),
        group=SOCKETS,
        aliases=("undeferred-shared-socket",),
        repeatable=True,
    )
    worker_sockets: tuple[str, ...] = option(
        "socket",
        values.LISTEN,
        "An application's socket: nothing listens there, a router's use-socket=N forwards to it.",
        default=(),
        group=SOCKETS,
        aliases=("uwsgi-socket",),
        short="s",
        repeatable=True,
    )
    chmod_socket: int | None = option(
        "chmod-socket",
        values.MODE,
        "Mode of UNIX sockets; without a value 666.",
        default=None,
        group=SOCKETS,
        aliases=("chmod",),
        short="C",
    )
    chown_socket: str | None = option(
        "chown-socket", values.OWNER, "Owner of UNIX sockets.", default=None, group=SOCKETS
    )
    control_socket: str | None = option(
        "control-socket",
        values.SOCKET_PATH,
        "UNIX socket for uwsgi-router status, drain, enable and weight; who may connect may drain.",
        default=None,
        group=SOCKETS,
        origin=_OURS,
    )
    chmod_control_socket: int = option(
        "chmod-control-socket",
        values.OCTAL,
        "Mode of the control socket.",
        default=0o600,
        group=SOCKETS,
        origin=_OURS,
        needs=("control_socket",),
    )
    chown_control_socket: str | None = option(
        "chown-control-socket",
        values.OWNER,
        "Owner of the control socket.",
        default=None,
        group=SOCKETS,
        origin=_OURS,
        needs=("control_socket",),
    )
    defer_accept: bool = switch(
        "no-defer-accept",
        "Accept TCP connections before their first bytes are there.",
        kind=values.SWITCH_OFF,
        default=True,
        group=SOCKETS,
    )
    reuse_port: bool = switch(
        "reuse-port", "Let several programs listen on the same address.", group=SOCKETS
    )
    freebind: bool = switch(
        "freebind", "Listen also on addresses that this machine lacks yet.", group=SOCKETS
    )
    so_keepalive: bool = switch(
        "so-keepalive", "Let the kernel probe idle TCP connections.", group=SOCKETS
    )
    so_sndbuf: int | None = option(
        "socket-sndbuf",
        values.BYTES,
        "Size of the kernel's send buffers.",
        default=None,
        group=SOCKETS,
    )
    so_rcvbuf: int | None = option(
        "socket-rcvbuf",
        values.BYTES,
        "Size of the kernel's receive buffers.",
        default=None,
        group=SOCKETS,
    )
    master: bool = switch(
        "no-master",
        "Serve everything in one process: none starts workers again, nothing is reloaded.",
        kind=values.SWITCH_OFF,
        default=True,
        group=PROCESS,
        origin=_OURS,
    )
    uid: str | None = option(
        "uid",
        values.USER,
        "Run as this user once everything is bound.",
        default=None,
        group=PROCESS,
    )
    gid: str | None = option(
        "gid",
        values.GROUP,
        "Run as this group once everything is bound; other groups are dropped.",
        default=None,
        group=PROCESS,
    )
    additional_gids: tuple[str, ...] = option(
        "add-gid",
        values.GROUP,
        "Keep this group too when privileges are dropped.",
        default=(),
        group=PROCESS,
        repeatable=True,
    )
    pidfile: str | None = option(
        "pidfile",
        FILE,
        "Write the process id here, before privileges are dropped.",
        default=None,
        group=PROCESS,
    )
    safe_pidfile: str | None = option(
        "safe-pidfile",
        FILE,
        "Write the process id here, after privileges were dropped.",
        default=None,
        group=PROCESS,
        aliases=("pidfile2", "safe-pidfile2"),
    )
    logto: str | None = option(
        "logto",
        FILE,
        "Append log lines to this file instead of standard error.",
        default=None,
        group=PROCESS,
        aliases=("logto2",),
    )
    log_date: bool = option(
        "log-date",
        values.DATE,
        "Begin log lines with date and time.",
        default=True,
        group=PROCESS,
        aliases=("logdate",),
        shown="on; a format of one's own is not used",
    )
    umask: int | None = option(
        "umask", values.OCTAL, "Mask for the modes of new files.", default=None, group=PROCESS
    )
    chdir: str | None = option(
        "chdir", values.DIRECTORY, "Working directory.", default=None, group=PROCESS
    )
    procname: str | None = option(
        "procname", TEXT, "Name of the process in ps.", default=None, group=PROCESS
    )
    procname_prefix: str | None = option(
        "procname-prefix",
        TEXT,
        "Put this before the name of the process.",
        default=None,
        group=PROCESS,
        spellings=(
            Spelling(
                "procname-prefix-spaced",
                values.SPACED,
                "Put this and a blank before the name of the process.",
            ),
        ),
    )
    reload_mercy: float = option(
        "reload-mercy",
        seconds(zero=0.0),
        "On SIGTERM, let running requests finish for so long.",
        default=60.0,
        group=PROCESS,
    )
    reload_timeout: float = option(
        "reload-timeout",
        seconds(),
        "On a reload, give new processes up that are not ready after so long; the old ones serve on.",
        default=60.0,
        group=PROCESS,
        origin=_OURS,
    )
    drain_grace: float = option(
        "drain-grace",
        seconds(zero=0.0),
        "On a reload, let idle connections of clients have one last request within so long.",
        default=5.0,
        group=PROCESS,
        origin=_OURS,
    )
    drain_streams: float = option(
        "drain-streams",
        seconds(zero=0.0),
        "On a reload, let WebSockets and event streams go on for so long.",
        default=60.0,
        group=PROCESS,
        origin=_OURS,
    )
    touch_reload: tuple[str, ...] = option(
        "touch-reload",
        FILE,
        "Reload when this file is touched.",
        default=(),
        group=PROCESS,
        repeatable=True,
    )
    touch_logreopen: tuple[str, ...] = option(
        "touch-logreopen",
        FILE,
        "Open log files again when this file is touched.",
        default=(),
        group=PROCESS,
        repeatable=True,
    )
    master_fifo: tuple[str, ...] = option(
        "master-fifo",
        FILE,
        "Take commands from this fifo: r reloads, q stops gracefully, Q at once, s logs a status, l opens logs again.",
        default=(),
        group=PROCESS,
        repeatable=True,
    )
    zerg_pools: tuple[ZergPool, ...] = option(
        "zerg-pool",
        ZERG_POOL,
        "Open these sockets and give them to whoever connects to the UNIX socket: PATH:ADDRESS[,ADDRESS…].",
        default=(),
        group=SOCKETS,
        aliases=("zergpool",),
        repeatable=True,
    )
    env: Mapping[str, str] = option(
        "env",
        values.ASSIGNMENT,
        "Set an environment variable before anything starts.",
        default={},
        group=PROCESS,
        repeatable=True,
    )
    event_loop: Literal["auto", "uvloop", "asyncio"] = option(
        "event-loop",
        values.choice("auto", "uvloop", "asyncio"),
        "Event loop; auto takes uvloop where it is installed.",
        default="auto",
        group=PROCESS,
        origin=_OURS,
    )
    no_apps: bool = switch(
        "no-apps",
        "Start no application of [app NAME] sections: only the routers.",
        group=PROCESS,
        origin=_OURS,
    )
    stats_http: bool = switch(
        "stats-http",
        "Stats ports wait for an HTTP request instead of writing first.",
        group=PROCESS,
    )
    stats_minified: bool = switch(
        "stats-minified", "No white space in statistics.", group=PROCESS, aliases=("stats-min",)
    )
    named_caches: tuple[CacheConfig, ...] = option(
        "cache2",
        CACHE,
        "Have a cache of N items; also keysize, blocksize (largest value), purge_lru, clear_on_full, no_expire…",
        default=(),
        group=CACHES,
        repeatable=True,
    )
    default_cache_items: int | None = option(
        "cache",
        integer("N", 1, MAX_ITEMS),
        "Have a cache called default of N items.",
        default=None,
        group=CACHES,
    )
    default_cache_max_value: int = option(
        "cache-blocksize",
        integer("BYTES", 1, MAX_VALUE),
        "Largest value in the cache called default.",
        default=65_536,
        group=CACHES,
        needs=("default_cache_items",),
    )
    default_cache_expire: bool = switch(
        "cache-no-expire",
        "Items of the cache called default stay, whatever end was asked for.",
        kind=values.SWITCH_OFF,
        default=True,
        group=CACHES,
        needs=("default_cache_items",),
    )
    cache_items: tuple[CacheItem, ...] = option(
        "add-cache-item",
        ITEM,
        "Have this item in the cache from the start; without a name in every cache.",
        default=(),
        group=CACHES,
        repeatable=True,
    )
    cache_files: tuple[CacheItem, ...] = option(
        "load-file-in-cache",
        ITEM_FILE,
        "Have an item whose key is this path and whose value is what is in the file.",
        default=(),
        group=CACHES,
        repeatable=True,
    )
    cache_sockets: tuple[str, ...] = option(
        "cache-socket",
        CACHE_SOCKET,
        "Take commands of uWSGI's cache clients here; a UNIX socket or a loopback address.",
        default=(),
        group=CACHES,
        repeatable=True,
        origin=_OURS,
    )
    cache_socket_public: bool = switch(
        "cache-socket-public",
        "Let cache-socket be any address: whoever reaches it decides where requests go.",
        group=CACHES,
        origin=_OURS,
        needs=("cache_sockets",),
    )

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
