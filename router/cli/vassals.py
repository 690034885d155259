"""Command ``vassals``: shows the vassals of a running Emperor, and starts, stops, reloads and forgives them.

Exit status: 0; 1 if the Emperor can't be asked, has no such vassal, or refuses; 2 for a line that makes no sense.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast, get_args

from uwsgi_router.protocol.control import Order, Question
from uwsgi_router.protocol.text import printable, show, to_text
from uwsgi_router.router.cli import commands
from uwsgi_router.router.cli.columns import aligned
from uwsgi_router.router.cli.commands import failed, unread
from uwsgi_router.router.cli.copies import age
from uwsgi_router.subscriptions.application import runtime
from uwsgi_router.subscriptions.client.control import CannotAsk, Control

_PATIENCE: Final = 30.0
_ORDERS: Final = tuple(order for order in get_args(Order) if order)
#: Heading, alignment.
_COLUMNS: Final = (
    ("vassal", "<"),
    ("state", "<"),
    ("pid", ">"),
    ("since", ">"),
    ("reloads", ">"),
    ("restarts", ">"),
    ("socket", "<"),
    ("why", "<"),
)

VassalLine = Mapping[str, Any]


def arguments() -> argparse.ArgumentParser:
    """Return the parser of its command line."""
    parser = commands.parser(
        "vassals",
        "Show the vassals of a running Emperor, or give one of them an order: start, stop (it stays so until start),"
        " reload, reset (its failures are forgotten, and it starts at once), log (what it wrote last).",
        "Exit status: 0; 1 if the Emperor can't be asked, has no such vassal, or refuses; 2 for wrong use.",
        (
            "uwsgi-router vassals",
            "uwsgi-router vassals shop.ini --json",
            "uwsgi-router vassals reload shop",
        ),
    )
    parser.usage = f"uwsgi-router vassals [options] [NAME | {'|'.join(_ORDERS)} NAME]"
    parser.add_argument(
        "words", nargs="*", metavar="NAME", help="of a vassal; its ending may be left out"
    )
    parser.add_argument("--json", action="store_true", help="for scripts: one JSON object")
    parser.add_argument(
        "--control",
        metavar="PATH",
        help="control socket of the Emperor, or of a router beside it (default: that of the only Emperor that runs)",
    )
    return parser


def main(args: list[str]) -> int:
    """Show vassals, or give an order; return the exit status."""
    parser = arguments()
    parsed = parser.parse_args(args)
    words: list[str] = parsed.words
    if len(words) > 2 or (len(words) == 2 and words[0] not in _ORDERS):
        parser.error(f"write a NAME, or one of {', '.join(_ORDERS)} and a NAME")
    if words and words[0] in _ORDERS and len(words) == 1:
        parser.error(f"{words[0]} needs the NAME of a vassal")
    order = cast("Order", words[0] if len(words) == 2 else "")
    name = to_text(os.fsencode(words[-1])) if words else ""
    try:
        vassals, lines = ask(parsed.control, name, order)
    except CannotAsk as exc:
        return failed("vassals", exc)
    try:
        sys.stdout.write(_shown(vassals, lines, order, as_json=parsed.json))
        sys.stdout.flush()
    except BrokenPipeError:
        return unread()
    return 0


def ask(
    control: str | None, name: str = "", order: Order = ""
) -> tuple[list[VassalLine], list[str]]:
    """Ask an Emperor; return its vassals, and lines that one of them has written.

    Args:
        control: path of its control socket, or of a router beside it; None: of the only one that runs.
        name: of a vassal; "": all.
        order: for it; "": none.

    Raises:
        CannotAsk: that is not possible, or it refuses.
    """
    question = Question("vassals", vassal=name, order=order)
    path = control or _only_emperor()
    for _ in range(2):
        with Control(path, _PATIENCE) as connection:
            answers = list(connection.ask(question))
        elsewhere = next((line["emperor"] for line in answers if "emperor" in line), None)
        if elsewhere is None:
            break
        path = elsewhere
    vassals = [line["vassal"] for line in answers if "vassal" in line]
    return vassals, [line["line"] for line in answers if "line" in line]


def _only_emperor() -> str:
    found = runtime.control_paths(os.environ, runtime.EMPEROR)
    if len(found) > 1:
        raise CannotAsk(f"several Emperors run: give --control with one of {', '.join(found)}")
    if not found:
        raise CannotAsk("no Emperor of this user runs: give --control PATH")
    return found[0]


def _shown(
    vassals: Sequence[VassalLine], lines: Sequence[str], order: Order, *, as_json: bool
) -> str:
    if as_json:
        document: dict[str, Any] = {"vassals": [dict(one) for one in vassals]}
        if order == "log":
            document["lines"] = list(lines)
        return json.dumps(document, indent=2) + "\n"
    if order == "log":
        return "".join(f"{printable(show(line))}\n" for line in lines)
    if order:
        return "".join(f"{_text(one['id'])}: {one['state']}\n" for one in vassals)
    return vassals_table(vassals, datetime.now(UTC).timestamp())


def vassals_table(vassals: Sequence[VassalLine], wall: float) -> str:
    """Return a table for people.

    Args:
        vassals: as the Emperor tells of them.
        wall: now, as an epoch.
    """
    if not vassals:
        return "there is no vassal\n"
    return aligned(_COLUMNS, [_row(one, wall) for one in vassals])


def _row(one: VassalLine, wall: float) -> list[str]:
    runs = one["pid"] > 0
    since = one["last_run"] if runs else one["last_end_at"]
    return [
        _text(one["id"]),
        one["state"],
        f"{one['pid']}" if runs else "-",
        age(max(0.0, wall - since)) if since else "-",
        f"{one['respawns']}",
        f"{one['restarts']}",
        _text(one["on_demand"]) or "-",
        _why(one, wall),
    ]


def _why(one: VassalLine, wall: float) -> str:
    """Return why it does not run, or how it has ended before."""
    runs = one["pid"] > 0
    if runs and not one["restarts"]:
        return ""
    why = ("before: " if runs else "") + _text(one["last_end"])
    if one["next_start"] > wall:
        clock = time.strftime("%H:%M:%S", time.localtime(one["next_start"]))
        why += f"; starts again at {clock}"
    if not runs and one["state"] not in ("stopped", "asleep") and one["last_lines"]:
        why += f"; it wrote last: {_text(one['last_lines'][-1])}"
    return why


def _text(text: str) -> str:
    """Return text with nothing in it that would act on the terminal."""
    return printable(show(text))
