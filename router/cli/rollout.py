"""Command ``rollout``: replaces the copies of running applications, and returns when that is done.

Exit status: 0 if all copies are new; 1 if it failed, with the reason and the last lines of the copy that failed: the
old copies go on; 2 for a command line that makes no sense; 130 if it was interrupted: it goes on.
"""

import argparse
import os
import sys
from collections.abc import Mapping

from uwsgi_router.protocol.control import MAX_TIMEOUT, Question
from uwsgi_router.protocol.text import printable, show
from uwsgi_router.router.cli import commands
from uwsgi_router.router.cli.commands import failed, seconds
from uwsgi_router.subscriptions.application import runtime
from uwsgi_router.subscriptions.client.control import VARIABLE, CannotAsk, Control


def arguments() -> argparse.ArgumentParser:
    """Return the parser of its command line."""
    parser = commands.parser(
        "rollout",
        "Replace the copies of what `uwsgi-router serve` or [app] sections run: new ones are started first, and get"
        " requests once they are healthy; then the old ones drain and stop. It returns when that is done.",
        "Exit status: 0 if all copies are new; 1 if not: the reason and the failed copy's last lines are shown, and"
        " the old copies go on; 2 for wrong use.",
        ("uwsgi-router rollout", "uwsgi-router rollout --app shop /run/shop.pid"),
    )
    parser.add_argument(
        "pidfile",
        nargs="?",
        metavar="PIDFILE",
        help="of the supervisor (default: the only one that runs)",
    )
    parser.add_argument("--app", metavar="NAME", default="", help="only this application")
    parser.add_argument(
        "--surge", action="store_true", default=None, help="start all new copies at once"
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds(1, MAX_TIMEOUT),
        default=3600.0,
        help="wait so long at most; the rollout goes on (default: 3600)",
    )
    parser.add_argument(
        "--control", metavar="PATH", help=f"the supervisor's control socket (default: ${VARIABLE})"
    )
    return parser


def main(args: list[str]) -> int:
    """Roll out; return the exit status."""
    parsed = arguments().parse_args(args)
    try:
        path = socket_of(parsed.control, parsed.pidfile, os.environ)
        with Control(path, parsed.timeout) as control:
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
