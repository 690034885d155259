"""The code blocks of the documentation's pages, with the comments that say how each is checked.

A comment stands directly above its block, and no reader sees it::

    <!-- file: router.ini -->          save the block under this name; later commands use it
    <!-- keeps running: NAME -->       start the command, wait for the lines shown below it
    <!-- NAME shows -->                wait until that program has printed these lines
    <!-- exit 1 -->                    the command ends with this code
    <!-- like http://… -->             what is there has the same shape
    <!-- not run: REASON -->           for blocks that can't be checked; there are few
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))

_COMMENT = re.compile(r"<!-- (.+) -->")
_FENCE = re.compile(r"```(\{\w+\}(?: \S+)?|\S*)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        where: ``page:line``, for messages.
        language: what stands behind the fence.
        text: what stands inside, with its last newline.
        comment: what the comment above it says, or "".
    """

    where: str
    language: str
    text: str
    comment: str

    def argument(self, word: str) -> str | None:
        """Return what follows ``word:`` in the comment; None if the comment is another one."""
        found = re.fullmatch(rf"{word}: ?(.+)", self.comment)
        return found[1] if found else None


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in order."""
    return list(_blocks(page))


def _blocks(page: Path) -> Iterator[Block]:
    comment = ""
    inside: list[str] | None = None
    language, start = "", 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if inside is not None:
            if line == "```":
                yield Block(f"{page.name}:{start}", language, "".join(inside), comment)
                inside, comment = None, ""
            else:
                inside.append(line + "\n")
        elif fence := _FENCE.fullmatch(line):
            inside, language, start = [], fence[1], number
        elif found := _COMMENT.fullmatch(line):
            comment = found[1]
        elif line:
            assert not comment, f"{page.name}:{number}: no block follows the comment {comment!r}"
            assert "```" not in line, f"{page.name}:{number}: fences stand at the line's begin"
    assert inside is None, f"{page.name}:{start}: the block has no end"


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a ``console`` block.

    Attributes:
        line: what is typed, without the prompt.
        output: what it prints, as lines.
    """

    line: str
    output: list[str]


def commands(block: Block) -> list[Command]:
    """Return the commands of a ``console`` block: ``$`` and a blank before each, output after it."""
    found: list[Command] = []
    typed = ""
    for line in block.text.splitlines():
        if typed or line.startswith("$ "):
            typed += line.removeprefix("$ ") if not typed else "\n" + line
            if not typed.endswith("\\"):
                found.append(Command(typed, []))
                typed = ""
        else:
            assert found, f"{block.where}: output without a command"
            found[-1].output.append(line)
    assert not typed, f"{block.where}: the last line promises another"
    return found


# What differs each time; it is shown as it was once.
_VARIES = re.compile(
    r"(?P<rest>…)"
    r"|(?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"
    r"|(?P<date>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4})"
    r"|(?P<version>(?<=uwsgi-router )\d+\.\d+\.\d+)"
    r"|(?P<request>\b[0-9a-f]{6}-[0-9a-f]+\b)"
    r"|(?P<process>\bpid \d+)"
    r"|(?P<size>\b\d+ bytes)"
    r"|(?P<count>\b(?:in|out)=\d+)"
    r"|(?P<decimal>[ ]*(?<![\d.])\d+\.\d+(?![.\d]))"
)
_AS = {
    "rest": ".*",
    "moment": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "date": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}",
    "version": r"\d+\.\d+\.\d+",
    "request": "[0-9a-f]{6}-[0-9a-f]+",
    "process": r"pid \d+",
    "size": r"\d+ bytes",
    "count": r"(?:in|out)=\d+",
    "decimal": r" *\d+\.\d+",
}


def pattern(line: str) -> re.Pattern[str]:
    """Return what an output line must look like: times, sizes, pids and request ids may differ, ``…`` is anything."""
    parts, end = [], 0
    for found in _VARIES.finditer(line):
        parts += [re.escape(line[end : found.start()]), _AS[found.lastgroup or ""]]
        end = found.end()
    return re.compile("".join([*parts, re.escape(line[end:])]))
