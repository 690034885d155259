"""Conditions and loops: for which values the lines of a block are used.

Source: the real program, observed.
"""

import glob
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from uwsgi_router.router.config.lines import Line

MAX_TIMES = 10_000
# What somebody else's file may ask for: a pattern costs a look at one directory, and a few steps for each host name.
_MOST_NAMES = 1000
_MOST_REPEATS = 3
_GROUPS = re.compile(r"[({]")
_REPEATS = re.compile(r"[*+?]")
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
    name: str,
    value: str,
    environ: Mapping[str, str],
    before: Sequence[Line],
    read: Callable[[str], str],
    *,
    cheap: bool = False,
) -> Sequence[str | None]:
    """Return the values that a block is used for.

    Args:
        name: the option that begins it.
        value: its value, expanded.
        environ: for ``if-env``.
        before: the settings so far, for ``if-opt``.
        read: reads a file; raises OSError.
        cheap: the file is somebody else's: patterns that may take long are refused.

    Raises:
        ValueError: with what was expected.
    """
    if name.startswith("for"):
        return _loop(name, value, read, cheap=cheap)
    what = _SHORT_FORMS.get(name, name).removeprefix("if-")
    if cheap and what.endswith("hostname-match") and not _is_cheap(value):
        raise ValueError("the pattern may take too long here")
    found = _condition(what.removeprefix("not-"), value, environ, before)
    if what.startswith("not-"):
        return (None,) if found is None else ()
    return () if found is None else (found,)


def _is_cheap(pattern: str) -> bool:
    """Return True if no host name takes long to be compared with a pattern."""
    return not _GROUPS.search(pattern) and len(_REPEATS.findall(pattern)) <= _MOST_REPEATS


def _names(pattern: str) -> Sequence[str]:
    """Return the paths that match, without a walk over the file system.

    Raises:
        ValueError: that would be one.
    """
    directory, _ = os.path.split(pattern)
    if glob.has_magic(directory) or "**" in pattern:
        raise ValueError("only the last part may be a pattern here")
    try:
        with os.scandir(directory or ".") as entries:
            if sum(1 for _ in zip(range(_MOST_NAMES + 1), entries, strict=False)) > _MOST_NAMES:
                raise ValueError(f"{directory or '.'}: more than {_MOST_NAMES} files")
    except OSError:
        return ()
    return sorted(glob.glob(pattern))


def _loop(name: str, value: str, read: Callable[[str], str], *, cheap: bool) -> Sequence[str]:
    if name == "for":
        return value.split()
    if name == "for-glob":
        if "\0" in value:
            return []
        return _names(value) if cheap else sorted(glob.glob(value))
    if name == "for-times":
        if not (value.isascii() and value.isdigit() and len(value) < 9 and int(value) <= MAX_TIMES):
            raise ValueError(f"expected a whole number up to {MAX_TIMES}")
        return [str(number) for number in range(1, int(value) + 1)]
    try:
        return read(value).splitlines()
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
