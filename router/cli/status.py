"""Command ``status``: the nodes of a running router, configured and announced, as a table or as JSON.

The exit status is 0, 1 if the router can't be asked or has no node of KEY, 2 for a command line that makes no sense.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from uwsgi_router.protocol.control import Question
from uwsgi_router.protocol.text import printable, show
from uwsgi_router.router.cli import commands
from uwsgi_router.router.cli.commands import failed, key_of, unread
from uwsgi_router.router.cli.copies import copies_table, running_of
from uwsgi_router.router.cli.vassals import ask as vassals_of
from uwsgi_router.router.cli.vassals import vassals_table
from uwsgi_router.subscriptions.application import runtime
from uwsgi_router.subscriptions.client.control import (
    DEFAULT,
    VARIABLE,
    CannotAsk,
    Control,
    control_path,
)

#: Seconds between two looks.
INTERVAL: Final = 2.0
# Seconds for the answer: a router tells of a large table bit by bit, between requests.
_PATIENCE: Final = 60.0

#: Heading, alignment, and what stands below it.
_COLUMNS: Final = (
    ("node", "<"),
    ("state", "<"),
    ("requests", ">"),
    ("running", ">"),
    ("weight", ">"),
    ("backup", ">"),
    ("failures", ">"),
    ("announced", ">"),
    ("proto", "<"),
)
_CLEAR: Final = "\x1b[H\x1b[2J"

NodeLine = Mapping[str, Any]
EndLine = Mapping[str, Any]
Program = Mapping[str, str]
"""The router's ``version`` and ``build``; "" for what it does not say."""


def main(args: list[str]) -> int:
    """Show what is there; return the exit status."""
    parsed = arguments().parse_args(args)
    try:
        while True:
            program, nodes, certificates = _asked(parsed.control, parsed.key)
            copies = _copies(parsed.control) if parsed.key is None else []
            vassals = _vassals(parsed.control) if parsed.key is None else []
            tables = (
                copies_table(copies)
                + (f"{vassals_table(vassals, _now())}\n" if vassals else "")
                + as_table(program, nodes)
                + ends_table(certificates, _now())
            )
            document = as_json(program, nodes, certificates, copies, vassals)
            text = document if parsed.json else tables
            begin = _CLEAR if parsed.watch and sys.stdout.isatty() else ""
            sys.stdout.write(begin + text)
            sys.stdout.flush()
            if not (nodes or copies or vassals or parsed.watch):
                about = "" if parsed.key is None else f" of the key {parsed.key}"
                status = 1 if parsed.key is not None else 0
                return failed("status", f"there is no node{about}", status)
            if not parsed.watch:
                return 0
            time.sleep(INTERVAL)
    except CannotAsk as exc:
        return failed("status", exc)
    except BrokenPipeError:
        return unread()
    except KeyboardInterrupt:
        return 0 if parsed.watch else 130


def arguments() -> argparse.ArgumentParser:
    """Return the parser of its command line."""
    parser = commands.parser(
        "status",
        "Show the nodes of a running router: those of its configuration, and those that announced themselves; and the"
        " copies of applications that run behind it, and vassals of its Emperor.",
        "Exit status: 0; 1 if the router can't be asked or has no node of KEY; 2 for wrong use.",
        (
            "uwsgi-router status --control /run/uwsgi-router/control",
            "uwsgi-router status www.example.com --json",
        ),
    )
    parser.add_argument("key", nargs="?", metavar="KEY", help="only the nodes of this key")
    parser.add_argument("--json", action="store_true", help="for scripts: one JSON object")
    parser.add_argument(
        "--watch", action="store_true", help=f"show it every {INTERVAL:g} s, until interrupted"
    )
    add_control(parser)
    return parser


def add_control(parser: argparse.ArgumentParser) -> None:
    """Let a command be told where the control socket is."""
    parser.add_argument(
        "--control",
        metavar="PATH",
        default=_default_control(os.environ),
        help=f"the router's control socket (default: ${VARIABLE}, else {DEFAULT},"
        " else that of the only `uwsgi-router serve`)",
    )


def _now() -> float:
    return datetime.now(UTC).timestamp()


def _default_control(environ: Mapping[str, str]) -> str:
    given = control_path(None, environ)
    if given is None and not os.path.exists(DEFAULT):
        found = runtime.control_paths(environ)
        given = found[0] if len(found) == 1 else None
    return given or DEFAULT


def _asked(path: str, key: str | None) -> tuple[Program, list[NodeLine], list[EndLine]]:
    """Return what the router is, its nodes, and its certificates unless it is about a key."""
    with Control(path, _PATIENCE) as control:
        *lines, done = control.ask(Question("status", key=key_of(key), running=True))
        program = {name: _text(str(done.get(name, ""))) for name in ("version", "build")}
        nodes = [line["node"] for line in lines]
        if key is not None:
            return program, nodes, []
        try:
            others = list(control.ask(Question("certificates")))
        except CannotAsk:
            # The router is an older one.
            return program, nodes, []
        ends = [line["certificate"] for line in others if "certificate" in line]
        return program, nodes, ends


def _copies(path: str) -> list[NodeLine]:
    """Return the copies of applications; none of a router without any."""
    try:
        with Control(path, _PATIENCE) as control:
            return [line["copy"] for line in control.ask(Question("apps")) if "copy" in line]
    except CannotAsk:
        return []


def _vassals(path: str) -> list[NodeLine]:
    """Return the vassals of the Emperor beside a router; none where there is no Emperor."""
    try:
        return list(vassals_of(path)[0])
    except CannotAsk:
        return []


def as_json(
    program: Program,
    nodes: Sequence[NodeLine],
    certificates: Sequence[EndLine] = (),
    copies: Sequence[NodeLine] = (),
    vassals: Sequence[NodeLine] = (),
) -> str:
    """Return one object: the router's version and build, keys in order, each with its nodes; all else that there is."""
    keys = [
        {"table": table, "key": key, "algorithm": algorithm, "nodes": [_shown(n) for n in members]}
        for (table, key, algorithm), members in _by_key(nodes).items()
    ]
    document: dict[str, object] = {**program, "keys": keys}
    if certificates:
        document["certificates"] = [_shown(one) for one in certificates]
    if copies:
        document["copies"] = [dict(copy) for copy in copies]
    if vassals:
        document["vassals"] = [dict(vassal) for vassal in vassals]
    return json.dumps(document, indent=2) + "\n"


def _shown(node: NodeLine) -> NodeLine:
    """Leave out what stands above; bytes that are not UTF-8 would stop strict readers."""
    return {
        name: _text(value) if isinstance(value, str) else value
        for name, value in node.items()
        if name not in {"table", "key", "algorithm"}
    }


def ends_table(certificates: Sequence[EndLine], wall: float) -> str:
    """Return a table of the ends of certificates, the first end first; "" if there are none.

    Args:
        certificates: as the router tells of them.
        wall: now, as an epoch.
    """
    rows = [("certificate", "ends", "in", "file")]
    for one in sorted(certificates, key=lambda one: (one["not_after"], one["name"])):
        when = datetime.fromtimestamp(one["not_after"], UTC)
        days = int((one["not_after"] - wall) // 86_400)
        left = f"{days} days" if days >= 0 else "it has ended"
        rows.append((_text(one["name"]), f"{when:%Y-%m-%d}", left, _text(one["file"])))
    if len(rows) == 1:
        return ""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(("", *lines, ""))


def as_table(program: Program, nodes: Sequence[NodeLine]) -> str:
    """Return a line about the router, and a table of nodes for people."""
    about = f"uwsgi-router {program['version']} ({program['build']})\n" if program["build"] else ""
    if not nodes:
        return about
    tables = {node["table"] for node in nodes if node["key"]}
    blocks: list[tuple[str, list[list[str]]]] = []
    for (table, key, algorithm), members in _by_key(nodes).items():
        at = f" at {table}" if key and len(tables) > 1 else ""
        blocks.append((f"{key or table} ({algorithm}){at}", [_row(node) for node in members]))
    headings = [heading for heading, _ in _COLUMNS]
    rows = [headings, *(row for _, block in blocks for row in block)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(headings, widths)]
    for title, block in blocks:
        lines += [title, *(_line(row, widths) for row in block)]
    return about + "\n".join(lines) + "\n"


def _by_key(nodes: Iterable[NodeLine]) -> dict[tuple[str, str, str], list[NodeLine]]:
    keys: dict[tuple[str, str, str], list[NodeLine]] = {}
    for node in nodes:
        of_key = (_text(node["table"]), _text(node["key"]), node["algorithm"])
        keys.setdefault(of_key, []).append(node)
    return keys


def _row(node: NodeLine) -> list[str]:
    weight = f"{node['weight']}"
    if node["set_weight"] is not None and node["age"] is not None:
        weight += f" (announced {node['announced_weight']})"
    state = node["state"]
    if node["drained"] and state != "drained":
        state += ", drained"
    return [
        f"  {_text(node['node'])}",
        state,
        f"{node['requests']}",
        running_of(node),
        weight,
        f"{node['backup']}",
        f"{node['failures']}",
        "-" if node["age"] is None else f"{node['age']:.0f} s ago",
        node["proto"],
    ]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    parts = zip(cells, widths, _COLUMNS, strict=True)
    return "  ".join(f"{cell:{align}{width}}" for cell, width, (_, align) in parts).rstrip()


def _text(text: str) -> str:
    """Return a peer's text with nothing in it that would act on the terminal."""
    return printable(show(text))
