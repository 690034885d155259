"""Command ``reload``: has a running router read its configuration again, and perhaps waits for the outcome.

Exit status: 0 if it was asked for, or with ``--wait`` if the new processes serve and the old ones have ended; 1 if not,
with the reason; 2 for a command line that makes no sense, 130 if it was interrupted.
"""

import argparse
import os
import signal
import stat
import time
from typing import Final

from uwsgi_router.protocol.control import MAX_TIMEOUT, Question
from uwsgi_router.router.app.master.outcome import reloads_of
from uwsgi_router.router.cli import commands
from uwsgi_router.router.cli.commands import failed, seconds
from uwsgi_router.subscriptions.client.control import CannotAsk, Control

#: Seconds to wait for the outcome at most: for new processes to start, and for the old ones to finish.
PATIENCE: Final = 300.0
# Between two looks at what a master has published.
_INTERVAL: Final = 0.05


def main(args: list[str]) -> int:
    """Reload; return the exit status."""
    parsed = arguments().parse_args(args)
    timeout = parsed.timeout if parsed.wait else 0.0
    try:
        if _is_socket(parsed.target):
            _by_control(parsed.target, timeout)
        else:
            _by_pid(_pid_of(parsed.target), timeout)
    except CannotAsk as exc:
        return failed("reload", exc)
    except KeyboardInterrupt:
        return 130
    return 0


def by_pidfile(option: str, args: list[str]) -> int:
    """Do what uWSGI's options ``--stop`` and ``--reload`` do: signal the program whose pid file is named.

    ``--stop`` lets it finish the requests under way; uWSGI does not.
    """
    if len(args) != 1:
        return failed(option, "it needs the path of a pid file, and nothing else", 2)
    number = signal.SIGHUP if option == "--reload" else signal.SIGTERM
    try:
        pid = _pid_of(args[0])
        os.kill(pid, number)
    except CannotAsk as exc:
        return failed(option, exc)
    except ProcessLookupError:
        return failed(option, f"there is no process {pid}")
    except PermissionError:
        return failed(option, f"process {pid} is another user's")
    return 0


def arguments() -> argparse.ArgumentParser:
    """Return the parser of its command line."""
    parser = commands.parser(
        "reload",
        "Have a router read its configuration again: new processes start with it and take over, the old ones finish"
        " their requests. If it can't be used, nothing changes.",
        "Exit status: 0 if it was done (without --wait: asked for), 1 if not, 2 for wrong use.",
        ("uwsgi-router reload --wait /run/uwsgi-router/control.sock",),
    )
    parser.add_argument(
        "target", metavar="CONTROL-SOCKET|PIDFILE", help="of the router: control-socket, or pidfile"
    )
    parser.add_argument(
        "--wait",
        action="store_true",
        help="return when the new processes serve and the old ones have ended",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds(0, MAX_TIMEOUT),
        default=PATIENCE,
        help=f"how long to wait (default: {PATIENCE:g})",
    )
    return parser


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError as exc:
        raise CannotAsk(f"{path}: {(exc.strerror or str(exc)).lower()}") from exc


def _by_control(path: str, timeout: float) -> None:
    with Control(path) as control:
        control.do(Question("reload", timeout=timeout))


def _pid_of(path: str) -> int:
    """Return the process id in a pid file."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read(32).strip()
    except OSError as exc:
        raise CannotAsk(f"{path}: {(exc.strerror or str(exc)).lower()}") from exc
    if not (text.isascii() and text.isdigit()):
        raise CannotAsk(f"{path}: it is no pid file")
    return int(text)


def _by_pid(pid: int, timeout: float) -> None:
    try:
        before = reloads_of(pid)
        if before is None:
            raise CannotAsk(f"process {pid} is no master of uwsgi-router")
        os.kill(pid, signal.SIGHUP)
        end = time.monotonic() + timeout
        while timeout:
            now = reloads_of(pid)
            if now is not None and now.done > before.asked:
                if now.error:
                    raise CannotAsk(now.error)
                return
            if time.monotonic() > end:
                raise CannotAsk(f"it is not over after {timeout:g} s")
            time.sleep(_INTERVAL)
    except ProcessLookupError:
        raise CannotAsk(f"there is no process {pid}") from None
    except PermissionError:
        raise CannotAsk(f"process {pid} is another user's") from None
