"""Table of the copies of applications, for ``status``."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from uwsgi_router.protocol.text import printable, show
from uwsgi_router.router.cli.columns import aligned

_MIB: Final = 2**20
#: Heading, alignment.
_COLUMNS: Final = (
    ("copy", "<"),
    ("state", "<"),
    ("generation", ">"),
    ("pid", ">"),
    ("memory", ">"),
    ("age", ">"),
    ("requests", ">"),
    ("running", "<"),
    ("why", "<"),
)


def copies_table(copies: Sequence[Mapping[str, Any]]) -> str:
    """Return a table for people, with an empty line behind it; nothing without copies."""
    if not copies:
        return ""
    return aligned(_COLUMNS, [_row(copy) for copy in copies]) + "\n"


def _row(copy: Mapping[str, Any]) -> list[str]:
    return [
        _text(copy["copy"]),
        _text(copy["state"]),
        f"{copy['generation']}",
        f"{copy['pid']}",
        f"{copy['rss'] // _MIB} MiB" if copy["rss"] else "-",
        age(copy["age"]),
        f"{copy.get('requests', '-')}",
        running_of(copy),
        _text(copy["why"]),
    ]


def running_of(line: Mapping[str, Any]) -> str:
    """Return the running requests of a node or copy, with what a drain waits for longest."""
    if line.get("running") is None:
        return "-"
    parts = [
        f"{count} {name}{'s' if count != 1 else ''}"
        for count, name in ((line.get("streams"), "stream"), (line.get("tunnels"), "WebSocket"))
        if count
    ]
    return f"{line['running']}" + (f" ({', '.join(parts)})" if parts else "")


def age(seconds: float) -> str:
    """Return a time in the largest unit of which there are two."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _text(text: str) -> str:
    return printable(show(text))
