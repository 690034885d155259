"""Columns of tables for people."""

from collections.abc import Sequence


def aligned(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as lines.

    Args:
        columns: heading of each, and ``<`` or ``>``.
        rows: cells of each.
    """
    lines = [[heading for heading, _ in columns], *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(
            f"{cell:{align}{width}}"
            for cell, width, (_, align) in zip(line, widths, columns, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )
