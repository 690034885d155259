"""What the fastrouter and the HTTP router have in common: the same options, each under its own prefix.

Source: uWSGI: plugins/fastrouter/fastrouter.c. Defaults are those of ``router.config.RouterConfig``.
"""

from typing import Literal

from uwsgi_router.router.config import values
from uwsgi_router.router.config.caches import USE_CACHE
from uwsgi_router.router.config.option import Option, Standing
from uwsgi_router.router.config.values import (
    BYTES,
    COUNT,
    NODE,
    SECONDS,
    SWITCH,
    Kind,
    integer,
    seconds,
)


class RouterOptions:
    """Makes the options of one router.

    Args:
        kind: the router, as in ``RouterConfig.kind``: the options' prefix and the part of their targets.
        group: the options' heading.
    """

    def __init__(self, kind: Literal["fastrouter", "http"], group: str) -> None:
        self._prefix = kind
        self._group = group

    def works(
        self,
        suffix: str,
        kind: Kind,
        target: str,
        help_: str,
        *,
        aliases: tuple[str, ...] = (),
        repeatable: bool = False,
    ) -> Option:
        """An option that sets ``target``; ``suffix`` (and each alias) comes after the prefix."""
        return Option(
            name=self._named(suffix),
            kind=kind,
            target=f"{self._prefix}.{target}",
            help=help_,
            group=self._group,
            aliases=tuple(map(self._named, aliases)),
            repeatable=repeatable,
        )

    def by_design(self, suffix: str, help_: str, instead: str) -> Option:
        """An option that needs nothing to be done."""
        return Option(
            name=self._named(suffix),
            kind=values.ANY,
            help=help_,
            group=self._group,
            standing=Standing.BY_DESIGN,
            instead=instead,
        )

    def not_yet(
        self,
        suffix: str,
        kind: Kind,
        help_: str,
        instead: str,
        *,
        aliases: tuple[str, ...] = (),
        refused: bool = False,
        harmless: frozenset[str] = frozenset(),
    ) -> Option:
        """An option that only warns, or is refused."""
        return Option(
            name=self._named(suffix),
            kind=kind,
            help=help_,
            group=self._group,
            aliases=tuple(map(self._named, aliases)),
            standing=Standing.NOT_YET,
            instead=instead,
            refused=refused,
            harmless=harmless,
        )

    def _named(self, suffix: str) -> str:
        return f"{self._prefix}-{suffix}" if suffix else self._prefix

    def where(self) -> tuple[Option, ...]:
        """How nodes are found."""
        works = self.works
        return (
            works(
                "use-cache",
                USE_CACHE,
                "use_cache",
                "Forward to the nodes that the key's item names in this cache, or in the first; @ADDRESS: of that"
                " server.",
            ),
            works(
                "use-pattern",
                values.PATTERN,
                "use_pattern",
                "Forward to the address that results when %s is replaced by the key (in a file write %%s).",
            ),
            works(
                "subscription-server",
                values.DATAGRAM,
                "subscription_servers",
                "Listen here for nodes that announce themselves, and forward to those of the key.",
                repeatable=True,
            ),
            works(
                "use-base",
                values.BASE,
                "use_base",
                "Forward to this prefix followed by the key; a directory needs its final slash.",
            ),
            works(
                "use-code-string",
                values.CODE,
                "use_code_string",
                "Forward to what this Python function returns for the key: an address, or a list of them to try.",
            ),
            works(
                "code-limit",
                SECONDS,
                "code_limit",
                "Name the function in the log when it blocks all other requests for longer than this (0.1).",
            ),
            works(
                "code-timeout",
                SECONDS,
                "code_timeout",
                "Give an async function up after so long (5).",
            ),
            works(
                "code-reload",
                SWITCH,
                "code_reload",
                "Read the function's file again when it has changed; a broken new version is not used.",
            ),
            works(
                "use-socket",
                values.SOCKET_OR_INDEX,
                "use_socket",
                "Forward to the N-th socket line (counted from 0; 0 if not given), or to this address.",
            ),
            works(
                "to",
                NODE,
                "to",
                "Forward to this node; repeated: to each in turn.",
                repeatable=True,
            ),
            works(
                "fallback",
                NODE,
                "fallback",
                "Node to try when all others failed; repeated: in this order.",
                repeatable=True,
            ),
            works(
                "fallback-on-no-key",
                SWITCH,
                "fallback_on_no_key",
                "Use the fallback nodes also for keys that have no node.",
            ),
            works(
                "subscription-fallback-key",
                values.KEY,
                "subscription_fallback_key",
                "Look this key up when the request's own has no node.",
            ),
        )

    def nodes(self) -> tuple[Option, ...]:
        """How nodes are spoken to, and what happens while there is none."""
        works = self.works
        return (
            works(
                "connect-timeout",
                SECONDS,
                "connect_timeout",
                "Give up on connecting to a node after so long and try the next (5).",
            ),
            works(
                "gracetime",
                seconds(zero=30.0),
                "gracetime",
                f"Leave a node of {self._prefix}-to that failed alone for so long (30; 0 means 30).",
            ),
            works(
                "max-retries",
                COUNT,
                "max_retries",
                "Connect to at most this many nodes after the first; not given: to each live node once.",
            ),
            works(
                "backend-http",
                SWITCH,
                "backend_http",
                "Speak HTTP/1.1 to nodes that did not announce what they speak, and not uwsgi.",
            ),
            works(
                "backend-connections",
                integer("N", 1, 1_000_000),
                "backend_connections",
                "Connections to one HTTP node at once (as many as its announce has cores, else without limit).",
            ),
            works(
                "backend-keepalive",
                seconds(zero=0.0),
                "backend_keepalive",
                "Keep an idle connection to an HTTP node for so long, if the node names no time (1.5; 0: not at all).",
            ),
            works(
                "backend-queue",
                COUNT,
                "backend_queue",
                "Requests that may wait at once for a connection to an HTTP node (1000).",
            ),
            works(
                "backend-queue-timeout",
                SECONDS,
                "backend_queue_timeout",
                f"Let each of them wait for so long (as {self._prefix}-timeout).",
            ),
            works(
                "hold",
                seconds(zero=0.0),
                "hold",
                "Let requests for a known key without a live node wait so long for one; 0: not at all (0).",
            ),
            works("hold-max", COUNT, "hold_max", "Requests that may wait at once (1000)."),
            works(
                "hold-max-bytes",
                BYTES,
                "hold_max_bytes",
                "Bytes of waiting requests that may be kept at once (67108864).",
            ),
            works(
                "cheap",
                SWITCH,
                "cheap",
                "Accept connections only while at least one node is announced.",
            ),
            works("quiet", values.SWITCH_WORD, "quiet", "Do not log connects that failed."),
        )

    def exchange(self) -> tuple[Option, ...]:
        """How requests and answers are passed on."""
        works = self.works
        return (
            works(
                "timeout",
                seconds(zero=60.0),
                "timeout",
                "End an exchange that was silent in both directions for so long (60; 0 means 60).",
            ),
            works(
                "buffer-size",
                integer("BYTES", 1, 16 * 1024 * 1024, zero=65_536),
                "buffer_size",
                "Bytes read at once from a connection (65536).",
            ),
            works(
                "post-buffering",
                BYTES,
                "post_buffering",
                "Read bodies whole before connecting: up to this size in memory, larger ones in a file (0: stream).",
            ),
            works(
                "post-buffering-dir",
                values.DIRECTORY,
                "post_buffering_dir",
                "Directory of these files (TMPDIR, or /tmp).",
            ),
            works(
                "abort-on-eof",
                SWITCH,
                "abort_on_eof",
                "Take every end of input from a client as its departure, half-closed connections too.",
            ),
        )

    def process(self) -> tuple[Option, ...]:
        """Statistics and the user that everything runs as."""
        works = self.works
        return (
            works(
                "stats",
                values.STATS,
                "stats",
                "Serve statistics here: JSON, and over HTTP also /metrics.",
                aliases=("stats-server", "ss"),
                repeatable=True,
            ),
            works("uid", values.USER, "uid", "Run as this user once everything is bound."),
            works("gid", values.GROUP, "gid", "Run as this group once everything is bound."),
        )

    def others(self) -> tuple[Option, ...]:
        """What is accepted, and does nothing or nothing yet."""
        return (
            self.by_design(
                "events", "Events taken per poll.", "the event loop takes all that are ready"
            ),
            self.not_yet(
                "processes",
                COUNT,
                "Number of router processes.",
                "one process serves everything",
                aliases=("workers",),
                harmless=frozenset({"", "0", "1"}),
            ),
            self.not_yet(
                "harakiri",
                COUNT,
                "Kill the router if its event loop stalls for so many seconds.",
                "nothing watches the event loop; systemd's WatchdogSec= or a health check can",
                harmless=frozenset({"", "0"}),
            ),
            self.not_yet(
                "zerg",
                values.ANY,
                "Take listening sockets from a zerg server.",
                f"no socket is taken from the zerg server, only the {self._prefix} = addresses listen",
            ),
        )
