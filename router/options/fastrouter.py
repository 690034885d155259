"""The fastrouter's options: uWSGI 2.0.31's, those that its unreleased line adds, and ours.

Source: routers-core sheet, sections 3, 4.3 and 9. Defaults are those of ``router.config.RouterConfig``.
"""

from router.options import values
from router.options.caches import USE_CACHE
from router.options.option import Option, Standing
from router.options.values import BYTES, COUNT, NODE, SECONDS, SWITCH, Kind, integer, seconds

GROUP = "fastrouter"
_FORWARDERS = ": use fastrouter-subscription-server, -use-pattern, -use-base or -to"


def _works(
    name: str,
    kind: Kind,
    target: str,
    help_: str,
    *,
    aliases: tuple[str, ...] = (),
    repeatable: bool = False,
) -> Option:
    return Option(
        name=name,
        kind=kind,
        target=f"router.{target}",
        help=help_,
        group=GROUP,
        aliases=aliases,
        repeatable=repeatable,
    )


def _not_yet(
    name: str,
    kind: Kind,
    help_: str,
    instead: str,
    *,
    aliases: tuple[str, ...] = (),
    refused: bool = False,
    harmless: frozenset[str] = frozenset(),
) -> Option:
    return Option(
        name=name,
        kind=kind,
        help=help_,
        group=GROUP,
        aliases=aliases,
        standing=Standing.NOT_YET,
        instead=instead,
        refused=refused,
        harmless=harmless,
    )


_WHERE = (
    _works(
        "fastrouter",
        values.LISTEN,
        "listen",
        "Listen here for web servers that speak uwsgi.",
        repeatable=True,
    ),
    _works(
        "fastrouter-use-cache",
        USE_CACHE,
        "use_cache",
        "Forward to the nodes that the key's item names in this cache, or in the first; @ADDRESS: of that server.",
    ),
    _works(
        "fastrouter-use-pattern",
        values.PATTERN,
        "use_pattern",
        "Forward to the address that results when %s is replaced by the key (in a file write %%s).",
    ),
    _works(
        "fastrouter-subscription-server",
        values.DATAGRAM,
        "subscription_servers",
        "Listen here for nodes that announce themselves, and forward to those of the key.",
        repeatable=True,
    ),
    _works(
        "fastrouter-use-base",
        values.BASE,
        "use_base",
        "Forward to this prefix followed by the key; a directory needs its final slash.",
    ),
    _works(
        "fastrouter-use-code-string",
        values.CODE,
        "use_code_string",
        "Forward to what this Python function returns for the key: an address, or a list of them to try.",
    ),
    _works(
        "fastrouter-code-limit",
        SECONDS,
        "code_limit",
        "Name the function in the log when it blocks all other requests for longer than this (0.1).",
    ),
    _works(
        "fastrouter-code-timeout",
        SECONDS,
        "code_timeout",
        "Give an async function up after so long (5).",
    ),
    _works(
        "fastrouter-code-reload",
        SWITCH,
        "code_reload",
        "Read the function's file again when it has changed; a broken new version is not used.",
    ),
    _works(
        "fastrouter-use-socket",
        values.SOCKET_OR_INDEX,
        "use_socket",
        "Forward to the N-th socket line (counted from 0; 0 if not given), or to this address.",
    ),
    _works(
        "fastrouter-to",
        NODE,
        "to",
        "Forward to this node; repeated: to each in turn.",
        repeatable=True,
    ),
    _works(
        "fastrouter-fallback",
        NODE,
        "fallback",
        "Node to try when all others failed; repeated: in this order.",
        repeatable=True,
    ),
    _works(
        "fastrouter-fallback-on-no-key",
        SWITCH,
        "fallback_on_no_key",
        "Use the fallback nodes also for keys that have no node.",
    ),
    _works(
        "fastrouter-subscription-fallback-key",
        values.KEY,
        "subscription_fallback_key",
        "Look this key up when the request's own has no node.",
    ),
    _works(
        "fastrouter-force-key",
        values.KEY,
        "force_key",
        "Every request has this key, whatever its variables say.",
    ),
    _works(
        "fastrouter-keep-modifiers",
        SWITCH,
        "keep_modifiers",
        "Forward the web server's modifiers, not the node's (0/0 for configured ones); refuse 22, 110, 111, 173.",
    ),
)

_HOW = (
    _works(
        "fastrouter-timeout",
        seconds(zero=60.0),
        "timeout",
        "End an exchange that was silent in both directions for so long (60; 0 means 60).",
    ),
    _works(
        "fastrouter-connect-timeout",
        SECONDS,
        "connect_timeout",
        "Give up on connecting to a node after so long and try the next (5).",
    ),
    _works(
        "fastrouter-gracetime",
        seconds(zero=30.0),
        "gracetime",
        "Leave a fastrouter-to node that failed alone for so long (30; 0 means 30).",
    ),
    _works(
        "fastrouter-max-retries",
        COUNT,
        "max_retries",
        "Connect to at most this many nodes after the first; not given: to each live node once.",
    ),
    _works(
        "fastrouter-cheap",
        SWITCH,
        "cheap",
        "Accept connections only while at least one node is announced.",
    ),
    _works(
        "fastrouter-quiet",
        values.SWITCH_WORD,
        "quiet",
        "Do not log connects that failed.",
    ),
    _works(
        "fastrouter-buffer-size",
        integer("BYTES", 1, 16 * 1024 * 1024, zero=65_536),
        "buffer_size",
        "Bytes read at once from a connection (65536).",
    ),
    _works(
        "fastrouter-post-buffering",
        BYTES,
        "post_buffering",
        "Read bodies whole before connecting: up to this size in memory, larger ones in a file (0: stream).",
    ),
    _works(
        "fastrouter-post-buffering-dir",
        values.DIRECTORY,
        "post_buffering_dir",
        "Directory of these files (TMPDIR, or /tmp).",
    ),
    _works(
        "fastrouter-errors",
        values.choice("close", "http"),
        "errors",
        "When no node can answer: close the connection, as uWSGI does, or answer 502, 503 or 504 (close).",
    ),
    _works(
        "fastrouter-hold",
        seconds(zero=0.0),
        "hold",
        "Let requests for a known key without a live node wait so long for one; 0: not at all (0).",
    ),
    _works("fastrouter-hold-max", COUNT, "hold_max", "Requests that may wait at once (1000)."),
    _works(
        "fastrouter-hold-max-bytes",
        BYTES,
        "hold_max_bytes",
        "Bytes of waiting requests that may be kept at once (67108864).",
    ),
    _works(
        "fastrouter-abort-on-eof",
        SWITCH,
        "abort_on_eof",
        "Take every end of input from a client as its departure, half-closed connections too.",
    ),
    _works(
        "fastrouter-stats",
        values.STATS,
        "stats",
        "Serve statistics here: JSON, and over HTTP also /metrics.",
        aliases=("fastrouter-stats-server", "fastrouter-ss"),
        repeatable=True,
    ),
    _works("fastrouter-uid", values.USER, "uid", "Run as this user once everything is bound."),
    _works("fastrouter-gid", values.GROUP, "gid", "Run as this group once everything is bound."),
)

_OTHERS = (
    Option(
        name="fastrouter-events",
        kind=values.ANY,
        help="Events taken per poll.",
        group=GROUP,
        standing=Standing.BY_DESIGN,
        instead="the event loop takes all that are ready",
    ),
    Option(
        name="fastrouter-subscription-slot",
        kind=values.ANY,
        help="Size of the table of nodes (deprecated in uWSGI too).",
        group=GROUP,
        standing=Standing.BY_DESIGN,
        instead="the table grows as needed, up to subscription-max-keys",
    ),
    _not_yet(
        "fastrouter-processes",
        COUNT,
        "Number of router processes.",
        "one process serves everything",
        aliases=("fastrouter-workers",),
        harmless=frozenset({"", "0", "1"}),
    ),
    _not_yet(
        "fastrouter-harakiri",
        COUNT,
        "Kill the router if its event loop stalls for so many seconds.",
        "nothing watches the event loop; systemd's WatchdogSec= or a health check can",
        harmless=frozenset({"", "0"}),
    ),
    _not_yet(
        "fastrouter-zerg",
        values.ANY,
        "Take listening sockets from a zerg server.",
        "no socket is taken from the zerg server, only the fastrouter = addresses listen",
    ),
    _not_yet(
        "fastrouter-emperor-socket",
        values.ANY,
        "Ask an Emperor here to start the vassal of a node without an address.",
        "no vassal is started on demand",
    ),
    _not_yet(
        "fastrouter-defer-connect-timeout",
        values.ANY,
        "How long to wait for a vassal started on demand.",
        "no vassal is started on demand; fastrouter-hold lets requests wait for a node",
    ),
)

OPTIONS: tuple[Option, ...] = _WHERE + _HOW + _OTHERS
