"""Conditions and loops: for which values the lines of a block are used.

Source: the real program, observed.
"""

import glob
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from uwsgi_router.router.config.ini import read_text
from uwsgi_router.router.config.lines import Line

MAX_TIMES = 10_000
BUILT_IN = frozenset({"fastrouter", "http", "rawrouter", "sslrouter"})
_SHORT_FORMS = {
    "for": "for",
    "ifenv": "if-env",
    "ifexists": "if-exists",
    "ifdir": "if-dir",
    "if-directory": "if-dir",
    "ifplugin": "if-plugin",
}


@dataclass(frozen=True, slots=True)
class Block:
    """An open ``if`` or ``for``.

    Attributes:
        where: where it begins.
        name: the option that began it.
        values: each line inside is used once per value, which is ``%(_)`` there; None: as it is.
    """

    where: str
    name: str
    values: Sequence[str | None]

    @property
    def is_loop(self) -> bool:
        """True for all kinds of ``for``."""
        return self.name.startswith("for")


def opens(name: str) -> bool:
    """Return True if an option of this name begins a block."""
    return name.startswith(("if-", "for-")) or name in _SHORT_FORMS


def names_asked_for(line: Line) -> set[str]:
    """Return the settings that a condition looks at."""
    if line.name not in ("if-opt", "if-not-opt"):
        return set()
    return {line.value.partition("=")[0].strip()}


def values(
    name: str, value: str, environ: Mapping[str, str], before: Sequence[Line]
) -> Sequence[str | None]:
    """Return the values that a block is used for.

    Args:
        name: the option that begins it.
        value: its value, expanded.
        environ: for ``if-env``.
        before: the settings so far, for ``if-opt``.

    Raises:
        ValueError: with what was expected.
    """
    if name.startswith("for"):
        return _loop(name, value)
    what = _SHORT_FORMS.get(name, name).removeprefix("if-")
    found = _condition(what.removeprefix("not-"), value, environ, before)
    if what.startswith("not-"):
        return (None,) if found is None else ()
    return () if found is None else (found,)


def _loop(name: str, value: str) -> Sequence[str]:
    if name == "for":
        return value.split()
    if name == "for-glob":
        return [] if "\0" in value else sorted(glob.glob(value))
    if name == "for-times":
        if not (value.isascii() and value.isdigit() and len(value) < 9 and int(value) <= MAX_TIMES):
            raise ValueError(f"expected a whole number up to {MAX_TIMES}")
        return [str(number) for number in range(1, int(value) + 1)]
    try:
        return read_text(value).splitlines()
    except OSError as error:
        raise ValueError(f"{value}: {error.strerror}") from None


def _condition(
    what: str, value: str, environ: Mapping[str, str], before: Sequence[Line]
) -> str | None:
    """Return the value of ``%(_)`` if the condition holds, else None."""
    if what == "env":
        return environ.get(value)
    if what == "opt":
        return _option(value, before)
    if what == "hostname-match":
        return value if _matches(value, socket.gethostname()) else None
    holds = {
        "exists": os.path.exists(value),
        "file": os.path.isfile(value),
        "dir": os.path.isdir(value),
        "hostname": value == socket.gethostname(),
        "plugin": value in BUILT_IN,
        "reload": False,
    }[what]
    return value if holds else None


def _option(wanted: str, before: Sequence[Line]) -> str | None:
    name, equals, value = wanted.partition("=")
    for line in before:
        if line.name == name.strip() and (not equals or line.value == value.strip()):
            return line.value
    return None


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
