"""Parts of the commands: argument parsers, readers of arguments, endings without success."""

import argparse
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Final

from uwsgi_router.subscriptions.client.arguments import CommandParser
from uwsgi_router.version import __version__

_WIDTH: Final = 78


def parser(
    name: str, description: str, status: str | None = None, examples: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """Return a parser for ``uwsgi-router NAME``.

    Args:
        name: of the command.
        description: one sentence or more.
        status: what the exit status says.
        examples: whole command lines.
    """
    parts = ["\n".join(["Examples:", *(f"  {line}" for line in examples)])] if examples else []
    if status is not None:
        parts.append(textwrap.fill(status, _WIDTH))
    made = CommandParser(
        prog=f"uwsgi-router {name}",
        description=textwrap.fill(description, _WIDTH),
        epilog="\n\n".join(parts) or None,
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return made


def _formatter(prog: str) -> argparse.HelpFormatter:
    # With a width argparse does not import shutil, and with it three compressors.
    try:
        width = int(os.environ.get("COLUMNS", "")) or _WIDTH
    except ValueError:
        try:
            width = os.get_terminal_size().columns - 2
        except OSError:
            width = _WIDTH
    return argparse.RawDescriptionHelpFormatter(prog, width=max(40, width))


def seconds(least: float, most: float) -> Callable[[str], float]:
    """Return a reader of times from ``least`` to ``most``."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not least <= number <= most:
            expected = f"a number of seconds from {least:g} to {most:g}"
            raise argparse.ArgumentTypeError(f"{text} is not {expected}")
        return number

    return read


def key_of(text: str | None) -> bytes | None:
    """Return the bytes of a key on the command line."""
    return None if text is None else os.fsencode(text)


def failed(name: str, error: object, status: int = 1) -> int:
    """Say why a command failed; return its exit status."""
    # One write: standard error may have become an output of lines.
    sys.stderr.write(f"uwsgi-router {name}: {error}\n")
    return status


def unread() -> int:
    """Return the exit status after whoever read our output has closed it."""
    # He has seen enough; Python would complain again when it exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
