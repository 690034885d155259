"""Options of the whole process and of the table of announced nodes.

Source: uWSGI 2.0.31's own list of options (core/uwsgi.c). Defaults are those of
``router.config.ProcessConfig`` and ``SubscriptionConfig``.
"""

from uwsgi_router.router.config import values
from uwsgi_router.router.config.option import Option
from uwsgi_router.router.config.values import FILE, SWITCH, TEXT, Kind, integer, seconds

SOCKETS = "listening sockets"
PROCESS = "process"
SUBSCRIPTIONS = "subscriptions"


def _process(
    group: str,
    name: str,
    kind: Kind,
    target: str,
    help_: str,
    *,
    aliases: tuple[str, ...] = (),
    short: str = "",
    repeatable: bool = False,
) -> Option:
    return Option(
        name=name,
        kind=kind,
        target=f"process.{target}",
        help=help_,
        group=group,
        aliases=aliases,
        short=short,
        repeatable=repeatable,
    )


def _subscription(name: str, kind: Kind, target: str, help_: str, *aliases: str) -> Option:
    return Option(
        name=name,
        kind=kind,
        target=f"subscription.{target}",
        help=help_,
        group=SUBSCRIPTIONS,
        aliases=aliases,
    )


OPTIONS: tuple[Option, ...] = (
    _process(
        SOCKETS,
        "listen",
        integer("N", 1, 65_535),
        "listen",
        "Connections that may wait to be accepted, per socket (100).",
        short="l",
    ),
    _process(
        SOCKETS,
        "shared-socket",
        values.LISTEN,
        "shared_sockets",
        "Open this socket first; others name it =N, counted from 0.",
        aliases=("undeferred-shared-socket",),
        repeatable=True,
    ),
    _process(
        SOCKETS,
        "socket",
        values.LISTEN,
        "worker_sockets",
        "An application's socket: nothing listens there, a router's use-socket=N forwards to it.",
        aliases=("uwsgi-socket",),
        short="s",
        repeatable=True,
    ),
    _process(
        SOCKETS,
        "chmod-socket",
        values.MODE,
        "chmod_socket",
        "Mode of UNIX sockets; without a value 666.",
        aliases=("chmod",),
        short="C",
    ),
    _process(SOCKETS, "chown-socket", values.OWNER, "chown_socket", "Owner of UNIX sockets."),
    _process(
        SOCKETS,
        "control-socket",
        values.SOCKET_PATH,
        "control_socket",
        "UNIX socket for uwsgi-router status, drain, enable and weight; who may connect may drain.",
    ),
    _process(
        SOCKETS,
        "chmod-control-socket",
        values.OCTAL,
        "chmod_control_socket",
        "Mode of the control socket (600).",
    ),
    _process(
        SOCKETS,
        "chown-control-socket",
        values.OWNER,
        "chown_control_socket",
        "Owner of the control socket.",
    ),
    _process(
        SOCKETS,
        "no-defer-accept",
        values.SWITCH_OFF,
        "defer_accept",
        "Accept TCP connections before their first bytes are there.",
    ),
    _process(
        SOCKETS,
        "reuse-port",
        SWITCH,
        "reuse_port",
        "Let several programs listen on the same address.",
    ),
    _process(
        SOCKETS,
        "freebind",
        SWITCH,
        "freebind",
        "Listen also on addresses that this machine lacks yet.",
    ),
    _process(
        SOCKETS,
        "so-keepalive",
        SWITCH,
        "so_keepalive",
        "Let the kernel probe idle TCP connections.",
    ),
    _process(
        SOCKETS,
        "socket-sndbuf",
        values.BYTES,
        "so_sndbuf",
        "Size of the kernel's send buffers.",
    ),
    _process(
        SOCKETS,
        "socket-rcvbuf",
        values.BYTES,
        "so_rcvbuf",
        "Size of the kernel's receive buffers.",
    ),
    _process(PROCESS, "uid", values.USER, "uid", "Run as this user once everything is bound."),
    _process(
        PROCESS,
        "gid",
        values.GROUP,
        "gid",
        "Run as this group once everything is bound; other groups are dropped.",
    ),
    _process(
        PROCESS,
        "add-gid",
        values.GROUP,
        "additional_gids",
        "Keep this group too when privileges are dropped.",
        repeatable=True,
    ),
    _process(
        PROCESS,
        "pidfile",
        FILE,
        "pidfile",
        "Write the process id here, before privileges are dropped.",
    ),
    _process(
        PROCESS,
        "safe-pidfile",
        FILE,
        "safe_pidfile",
        "Write the process id here, after privileges were dropped.",
        aliases=("pidfile2", "safe-pidfile2"),
    ),
    _process(
        PROCESS,
        "logto",
        FILE,
        "logto",
        "Append log lines to this file instead of standard error.",
        aliases=("logto2",),
    ),
    _process(
        PROCESS,
        "log-date",
        values.DATE,
        "log_date",
        "Begin log lines with date and time (on; a format of one's own is not used).",
        aliases=("logdate",),
    ),
    _process(PROCESS, "umask", values.OCTAL, "umask", "Mask for the modes of new files."),
    _process(PROCESS, "chdir", values.DIRECTORY, "chdir", "Working directory."),
    _process(PROCESS, "procname", TEXT, "procname", "Name of the process in ps."),
    _process(
        PROCESS,
        "procname-prefix",
        TEXT,
        "procname_prefix",
        "Put this before the name of the process.",
    ),
    _process(
        PROCESS,
        "procname-prefix-spaced",
        values.SPACED,
        "procname_prefix",
        "Put this and a blank before the name of the process.",
    ),
    _process(
        PROCESS,
        "reload-mercy",
        seconds(zero=0.0),
        "reload_mercy",
        "On SIGTERM, let running requests finish for so long (60).",
    ),
    _process(
        PROCESS,
        "env",
        values.ASSIGNMENT,
        "env",
        "Set an environment variable before anything starts.",
        repeatable=True,
    ),
    _process(
        PROCESS,
        "event-loop",
        values.choice("auto", "uvloop", "asyncio"),
        "event_loop",
        "Event loop; auto takes uvloop where it is installed (auto).",
    ),
    _process(
        PROCESS,
        "stats-http",
        SWITCH,
        "stats_http",
        "Stats ports wait for an HTTP request instead of writing first.",
    ),
    _process(
        PROCESS,
        "stats-minified",
        SWITCH,
        "stats_minified",
        "No white space in statistics.",
        aliases=("stats-min",),
    ),
    _subscription(
        "subscription-tolerance",
        seconds(zero=17.0),
        "tolerance",
        "A node that was silent for so long is not chosen while another lives (17).",
    ),
    _subscription(
        "subscription-algo",
        values.choice("wrr", "lrc", "wlrc", "iphash"),
        "algorithm",
        "How a node of a key is chosen, unless its first announce says otherwise (wrr).",
    ),
    _subscription(
        "subscription-dotsplit",
        SWITCH,
        "dotsplit",
        "If www.example.com has no node, look for .example.com, then .com.",
    ),
    _subscription(
        "subscription-mountpoints",
        integer("N", 0, 64),
        "mountpoints",
        "The first N segments of the path belong to the key (0).",
        "subscription-mountpoint",
    ),
    _subscription(
        "subscription-max-keys",
        integer("N", 1, 10_000_000),
        "max_keys",
        "Keys that may be known at once (10000).",
    ),
    _subscription(
        "subscription-max-nodes",
        integer("N", 1, 1_000_000),
        "max_nodes_per_key",
        "Nodes that one key may have (1000).",
    ),
)
