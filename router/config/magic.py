"""uWSGI's magic variables: ``%`` and one character, replaced while a file is read.

Source: the manual's table, checked against the real program. Lower-case letters tell about the file they stand in, most
upper-case ones about the first file that is not an include. ``%(`` begins a placeholder and is left alone; ``%%`` is
one percent sign. Unknown letters vanish, as there; a percent sign before anything else stays.
"""

import datetime as dt
import grp
import os
import pwd
import re
import socket
import sys
from collections.abc import Mapping

from uwsgi_router.version import __version__

_MAGIC = re.compile(r"%([%\[A-Za-z0-9])")


def of_process() -> dict[str, str]:
    """Return the variables that are the same in every file."""
    now = dt.datetime.now(dt.UTC).timestamp()
    return {
        "%": "%",
        "[": "\033",
        "v": _directory(),
        "V": __version__,
        "h": socket.gethostname(),
        "b": os.path.normpath(os.path.join(_directory(), sys.argv[0])),
        "k": str(os.cpu_count() or 1),
        "t": str(int(now)),
        "T": str(int(now * 1_000_000)),
        "u": str(os.getuid()),
        "U": _user(),
        "g": str(os.getgid()),
        "G": _group(),
    }


def _directory() -> str:
    """Return the working directory; "" if it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def of_file(path: str, section: str) -> dict[str, str]:
    """Return the variables of one file, by their lower-case letters.

    Args:
        path: as the operator wrote it.
        section: as written after the file's name; "" if it was not.
    """
    absolute = os.path.abspath(path)
    directory, name = os.path.split(absolute)
    stem, dot, extension = name.rpartition(".")
    parts = directory.split("/")[1:]
    variables = {
        "o": path,
        "p": absolute,
        "s": name,
        "d": directory.rstrip("/") + "/",
        "e": extension if dot else "",
        "n": stem if dot else name,
        "c": parts[-1] if parts else "",
        "x": section,
    }
    for index in range(10):
        variables[str(index)] = parts[index] if index < len(parts) else ""
    return variables


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Replace the magic variables of a text."""
    return _MAGIC.sub(lambda match: variables.get(match[1], ""), text)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _group() -> str:
    try:
        return grp.getgrgid(os.getgid()).gr_name
    except KeyError:
        return str(os.getgid())
