"""The command line: reserved words are commands, everything else runs routers.

Commands are imported when they are asked for, so that starting a router loads nothing it does not run.
"""

import os
import sys
from collections.abc import Callable, Sequence

HELP = frozenset({"--help", "-h", "--usage"})
COMMANDS = ("check", "demo", "drain", "enable", "get", "keys", "status", "subscribe", "weight")


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says.

    Args:
        arguments: without the program's name.

    Returns:
        The exit code: 0 if all went well, 1 for what went wrong, 2 for a command line that makes no sense.
    """
    first, rest = (arguments[0], list(arguments[1:])) if arguments else ("", [])
    if first in COMMANDS:
        return _command(first)(rest)
    if first in HELP:
        return _help(rest)
    if first == "--version":
        from router import __version__  # noqa: PLC0415

        sys.stdout.write(f"uwsgi-router {__version__}\n")
        return 0
    return _run(arguments)


def _command(name: str) -> Callable[[list[str]], int]:
    if name == "check":
        from router.commands.check import main as command  # noqa: PLC0415
    elif name == "get":
        from router.commands.get import main as command  # noqa: PLC0415
    elif name == "keys":
        from router.commands.keys import main as command  # noqa: PLC0415
    elif name == "status":
        from router.commands.status import main as command  # noqa: PLC0415
    elif name == "subscribe":
        from router.commands.subscribe import main as command  # noqa: PLC0415
    elif name in {"drain", "enable", "weight"}:
        from router.commands import steer  # noqa: PLC0415

        command = getattr(steer, name)
    else:
        from router.commands.demo import main as command  # noqa: PLC0415
    return command


def _help(names: Sequence[str]) -> int:
    from router.options import argv, help  # noqa: A004, PLC0415

    if not names:
        sys.stdout.write(help.overview())
    for name in names:
        text = help.about(name)
        if text is None:
            sys.stderr.write(f"uwsgi-router: {argv.unknown(name.lstrip('-'), shown=name)}\n")
            return 2
        sys.stdout.write(text)
    return 0


def _run(arguments: Sequence[str]) -> int:
    from router.options import ConfigurationError, ConfigurationExit, load  # noqa: PLC0415

    try:
        configuration = load(arguments, os.environ)
    except ConfigurationExit as stop:
        sys.stdout.writelines(f"{line}\n" for line in stop.prints)
        return stop.code
    except ConfigurationError as error:
        for problem in error.problems:
            sys.stderr.write(f"uwsgi-router: {problem}\n")
        return error.exit_code
    sys.stdout.writelines(f"{line}\n" for line in configuration.prints)
    sys.stdout.flush()
    from router.commands.run import run  # noqa: PLC0415
    from router.process import StartError  # noqa: PLC0415

    try:
        return run(configuration)
    except StartError as error:
        sys.stderr.write(f"uwsgi-router: {error}\n")
        return 1
