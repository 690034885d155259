"""Commands ``drain``, ``enable`` (``undrain``) and ``weight``: change nodes of a running router.

Exit status: 0 if it was done; of ``drain`` 3 if requests were still running when its time was over; 1 if it could not
be done or there is no such node, 2 for a command line that makes no sense, 130 if it was interrupted.
"""

import argparse
import sys
from typing import Any

from uwsgi_router.protocol.control import MAX_TIMEOUT, Question
from uwsgi_router.protocol.subscription import MAX_WEIGHT
from uwsgi_router.router.cli import commands
from uwsgi_router.router.cli.commands import failed, key_of, seconds
from uwsgi_router.router.cli.status import add_control
from uwsgi_router.subscriptions.client.control import CannotAsk, Control

#: What a drain that took too long returns.
TIMED_OUT = 3


def drain_arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line of ``drain``."""
    parser = _parser(
        "drain",
        "Let NODE have no new requests, and wait for those that it has. It stays so until `enable`, however often it"
        " announces itself, unless it leaves.",
        "Exit status: 0 if no request is left, 3 if some were when the time was over, 1 if it could not be done or"
        " there is no such node, 2 for wrong use.",
        ("uwsgi-router drain 10.0.0.5:8000 --timeout 30",),
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds(0, MAX_TIMEOUT),
        default=60.0,
        help="how long to wait for running requests; 0: not at all (default: 60)",
    )
    parser.add_argument(
        "--missing-ok", action="store_true", help="succeed if there is no such node, for scripts"
    )
    return parser


def drain(args: list[str]) -> int:
    """Drain a node: let it have no new requests, and wait for those that it has."""
    parsed = drain_arguments().parse_args(args)
    node = parsed.node
    try:
        done = _do(parsed, Question("drain", node, key_of(parsed.key), timeout=parsed.timeout))
    except CannotAsk as exc:
        return failed("drain", exc)
    except KeyboardInterrupt:
        # The question was asked: the router has done what it asks for.
        print(
            f"{node} stays drained; `uwsgi-router enable {node}` takes that back", file=sys.stderr
        )
        return 130
    if done["running"]:
        left = f"{done['running']} requests are still running after {parsed.timeout:g} s"
        print(f"{node} is drained, but {left}", file=sys.stderr)
        return TIMED_OUT
    if done["nodes"]:
        print(f"{node} is drained and has no requests")
        return 0
    missing = f"there is no node {node}{_of(parsed.key)}"
    if not parsed.missing_ok:
        return failed("drain", f"{missing}; `uwsgi-router status` shows them all")
    print(f"{missing}: there is nothing to drain")
    return 0


def enable_arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line of ``enable``."""
    return _enabling("enable")


def undrain_arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line of ``undrain``."""
    return _enabling("undrain")


def _enabling(name: str) -> argparse.ArgumentParser:
    return _parser(
        name,
        "Let NODE have requests again after `drain`.",
        examples=(f"uwsgi-router {name} 10.0.0.5:8000",),
    )


def enable(args: list[str]) -> int:
    """Take back a drain."""
    return _enable(enable_arguments().parse_args(args))


def undrain(args: list[str]) -> int:
    """Take back a drain."""
    return _enable(undrain_arguments().parse_args(args))


def _enable(parsed: argparse.Namespace) -> int:
    try:
        _do(parsed, Question("enable", parsed.node, key_of(parsed.key)))
    except CannotAsk as exc:
        return failed("enable", exc)
    print(f"{parsed.node} is enabled")
    return 0


def weight_arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line of ``weight``."""
    parser = _parser(
        "weight",
        "Set NODE's share of the requests, whatever it announces.",
        examples=("uwsgi-router weight 10.0.0.5:8000 5 --key www.example.com",),
    )
    parser.add_argument(
        "weight",
        metavar="N",
        type=_weight,
        help=f"1 to {MAX_WEIGHT}; `announced` or 0: what the node announces counts again",
    )
    return parser


def weight(args: list[str]) -> int:
    """Set a node's weight, or take that back."""
    parsed = weight_arguments().parse_args(args)
    number = parsed.weight or None
    try:
        _do(parsed, Question("weight", parsed.node, key_of(parsed.key), weight=number))
    except CannotAsk as exc:
        return failed("weight", exc)
    what = "the weight that it announces" if number is None else f"the weight {number}"
    print(f"{parsed.node} has {what}")
    return 0


def _parser(
    name: str,
    description: str,
    status: str = "Exit status: 0 if it was done, 1 if not, 2 for wrong use.",
    examples: tuple[str, ...] = (),
) -> argparse.ArgumentParser:
    parser = commands.parser(name, description, status, examples)
    parser.add_argument("node", metavar="NODE", help="its address as in `uwsgi-router status`")
    parser.add_argument("--key", help="only as a node of this key (default: of all keys)")
    add_control(parser)
    return parser


def _do(parsed: argparse.Namespace, question: Question) -> dict[str, Any]:
    with Control(parsed.control) as control:
        return control.do(question)


def _of(key: str | None) -> str:
    return "" if key is None else f" of the key {key}"


def _weight(text: str) -> int:
    if text == "announced":
        return 0
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else -1
    if not 0 <= number <= MAX_WEIGHT:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither `announced` nor a whole number up to {MAX_WEIGHT}"
        )
    return number
