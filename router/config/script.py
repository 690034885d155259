"""The configuration language: reads lines in order, follows includes, decides conditions, repeats loops.

As in uWSGI, blocks cannot be nested, a loop repeats each of its lines (not the block as a whole), and what a block
stands for inside is ``%(_)``. Better than there: values of includes and conditions are expanded with what was
set before them, and what includes itself ends with a clear line instead of an endless start.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from uwsgi_router.router.config import app_sections, blocks, ini, language, magic, table
from uwsgi_router.router.config.lines import ConfigurationExit, Line, Problem
from uwsgi_router.router.config.placeholders import (
    MAX_LENGTH,
    ExpansionError,
    Placeholders,
    names_in,
)

MAX_DEPTH = 16
MAX_LINES = 50_000
SCHEMES = (
    "http://",
    "https://",
    "exec://",
    "fd://",
    "data://",
    "sym://",
    "section://",
    "emperor://",
    "call://",
)


class _TooMuchError(Exception):
    """The configuration grew beyond every reason; the problem was noted."""


class Script:
    """Runs the configuration.

    Args:
        environ: variables that it may ask for.
        read: reads a file; raises OSError.
        longest: characters that an expanded value may have; None: as many as there may ever be.
        cheap: it is somebody else's, who must not be able to take our time: patterns that may take long are refused.

    Attributes:
        lines: what was set, in order, values not yet expanded.
        problems: what is wrong.
        warnings: what is read in another way than uWSGI does.
        placeholders: expands values with all that was set.
        applications: lines of ``[app NAME]`` sections, by name.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        read: Callable[[str], str] = ini.read_text,
        *,
        longest: int | None = None,
        cheap: bool = False,
    ) -> None:
        self.lines: list[Line] = []
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.applications: dict[str, list[Line]] = {}
        self._first: dict[str, str] = {}
        self.placeholders = Placeholders(self._first.get, environ, read, longest or MAX_LENGTH)
        self._cheap = cheap
        self._read_text = read
        self._environ = environ
        self._magic = magic.of_process()
        self._first_file: dict[str, str] | None = None
        self._last_ini = ""
        self._block: blocks.Block | None = None
        self._reading: list[tuple[str, str]] = []
        self._count = 0

    def run(self, lines: Sequence[Line]) -> None:
        """Read the lines of the environment and the command line, and everything they include.

        Raises:
            ConfigurationExit: where the configuration says ``exit``.
        """
        try:
            for line in lines:
                self._feed(line)
        except _TooMuchError:
            return
        if self._block is not None and self._block.is_loop:
            self.problems.append(Problem(self._block.where, f"{self._block.name} without endfor"))

    @property
    def first_name(self) -> str:
        """Name of the first file that was read, without its ending; "": none was."""
        return (self._first_file or {}).get("n", "")

    def prints(self) -> list[str]:
        """Return the ``print`` lines so far, expanded."""
        return [
            self.expand(line)
            for line in self.lines
            if line.name in ("print", "iprint") and not line.placeholder
        ]

    def expand(self, line: Line) -> str:
        """Return the line's value expanded; what is wrong with it is noted as a problem."""
        try:
            return self.placeholders.expand(line.value)
        except ExpansionError as error:
            self.problems.append(Problem(line.where, f"{line.name}: {error}"))
            return line.value

    # -- one line

    def _feed(self, line: Line) -> None:
        self._count += 1
        if self._count > MAX_LINES:
            self.problems.append(
                Problem(line.where, f"more than {MAX_LINES} lines of configuration")
            )
            raise _TooMuchError
        self.placeholders.used |= names_in(line.value)
        if line.name in language.ENDS:
            self._block = None
            return
        opens = blocks.opens(line.name)
        if self._block is None:
            if opens:
                self._open(line)
            else:
                self._take(line)
            return
        if opens:
            message = f"{line.name} inside {self._block.name} of {self._block.where}: blocks cannot be nested"
            self.problems.append(Problem(line.where, message))
            return
        for value in self._block.values:
            used = line if value is None else replace(line, value=line.value.replace("%(_)", value))
            self._count += 1
            self._take(used)

    def _open(self, line: Line) -> None:
        self.placeholders.used |= blocks.names_asked_for(line)
        value = self.expand(line)
        try:
            values = blocks.values(
                line.name, value, self._environ, self.lines, self._read_text, cheap=self._cheap
            )
        except ValueError as error:
            self.problems.append(Problem(line.where, f"{line.name}: {error}"))
            values = ()
        self._block = blocks.Block(line.where, line.name, values)

    def _take(self, line: Line) -> None:
        name = line.name
        if name in language.INCLUDES:
            self._include(line)
        elif name in language.PLACEHOLDERS or name == "set":
            self._set(line)
        elif name == "exit":
            code = self.expand(line)
            number = int(code) if code.isascii() and code.isdigit() and len(code) < 10 else 0
            raise ConfigurationExit(number, self.prints())
        else:
            self._store(line)

    def _store(self, line: Line) -> None:
        self.lines.append(line)
        self._first.setdefault(line.name, line.value)

    def _set(self, line: Line) -> None:
        name, equals, value = line.value.partition("=")
        name = name.strip()
        if not equals or not name:
            self.problems.append(Problem(line.where, f"{line.name}: expected NAME=VALUE"))
            return
        option = table.find(name) if line.name == "set" else None
        inner = Line(name, value.strip(), line.where, placeholder=option is None)
        if option is None:
            self._store(inner)
        else:
            self._take(inner)

    # -- files

    def _include(self, line: Line) -> None:
        target = self.expand(line)
        if target.startswith(SCHEMES) or target == "-":
            self.problems.append(
                Problem(line.where, f"{line.name}: only plain files can be read, not {target}")
            )
            return
        path, section = _split_section(target)
        path = path or self._last_ini
        if not path:
            message = f"{line.name}: {target or 'nothing'} names no file, and none was read before"
            self.problems.append(Problem(line.where, message))
            return
        wanted = section or "uwsgi"
        if (os.path.abspath(path), wanted) in self._reading or len(self._reading) >= MAX_DEPTH:
            chain = " -> ".join(
                f"{file}[{part}]" for file, part in [*self._reading, (path, wanted)]
            )
            self.problems.append(
                Problem(line.where, f"{line.name}: files include each other: {chain}")
            )
            return
        text = self._read(path, line)
        if text is None:
            return
        self._last_ini = path
        self._reading.append((os.path.abspath(path), wanted))
        apps = [] if section else app_sections.names_in(text)
        if not apps or ini.has_section(text, wanted):
            for inner in self._parse(text, path, section, template=line.name != "ini"):
                self._feed(inner)
        for name in apps:
            lines = self._parse(text, path, app_sections.section_of(name), template=True)
            self.placeholders.used |= {used for one in lines for used in names_in(one.value)}
            self.applications.setdefault(name, []).extend(lines)
        self._reading.pop()

    def _parse(self, text: str, path: str, section: str, *, template: bool) -> list[Line]:
        own = magic.of_file(path, section)
        if self._first_file is None and not template:
            self._first_file = own
        first = self._first_file or own
        capitals = {letter.upper(): first[letter] for letter in "opsdencx"}
        return ini.parse(
            text,
            file=path,
            section=section or "uwsgi",
            magic=self._magic | own | capitals,
            problems=self.problems,
            warnings=self.warnings,
        )

    def _read(self, path: str, line: Line) -> str | None:
        try:
            return self._read_text(path)
        except OSError as error:
            self.problems.append(Problem(line.where, f"{line.name}: {path}: {error.strerror}"))
            return None


def _split_section(target: str) -> tuple[str, str]:
    """``FILE:SECTION`` taken apart, unless a file has that very name."""
    if os.path.exists(target):
        return target, ""
    path, colon, section = target.rpartition(":")
    return (path, section) if colon else (target, "")
