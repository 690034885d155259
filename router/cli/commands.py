"""Parts of the commands: argument parsers, readers of arguments, endings without success."""

import argparse
import os
import sys
from collections.abc import Callable

from uwsgi_router.subscriptions.client.arguments import CommandParser
from uwsgi_router.version import __version__


def parser(name: str, description: str, epilog: str | None = None) -> argparse.ArgumentParser:
    """Return a parser for ``uwsgi-router NAME``."""
    made = CommandParser(
        prog=f"uwsgi-router {name}", description=description, epilog=epilog, allow_abbrev=False
    )
    made.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return made


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
    print(f"uwsgi-router {name}: {error}", file=sys.stderr)
    return status


def unread() -> int:
    """Return the exit status after whoever read our output has closed it."""
    # He has seen enough; Python would complain again when it exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
