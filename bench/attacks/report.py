"""Rows of what innocents waited, and the table of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.attacks.innocent import Waits

#: An innocent of ours may wait so many times as long as one of nginx's.
AIM = 3.0


@dataclass(frozen=True, slots=True)
class Row:
    """Row: one attack on one router.

    Attributes:
        attack: its name.
        router: its name.
        quiet: what the innocent waited before.
        during: and during the attack.
        grown: bytes that the router took more, at its end.
    """

    attack: str
    router: str
    quiet: Waits
    during: Waits
    grown: int


def terminal(row: Row) -> str:
    """Return a line for the terminal."""
    quiet, during = row.quiet, row.during
    return (
        f"{row.attack:16} {row.router:9} quiet {quiet.median:7.2f} {quiet.p99:8.2f}   "
        f"attacked {during.median:8.2f} {during.p99:8.2f} ms   "
        f"{during.count} requests, {during.failed} failed   +{row.grown / 2**20:.0f} MiB"
    )


def markdown(rows: Sequence[Row]) -> str:
    """Return a table: attacks down, routers across, p50 / p99 in milliseconds."""
    routers = list(dict.fromkeys(row.router for row in rows))
    cells = {(row.attack, row.router): row for row in rows}
    lines = [
        f"| attack | {' | '.join(routers)} | at most {AIM:g} x nginx |",
        "|---" * (len(routers) + 2) + "|",
    ]
    quiet = [_quiet([row for row in rows if row.router == router]) for router in routers]
    lines.append(f"| none | {' | '.join(quiet)} | |")
    for attack in dict.fromkeys(row.attack for row in rows):
        shown = [_cell(cells.get((attack, router))) for router in routers]
        lines.append(f"| {attack} | {' | '.join(shown)} | {_met(cells, attack)} |")
    return "\n".join(lines)


def _quiet(rows: Sequence[Row]) -> str:
    """Return the middle one of what was measured before each attack."""
    middle = sorted(rows, key=lambda row: row.quiet.median)[len(rows) // 2].quiet
    return f"{middle.median:.2f} / {middle.p99:.2f}"


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    failed = f" ({row.during.failed} of {row.during.count} failed)" if row.during.failed else ""
    return f"{row.during.median:.2f} / {row.during.p99:.2f}{failed}"


def _met(cells: dict[tuple[str, str], Row], attack: str) -> str:
    """Say whether the medians of ours keep to the aim."""
    nginx = cells.get((attack, "nginx"))
    if nginx is None:
        return ""
    said = []
    for name in ("plain", "compiled"):
        row = cells.get((attack, name))
        if row is not None:
            times = row.during.median / nginx.during.median
            said.append(f"{name}: {times:.1f}")
    return ", ".join(said)
