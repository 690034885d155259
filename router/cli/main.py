"""Entry point of ``uwsgi-router``: dispatches subcommands, or runs routers."""

import os
import sys
from collections.abc import Sequence

from uwsgi_router.router.app.process import early_stop
from uwsgi_router.router.cli.command_table import COMMANDS

# As in router.app.master.launch, which most commands do not need.
_CHILD, _STATE = "_UWSGI_ROUTER_CHILD", "_UWSGI_ROUTER_STATE"
# As in protocol.emperor.
_VASSAL = "UWSGI_EMPEROR_FD"
HELP = frozenset({"--help", "-h", "--usage", "help"})
# uWSGI's way to signal a running program, whose process id is in a file.
SIGNALS = frozenset({"--stop", "--reload"})
VERSION = frozenset({"--version", "-V", "version"})
# They tidy up when they are interrupted.
_INTERRUPTED = frozenset(
    {"drain", "enable", "roll", "rollout", "serve", "status", "subscribe", "weight"}
)


def command() -> int:
    """Do what the command line of this process says: the entry point of ``uwsgi-router``."""
    early_stop.end_at_once()
    if _CHILD in os.environ:
        from uwsgi_router.router.cli.roles import play  # noqa: PLC0415

        return play()
    if _STATE in os.environ:
        from uwsgi_router.router.cli.roles import resume  # noqa: PLC0415

        return resume(sys.argv[1:])
    return main(sys.argv[1:])


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says.

    Args:
        arguments: without the program's name.

    Returns:
        The exit code: 0 if all went well, 1 for what went wrong, 2 for a command line that makes no sense.
    """
    first, rest = (arguments[0], list(arguments[1:])) if arguments else ("", [])
    if first in COMMANDS:
        loaded = early_stop.raise_interrupts if first in _INTERRUPTED else None
        return COMMANDS[first].run(rest, loaded)
    if first in HELP:
        return _help(rest)
    if first == "--help-all":
        from uwsgi_router.router.config.help import everything  # noqa: PLC0415

        return _show(everything(_width()))
    if first in VERSION:
        from uwsgi_router.version import __version__, build  # noqa: PLC0415

        sys.stdout.write(f"uwsgi-router {__version__} ({build()})\n")
        return 0
    name, given, value = first.partition("=")
    if name in SIGNALS:
        from uwsgi_router.router.cli.reload import by_pidfile  # noqa: PLC0415

        return by_pidfile(name, [value, *rest] if given else rest)
    meant = _meant(first)
    if meant is not None:
        sys.stderr.write(f"uwsgi-router: there is no command {first}; did you mean {meant}?\n")
        return 2
    return _run(arguments)


def _meant(word: str) -> str | None:
    """Return the command that a word was probably meant to be; None: it is an option or a file."""
    bare = word.removeprefix("--")
    if bare != word and bare in COMMANDS:
        from uwsgi_router.router.config import table  # noqa: PLC0415

        return None if table.find(bare) else bare
    if not word.isalpha() or os.path.exists(word):
        return None
    import difflib  # noqa: PLC0415

    close = difflib.get_close_matches(word, (*COMMANDS, "help", "version"), n=1)
    return close[0] if close else None


def _width() -> int:
    import shutil  # noqa: PLC0415

    return shutil.get_terminal_size().columns


def _show(text: str) -> int:
    sys.stdout.write(text)
    return 0


def _help(names: Sequence[str]) -> int:
    from uwsgi_router.router.config import argv, help  # noqa: A004, PLC0415

    if not names:
        return _show(help.overview(_width()))
    for name in names:
        if name in COMMANDS:
            return COMMANDS[name].run(["--help"])
        text = help.about(name) or help.matching(name, _width())
        if text is None:
            sys.stderr.write(f"uwsgi-router: {argv.unknown(name.lstrip('-'), shown=name)}\n")
            return 2
        sys.stdout.write(text)
    return 0


def _run(arguments: Sequence[str]) -> int:
    from uwsgi_router.router.app.prepare.prepare import prepare  # noqa: PLC0415
    from uwsgi_router.router.config.lines import ConfigurationExit  # noqa: PLC0415
    from uwsgi_router.router.config.load import examine  # noqa: PLC0415

    try:
        report = prepare(examine(arguments, os.environ))
    except ConfigurationExit as stop:
        sys.stdout.writelines(f"{line}\n" for line in stop.prints)
        return stop.code
    if report.problems:
        sys.stderr.writelines(f"uwsgi-router: {problem}\n" for problem in report.problems)
        return 2 if report.usage else 1
    configuration = report.configuration
    pty = configuration.pty
    terminal = pty.connect_packets or pty.connect
    if terminal is not None:
        from uwsgi_router.protocol.address import parse_address  # noqa: PLC0415
        from uwsgi_router.router.cli.pty import connect  # noqa: PLC0415

        return connect(parse_address(terminal), packets=pty.connect_packets is not None)
    sys.stdout.writelines(f"{line}\n" for line in configuration.prints)
    sys.stdout.flush()
    if configuration.emperor.list_monitors:
        from uwsgi_router.router.emperor.monitors.registry import listing  # noqa: PLC0415

        return _show(listing())
    if configuration.applications:
        from uwsgi_router.router.cli.applications import run_with_applications  # noqa: PLC0415

        return run_with_applications(arguments, configuration)
    from uwsgi_router.router.config.errors import StartError  # noqa: PLC0415

    try:
        if configuration.process.master or (configuration.emperor.places and _VASSAL in os.environ):
            # An Emperor below another one has a master, as uWSGI's: that speaks with the one above.
            from uwsgi_router.router.cli.roles import lead  # noqa: PLC0415

            return lead(arguments, configuration)
        if configuration.emperor.places:
            from uwsgi_router.router.app.emperor_process import reign_alone  # noqa: PLC0415

            return reign_alone(configuration)
        from uwsgi_router.router.cli.run import run  # noqa: PLC0415

        return run(configuration)
    except StartError as error:
        sys.stderr.write(f"uwsgi-router: {error}\n")
        return 1
