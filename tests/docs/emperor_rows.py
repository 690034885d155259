"""Rows of the comparison of our Emperor with uWSGI's, each with the test that shows it; from ``emperor_rows.txt``.

``python -m tests.docs.emperor_rows`` writes the table into docs/emperor.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.docs.blocks import DOCS

_HEAD: Final = "| what | | here |\n|---|---|---|\n"


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        what: what it is about.
        verdict: ``same``, ``better`` or ``refused``.
        here: how it is here.
        test: file below tests/, and function.
    """

    what: str
    verdict: str
    here: str
    test: str


def rows() -> list[Row]:
    """Return all rows, in their order."""
    lines = Path(__file__).with_suffix(".txt").read_text().splitlines()
    return [Row(*line.split(" | ")) for line in lines if not line.startswith("#")]


def table() -> str:
    """Return the table, in Markdown."""
    return _HEAD + "".join(f"| {row.what} | {row.verdict} | {row.here} |\n" for row in rows())


def main() -> None:
    page = DOCS / "emperor.md"
    text = page.read_text()
    page.write_text(text[: text.index(_HEAD)] + table())


if __name__ == "__main__":
    main()
