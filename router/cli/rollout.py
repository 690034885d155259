"""Command ``rollout`` (``roll``): replaces the copies of applications, or reloads the vassals of an Emperor.

Exit status: 0 if all are new; 1 if it failed, with the reason and the last lines of the one that failed: the others go
on as they were; 2 for a command line that makes no sense; 130 if the wait for applications was interrupted: their
rollout goes on.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from uwsgi_router.protocol.control import MAX_TIMEOUT, Question
from uwsgi_router.protocol.text import printable, show
from uwsgi_router.router.cli import commands
from uwsgi_router.router.cli.commands import failed, seconds
from uwsgi_router.subscriptions.application import runtime
from uwsgi_router.subscriptions.client.control import (
    DEFAULT,
    VARIABLE,
    CannotAsk,
    Control,
    control_path,
)

# Without these there is no rollout of vassals.
_NEEDED = ("emperor_path", "emperor_stats_socket")
#: Arguments that are for applications only.
_OF_APPLICATIONS = ("pidfile", "app", "surge")


def arguments(name: str = "rollout") -> argparse.ArgumentParser:
    """Return the parser of its command line, under either name."""
    parser = commands.parser(
        name,
        "Replace the copies of what `uwsgi-router serve` or [app] sections run: new ones are started first, and get"
        " requests once they are healthy; then the old ones drain and stop. With --emperor-path: reload the vassals of"
        " an Emperor, uWSGI's or this program's, one after the other; each is taken out of service first where the"
        " router can do that, and has to serve well before the next one leaves. It returns when that is done.",
        "Exit status: 0 if all are new; 1 if not: the reason and the last lines of the one that failed are shown, and"
        " the others go on as they were; 2 for wrong use.",
        (
            "uwsgi-router rollout",
            "uwsgi-router rollout --app shop /run/shop.pid",
            (
                "uwsgi-router roll --emperor-path /etc/vassals --emperor-stats-socket /run/emperor.sock \\\n"
                "    --fastrouter-stats-socket /run/fastrouter.sock"
            ),
        ),
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds(1, MAX_TIMEOUT),
        help="of applications: wait so long at most; the rollout goes on (default: 3600); of vassals: for each, from"
        " the touch of its file until it serves again (default: 60)",
    )
    parser.add_argument(
        "--control",
        metavar="PATH",
        action="append",
        help=f"control socket, of the supervisor of applications or of a router before vassals (then repeatable);"
        f" default: ${VARIABLE}, and for vassals {DEFAULT}",
    )
    _add_applications(parser)
    _add_vassals(parser.add_argument_group("vassals of an Emperor"))
    return parser


def roll_arguments() -> argparse.ArgumentParser:
    """Return the same, by the short name."""
    return arguments("roll")


def _add_vassals(group: "argparse._ArgumentGroup") -> None:
    """Add what the client's reload script has, under its names and with its defaults; and what that has not."""
    add = group.add_argument
    add("--emperor-path", metavar="DIR", help="directory that the Emperor watches")
    add(
        "--emperor-stats-socket",
        metavar="SOCKET",
        help="statistics of the Emperor (emperor-stats): a path, or HOST:PORT",
    )
    add(
        "--fastrouter-stats-socket",
        metavar="SOCKET",
        action="append",
        default=[],
        help="statistics of a router that the vassals subscribe to; repeatable",
    )
    add(
        "--vassal-config-file-suffix",
        metavar="TEXT",
        default=".ini",
        help="end of the names of vassals' files (default: .ini)",
    )
    add(
        "--minimum-active-vassals",
        metavar="N",
        type=_at_least(0),
        default=1,
        help="so many other nodes of each pool serve at any time (default: 1)",
    )
    add(
        "--max-unavailable",
        metavar="N",
        type=_at_least(1),
        help="work on so many vassals at once, at most; the first one is always alone (default: as many as"
        " --minimum-active-vassals allows)",
    )
    add(
        "--check-interval",
        metavar="SECONDS",
        type=seconds(0.01, 60),
        default=0.1,
        help="between two looks at the statistics (default: 0.1)",
    )
    add("-q", "--quiet", action="store_true", help="no line for each vassal")
    add("--dry-run", action="store_true", help="show the plan, and what speaks against it")
    add("--json", action="store_true", help="an object a line; the last one has `ok` and `reason`")
    add(
        "--vassal",
        metavar="PATTERN",
        action="append",
        default=[],
        help="only vassals of this name; * and ? stand for others; repeatable",
    )
    add("--key", default="", help="only vassals with nodes of this key")
    add(
        "--node",
        metavar="NAME=ADDRESS",
        type=_node,
        action="append",
        default=[],
        help="this node is that vassal's, where that can't be seen; repeatable",
    )
    add(
        "--allow-unrouted",
        action="store_true",
        help="vassals may have no node: they are reloaded, and have to accept",
    )
    add(
        "--fifo",
        metavar="PATTERN",
        default="",
        help="path of a vassal's master-fifo (%%n: its name, %%s: its file's, %%d: the directory): where no router can"
        " withdraw its nodes it announces nothing until its reload, and they are unsubscribed",
    )
    add(
        "--log",
        metavar="PATTERN",
        default="",
        help="path of a vassal's log, for its last lines (default: where it writes its errors)",
    )
    add(
        "--drain",
        metavar="SECONDS",
        type=seconds(0, MAX_TIMEOUT),
        default=60.0,
        help="for the requests of a vassal that is withdrawn to end (default: 60)",
    )
    add(
        "--drain-streams",
        metavar="SECONDS",
        type=seconds(0, MAX_TIMEOUT),
        default=10.0,
        help="then event streams and WebSockets are ended (default: 10)",
    )
    add(
        "--health",
        metavar="PATH",
        type=_path,
        help="ask each reloaded vassal for this path, itself; it has to answer with a status below 400 (default: /,"
        " and below 500)",
    )
    add("--no-health", action="store_true", help="ask reloaded vassals for nothing")
    add(
        "--subscription-tolerance",
        metavar="SECONDS",
        type=seconds(1, MAX_TIMEOUT),
        default=17.0,
        help="of uWSGI's router: nodes that have announced nothing for longer do not count (default: 17)",
    )


def _at_least(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else -1
        if number < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least}")
        return number

    return read


def _node(text: str) -> tuple[str, str]:
    name, _, address = text.partition("=")
    if not name or not address:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=ADDRESS")
    return address, name


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no path, such as /health")
    return text


def _add_applications(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("applications")
    group.add_argument(
        "pidfile",
        nargs="?",
        metavar="PIDFILE",
        help="of the supervisor (default: the only one that runs)",
    )
    group.add_argument("--app", metavar="NAME", default="", help="only this application")
    group.add_argument(
        "--surge", action="store_true", default=None, help="start all new copies at once"
    )


def main(args: list[str]) -> int:
    """Roll out; return the exit status."""
    return _main(arguments(), args)


def roll(args: list[str]) -> int:
    """Do the same, by the short name."""
    return _main(roll_arguments(), args)


def _main(parser: argparse.ArgumentParser, args: list[str]) -> int:
    parsed = parser.parse_args(args)
    if any(getattr(parsed, name) for name in (*_NEEDED, "fastrouter_stats_socket")):
        return _vassals(parser, parsed)
    if parsed.control is not None and len(parsed.control) > 1:
        parser.error("applications have one supervisor: give --control once")
    given = None if parsed.control is None else parsed.control[0]
    timeout = 3600.0 if parsed.timeout is None else parsed.timeout
    try:
        path = socket_of(given, parsed.pidfile, os.environ)
        with Control(path, timeout) as control:
            for line in control.ask(Question("rollout", app=parsed.app, surge=parsed.surge)):
                if "line" in line:
                    print(f"  {printable(show(line['line']))}", file=sys.stderr)
                else:
                    count = line["nodes"]
                    print(f"rolled out {count} application{'s' if count != 1 else ''}")
    except CannotAsk as exc:
        return failed("rollout", exc)
    except KeyboardInterrupt:
        print("the rollout goes on; `uwsgi-router status` shows it", file=sys.stderr)
        return 130
    return 0


def _vassals(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> int:
    """Roll vassals out, if the command line makes sense; return the exit status."""
    for name in _NEEDED:
        if not getattr(parsed, name):
            parser.error(f"a rollout of vassals needs --{name.replace('_', '-')}")
    for name in _OF_APPLICATIONS:
        if getattr(parsed, name):
            parser.error(f"{name} is for applications, not for vassals")
    if not parsed.fastrouter_stats_socket and not parsed.allow_unrouted:
        parser.error("name a router with --fastrouter-stats-socket, or say --allow-unrouted")
    # Only here: applications need none of it.
    from uwsgi_router.router.cli import vassal_rollout  # noqa: PLC0415

    controls = routers_controls(parsed.control, os.environ)
    return vassal_rollout.roll(parsed, os.environ, controls)


def routers_controls(given: Sequence[str] | None, environ: Mapping[str, str]) -> Sequence[str]:
    """Return the control sockets of routers: those that were given, else the one that is known; none if none is."""
    if given is not None:
        return given
    found = control_path(None, environ) or (DEFAULT if os.path.exists(DEFAULT) else None)
    return () if found is None else (found,)


def socket_of(given: str | None, pidfile: str | None, environ: Mapping[str, str]) -> str:
    """Return the control socket of a supervisor.

    Args:
        given: its path, or None.
        pidfile: of the supervisor, or None.
        environ: may name the socket.

    Raises:
        CannotAsk: it is not known.
    """
    if given is not None:
        return given
    if pidfile is not None:
        try:
            with open(pidfile, encoding="ascii") as file:
                pid = int(file.read(32))
        except (OSError, ValueError) as exc:
            raise CannotAsk(f"{pidfile}: {getattr(exc, 'strerror', None) or 'no number'}") from exc
        path = runtime.control_path_of(environ, pid)
        if path is None:
            raise CannotAsk(
                f"process {pid} of {pidfile} has no control socket here: give --control"
            )
        return path
    if environ.get(VARIABLE):
        return environ[VARIABLE]
    found = runtime.control_paths(environ)
    if len(found) > 1:
        raise CannotAsk(f"several supervisors run: give --control with one of {', '.join(found)}")
    if not found:
        raise CannotAsk("no supervisor of this user runs: give --control PATH, or a pid file")
    return found[0]
