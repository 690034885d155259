"""Command ``serve``: copies of a program behind a router, on HTTP at once."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from uwsgi_router.router.app.applications.arguments import environment
from uwsgi_router.router.app.applications.served import ServedApplications
from uwsgi_router.router.app.applications.supervise import supervise
from uwsgi_router.router.app.prepare.applications import unshared_cores
from uwsgi_router.router.cli import commands
from uwsgi_router.router.cli.commands import failed
from uwsgi_router.router.config import table
from uwsgi_router.router.config.app import ServeConfig, words_of_serve
from uwsgi_router.router.config.app_sections import read_options
from uwsgi_router.router.config.app_values import COMMAND, NAME
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.lines import ConfigurationExit, Problem
from uwsgi_router.router.config.load import examine
from uwsgi_router.router.config.option import Option, without_effect
from uwsgi_router.router.config.values import Argument
from uwsgi_router.subscriptions.client.arguments import split_at_dashes

#: What stands before an option's name in the environment.
PREFIX: Final = "UWSGI_ROUTER_"
_NAME: Final = "uwsgi-router serve"


def main(args: list[str]) -> int:
    """Serve until a signal ends it; return the exit code."""
    own, program = split_at_dashes(args)
    problems: list[Problem] = []
    config, router = read(own, os.environ, problems)
    if program:
        config = replace(config, command=tuple(program))
    if not config.command and not problems:
        text = "there is no command: write -- and then it, for example -- gunicorn app:app -b {address}"
        problems.append(Problem("", text))
    problems += [Problem("", text) for text in without_effect(config)]
    for problem in problems:
        sys.stderr.write(f"{_NAME}: {problem}\n")
    if problems:
        return 2
    served = ServedApplications(
        applications=(config,),
        router=router,
        listen=config.http,
        stop_timeout=config.stop_timeout,
        control_socket=config.control_socket,
        pidfile=config.pidfile,
        alone=True,
    )
    try:
        _check_cores(served)
        return supervise(served, os.environ)
    except StartError as error:
        return failed("serve", error)


def _check_cores(served: ServedApplications) -> None:
    """Check that each process of the router may send a copy requests; whatever else is wrong the router says itself.

    Raises:
        StartError: not every one may.
    """
    if not served.router:
        return
    words = [*served.router, *(f"--http={address}" for address in served.listen)]
    try:
        report = examine(words, environment(os.environ, own=False))
    except ConfigurationExit:
        return
    for text in unshared_cores(report.configuration, served.applications, os.environ):
        raise StartError(text)


def arguments() -> argparse.ArgumentParser:
    """Return the parser of its command line."""
    parser = commands.parser(
        "serve",
        "Run copies of COMMAND and serve HTTP in front of them: at once, before the first one is healthy; a rollout"
        " (HUP, or `uwsgi-router rollout`) starts new copies first, and loses no request. In COMMAND {address}"
        " (127.0.0.1:PORT), {port} or {socket} stand for where a copy is to listen; PORT in its environment does, too."
        f" Each option is also a variable ({PREFIX}REPLICAS=4), and options of the router may be given,"
        " as --http-timeout 300.",
        "Exit status: 0 after a stop; 1 if the command could not be started, or its own code; 2 for wrong use.",
        (
            "uwsgi-router serve -- gunicorn app:app -b {address}",
            "uwsgi-router serve --http :8080 --replicas 4 --health /up -- uvicorn app:app --uds {socket}",
            "uwsgi-router serve --reload . -- uvicorn app:app",
        ),
    )
    parser.usage = f"{_NAME} [options] [options of the router] -- COMMAND..."
    parser.add_argument("--name", metavar="NAME", help="of the application, in logs (default: app)")
    for option in words_of_serve():
        action: dict[str, Any] = {"action": "append", "metavar": option.kind.shown}
        if option.kind.argument is Argument.NONE:
            action = {"action": "append_const", "const": "true"}
        # argparse reads % in its own way.
        parser.add_argument(
            *(f"--{name}" for name in option.names), help=option.help.replace("%", "%%"), **action
        )
    return parser


def read(
    args: list[str], environ: Mapping[str, str], problems: list[Problem]
) -> tuple[ServeConfig, list[str]]:
    """Read the options, and those of the environment, which they override.

    Args:
        args: the command line without the program.
        environ: ours.
        problems: gets what is wrong.

    Returns:
        The configuration, and the arguments that are the router's.
    """
    parsed, router = arguments().parse_known_args(args)
    options = words_of_serve()
    given = dict(_of_environment(options, environ))
    from_line: dict[str, list[str]] = {
        option.name: values
        for option in options
        if (values := getattr(parsed, option.name.replace("-", "_"))) is not None
    }
    settings = [
        (option.name, value, "")
        for option in options
        for value in from_line.get(option.name, given.get(option.name, []))
    ]
    fields = read_options(settings, options, problems, lambda name: f"--{name}")
    problems += _not_the_routers(router)
    name = parsed.name or environ.get(f"{PREFIX}NAME") or "app"
    try:
        NAME.parse(name)
    except ValueError as error:
        problems.append(Problem("", f"--name: {error}, got {name!r}"))
    return ServeConfig(name=name, **fields), router


def _of_environment(
    options: Sequence[Option], environ: Mapping[str, str]
) -> Iterator[tuple[str, list[str]]]:
    """Yield the values that variables give; of an option that repeats several, with blanks between."""
    for option in options:
        value = environ.get(PREFIX + option.name.upper().replace("-", "_"))
        if value is not None:
            several = option.repeatable and option.kind is not COMMAND
            yield option.name, value.split() if several else [value]


def _not_the_routers(words: Sequence[str]) -> Iterator[Problem]:
    """Yield a problem for each word that is neither ours nor the router's."""
    own = [name for option in words_of_serve() for name in option.names]
    for word in words:
        if not word.startswith("-"):
            continue
        name = word.lstrip("-").partition("=")[0]
        if table.find(name) is None and not (len(name) == 1 and name in table.letters()):
            import difflib  # noqa: PLC0415

            close = difflib.get_close_matches(name, [*own, *table.names()], n=1)
            hint = f"; did you mean --{close[0]}?" if close else ""
            yield Problem("", f"there is no option --{name}{hint}")
    if words and not words[0].startswith("-"):
        yield Problem("", f"write -- before the command: -- {' '.join(words)}")
