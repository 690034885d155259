"""Command line of ``uwsgi-router subscribe`` and, as one file for an application's image, ``uwsgi-subscribe``."""

import argparse
import logging
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from uwsgi_router.protocol.subscription import Proto
from uwsgi_router.subscriptions.application.subscribed import SubscribedProgram, SubscribePlan
from uwsgi_router.subscriptions.client.announcement import PROTOS, Announcement, announcement
from uwsgi_router.subscriptions.client.arguments import CommandParser, split_at_dashes
from uwsgi_router.subscriptions.client.control import VARIABLE, control_path
from uwsgi_router.subscriptions.client.cores import cores_of
from uwsgi_router.subscriptions.client.drain import Drain
from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.output import standard_error
from uwsgi_router.subscriptions.client.readiness import Check, host_of
from uwsgi_router.subscriptions.client.schedule import INTERVAL, TOLERANCE
from uwsgi_router.subscriptions.client.starting import CannotStart
from uwsgi_router.subscriptions.client.strings import subscribe2, subscribe_to
from uwsgi_router.version import __version__

log = logging.getLogger("subscriptions.client")

# What programs speak that uWSGI does not run.
_USUAL: Final = "http"
_RAW: Final = "raw"
_SECONDS = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|m)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}

_EPILOG = """\
In PROGRAM's arguments {address}, {host} and {port} stand for the announced address:

  %(prog)s --router 10.0.0.1:3032 --host example.com --advertise auto:8000 -- gunicorn app:app -b {address}
  %(prog)s --router /run/announce.sock --host example.com --advertise /run/app.sock -- uvicorn app:app --uds {address}

TERM or INT withdraws PROGRAM from the routers first, and is passed on as TERM after the drain; a second one
ends the drain. All other signals are passed on at once. The exit code is PROGRAM's (128 + N if signal N ended it);
1 if nothing can be announced, 2 for wrong use, 126 and 127 if PROGRAM can't be run or is not there.
"""


def main(arguments: Sequence[str], prog: str = "uwsgi-subscribe") -> int:
    """Run a program and announce it; return the exit code.

    Args:
        arguments: the command line without the command's name.
        prog: the command's name, for messages.
    """
    try:
        plan = parse(arguments, prog)
    except SubscribeError as exc:
        sys.stderr.write(f"{prog}: {exc}\n")
        return 2
    standard_error(lambda count, why: f"{prog}: {count} lines were dropped: {why}")
    # The prefix is no format: it stands in front of it.
    logging.basicConfig(format=f"{prog}: %(message)s", level=logging.INFO, stream=sys.stderr)
    if plan.interval > TOLERANCE:
        log.warning(
            "announcing every %g s: routers believe %g s of silence, unless their subscription-tolerance is longer",
            plan.interval,
            TOLERANCE,
        )
    try:
        return SubscribedProgram(plan, os.environ).run()
    except SubscribeError as exc:
        sys.stderr.write(f"{prog}: {exc}\n")
        return 1
    except CannotStart as exc:
        sys.stderr.write(f"{prog}: {exc}\n")
        return exc.code
    except KeyboardInterrupt:
        # Before there was a handler for it.
        return 130


def parse(arguments: Sequence[str], prog: str = "uwsgi-subscribe") -> SubscribePlan:
    """Read a command line.

    Raises:
        SubscribeError: if what it says can't be announced.
        SystemExit: for --help, and for wrong use, which argparse explains.
    """
    parser = arguments_of(prog)
    own, behind = split_at_dashes(arguments)
    program = tuple(behind or ())
    options, rest = parser.parse_known_args(own)
    if rest and not rest[0].startswith("-"):
        raise SubscribeError(f"write -- before the program: -- {shlex.join(rest)}")
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    cores = cores_of(program, os.environ) if options.cores is None else options.cores
    announcements = _announcements(options, cores)
    if not announcements:
        raise SubscribeError("nothing to announce: write --router HOST:PORT --host HOST")
    if not program:
        raise SubscribeError(
            "there is no program: write -- and then the program with its arguments"
        )
    key = next((a.key for a in announcements if a.key), "")
    return SubscribePlan(
        announcements=announcements,
        program=program,
        check=replace(
            Check.parse(options.check, key) if options.check else Check(host=host_of(key)),
            any_protocol=options.proto == _RAW,
        ),
        drain=Drain(options.drain, options.drain_delay, control_path(options.control, os.environ)),
        interval=options.interval,
        notify=options.notify,
    )


def _announcements(options: argparse.Namespace, cores: int) -> tuple[Announcement, ...]:
    made = []
    # Announces know no such protocol: raw routers do not ask, and to others it is uwsgi.
    raw = options.proto == _RAW
    usual: Proto = "uwsgi" if raw else _USUAL
    protocol = None if raw else options.proto
    if options.key and not options.server:
        raise SubscribeError("there is no router: write --router HOST:PORT")
    for server in options.server:
        if not options.key:
            raise SubscribeError(
                "there is no host: write --host with the one that the program serves"
            )
        made += [
            announcement(
                server,
                key=key,
                address=options.address,
                balancing_weight=options.weight,
                signing=options.sign,
                cores=cores,
                protocol=protocol,
                default_protocol=usual,
            )
            for key in options.key
        ]
    for read, texts in ((subscribe_to, options.subscribe_to), (subscribe2, options.subscribe2)):
        made += [
            replace(
                read(
                    text,
                    address=options.address,
                    weight=options.weight,
                    protocol=protocol,
                    default_protocol=usual,
                ),
                cores=cores,
            )
            for text in texts
        ]
    return tuple(made)


def arguments_of(prog: str) -> argparse.ArgumentParser:
    """Return the parser of the command line of a program called ``prog``."""
    parser = CommandParser(
        prog=prog,
        usage="%(prog)s --router HOST:PORT --host HOST --advertise ADDRESS [options] -- PROGRAM...",
        description="Run PROGRAM, and announce it once it serves: tell routers where it is, and for which HOST.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--version", action="version", version=f"{prog} {__version__}")
    add(
        "--router",
        "--server",
        dest="server",
        metavar="HOST:PORT",
        action="append",
        default=[],
        help="the subscription server, all addresses of a name; or the path of its UNIX socket (may be repeated)",
    )
    add(
        "--host",
        "--key",
        dest="key",
        metavar="HOST",
        action="append",
        default=[],
        help="the host that the program serves, as example.com (may be repeated)",
    )
    add(
        "--advertise",
        "--address",
        dest="address",
        metavar="ADDRESS",
        help="where the router finds the program: HOST:PORT, a UNIX socket's path, or auto:PORT, which is this"
        " machine's address on the route to the server; http://, uwsgi:// or unix: before it say what is spoken there",
    )
    add(
        "--proto",
        choices=(*PROTOS, _RAW),
        help="what the program speaks, as a scheme of --advertise may say, too (default: http); raw: anything, for a"
        " raw router, whose address is the key",
    )
    add("--weight", type=int, metavar="N", help="its share of the requests (default: 1)")
    add(
        "--cores",
        type=_cores,
        metavar="N",
        help="requests that it works on at once; the router sends it no more, and the others wait"
        " (default: as gunicorn's or granian's arguments say, else any number)",
    )
    add(
        "--sign",
        metavar="DIGEST:KEYFILE",
        help="sign announces, as SHA256:/etc/example.com.key; needs openssl or the package cryptography",
    )
    add(
        "--check",
        metavar="URL",
        help="announce only when this path (/health) or whole http:// URL answers below 400, asked with the key as Host"
        " (default: when the address accepts connections)",
    )
    add(
        "--drain",
        metavar="TIME",
        type=_seconds,
        default=8.0,
        help="how long at most PROGRAM goes on serving between the unsubscribe and TERM (default: 8s)",
    )
    add(
        "--drain-delay",
        metavar="TIME",
        type=_seconds,
        default=5.0,
        help="how long it does if the router can't say that its requests have ended (default: 5s)",
    )
    add(
        "--control",
        metavar="PATH",
        help="the router's control socket: it tells when the last request has ended, and PROGRAM gets TERM then"
        f" (default: ${VARIABLE}; without it --drain-delay is waited)",
    )
    add(
        "--interval",
        metavar="TIME",
        type=_interval,
        default=INTERVAL,
        help="time between announces (default: 10s)",
    )
    add(
        "--notify",
        metavar="PATH",
        help="where a router that sees our files may answer (default: a temporary socket, if the server is local)",
    )
    add(
        "--subscribe-to",
        metavar="STRING",
        action="append",
        default=[],
        help="SERVER:KEY[,MODIFIER1[,DIGEST:KEYFILE]] or SERVER:@FILE, as uWSGI's option (may be repeated)",
    )
    add(
        "--subscribe2",
        metavar="STRING",
        action="append",
        default=[],
        help="server=...,key=..., as uWSGI's option (may be repeated)",
    )
    return parser


def _seconds(text: str) -> float:
    found = _SECONDS.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 8, 8s, 500ms or 1m")
    return float(found[1]) * _UNITS[found[2]]


def _cores(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 7 else 0
    if not 1 <= number <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text}: expected a number of requests from 1 to 1000000")
    return number


def _interval(text: str) -> float:
    seconds = _seconds(text)
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text}: announces need between 0.1 s and an hour")
    return seconds
