"""uWSGI's ini dialect: one file's text becomes the lines of one section.

Keys may repeat, a section too (its parts add up); ``;`` and ``#`` begin comments, but only at the beginning of a line;
white space around names and values goes, quotes stay. A name without ``=`` has an empty value.
"""

import errno
import os
import stat
from collections.abc import Mapping

from uwsgi_router.router.config.lines import Line, Problem
from uwsgi_router.router.config.magic import substitute

MAX_FILE = 4 * 1024 * 1024


def parse(
    text: str,
    *,
    file: str,
    section: str,
    magic: Mapping[str, str],
    problems: list[Problem],
    warnings: list[Problem],
) -> list[Line]:
    """Take one section out of a file.

    Args:
        text: the whole file.
        file: its name, for messages.
        section: the one to take.
        magic: single characters and what ``%`` + character stands for.
        problems: gets what is wrong.
        warnings: gets what is read in another way than uWSGI does.

    Returns:
        The section's lines in order.
    """
    lines: list[Line] = []
    current, seen = "", False
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        stripped = raw.strip()
        where = f"{file}:{number}"
        if not stripped or stripped[0] in ";#":
            continue
        if "\0" in stripped:
            problems.append(Problem(where, "there is a NUL byte in this line"))
            continue
        if stripped[0] == "[":
            current, bracket, _ = stripped[1:].partition("]")
            if not bracket:
                problems.append(Problem(where, "a section is written [name]"))
            current = _normal(current)
            seen = seen or current == section
        elif current == section:
            name, _, value = stripped.partition("=")
            name = name.rstrip()
            if not name:
                problems.append(Problem(where, "expected a name before ="))
                continue
            kept = _keep_key(name, value.strip(), where, warnings)
            meant = substitute(name, magic)
            if not meant:
                problems.append(
                    Problem(where, f"{name} stands for nothing here, and no name is left")
                )
                continue
            lines.append(Line(meant, substitute(kept, magic), where, section=section))
    if not seen:
        problems.append(Problem(file, f"there is no section [{section}] in this file"))
    return lines


def has_section(text: str, section: str) -> bool:
    """Return True if a file has a section of this name."""
    return any(
        line.strip()[1:].partition("]")[0] == section
        for line in text.split("\n")
        if line.strip().startswith("[")
    )


def _normal(section: str) -> str:
    """Return the title of an application's section with one blank; others stay as they are."""
    words = section.split()
    return " ".join(words) if len(words) == 2 and words[0] == "app" else section


def read_text(path: str, *, regular: bool = False, most: int = MAX_FILE) -> str:
    """Return the text of a file, as it is; bytes that are no UTF-8 survive.

    Args:
        path: of the file.
        regular: it has to be a regular file: to open or read another one may take for ever.
        most: characters that it may have.

    Raises:
        OSError: if it cannot be read, or is larger.
    """
    if "\0" in path:
        raise OSError(errno.EINVAL, "a NUL byte in its name")
    flags = os.O_RDONLY | os.O_CLOEXEC | (os.O_NONBLOCK | os.O_NOCTTY if regular else 0)
    descriptor = os.open(path, flags)
    with open(descriptor, encoding="utf-8", errors="surrogateescape", newline=None) as file:
        if regular and not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        text = file.read(most + 1)
    if len(text) > most:
        raise OSError(errno.EFBIG, f"the file is larger than {most // 1024} KiB")
    return text


def _keep_key(name: str, value: str, where: str, warnings: list[Problem]) -> str:
    """Keep ``%s`` in patterns: for uWSGI it is the file's name there, which nobody can mean.

    uwsgiconf writes it so, too; ``%%s`` says the same to both programs.
    """
    if not name.endswith("-use-pattern") or "%s" not in value or "%%s" in value:
        return value
    warnings.append(
        Problem(
            where,
            f"{name}: %s is taken as the key here; uWSGI puts this file's name there: write %%s for both",
        )
    )
    return value.replace("%s", "%%s")
