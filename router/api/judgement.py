"""Judgement of a router that was made in a program: what the command's ``check`` finds, in the words of the API."""

import re
from dataclasses import fields, replace
from typing import Any, Final

from uwsgi_router.router.api.errors import ParameterError
from uwsgi_router.router.api.settings import Settings
from uwsgi_router.router.config import crosschecks, table
from uwsgi_router.router.config.lines import Problem, Severity
from uwsgi_router.router.config.model import Configuration, ProcessConfig
from uwsgi_router.router.config.option import default_of
from uwsgi_router.router.config.places import Places

#: What the command does to its process, a program has to do itself.
OF_THE_PROCESS: Final = (
    "uid", "gid", "additional_gids", "pidfile", "safe_pidfile", "logto", "log_date", "umask", "chdir", "procname",
    "procname_prefix", "env", "event_loop",
)  # fmt: skip
_NAME: Final = re.compile(r"[a-z0-9-]+")
_EXAMPLES: Final = {
    "fastrouter": "127.0.0.1:3031",
    "http": "127.0.0.1:8080",
    "rawrouter": "127.0.0.1:6380",
    "sslrouter": "127.0.0.1:6380",
}


def judged(configuration: Configuration, settings: Settings, router: type[Any]) -> Configuration:
    """Return the configuration with what is odd about it, or depends on where it runs, in its ``warnings``.

    Args:
        configuration: what the settings mean.
        settings: what was set.
        router: the class, whose words are used.

    Raises:
        ParameterError: if it can't run.
    """
    # Imported when they are needed: a program that only imports the API waits for neither.
    from uwsgi_router.router.api.words import in_words  # noqa: PLC0415
    from uwsgi_router.router.app.prepare.prepare import prepare  # noqa: PLC0415
    from uwsgi_router.router.config.load import Report  # noqa: PLC0415

    if crosschecks.absent(configuration):
        expected = f"expected an address to listen on, for example on={_EXAMPLES[router.alias]!r}"
        raise ParameterError(router.__name__, "on", None, expected)
    done = _without_the_process(configuration)
    missing = tuple(Problem("", text) for text in crosschecks.missing(done))
    report = prepare(Report(done, missing, (), places=Places(())))
    depends = []
    for problem in report.problems:
        if problem.severity is Severity.ERROR:
            raise _error(problem.message, settings, router)
        depends.append(problem.message)
    messages = [*depends, *crosschecks.oddities(configuration)]
    return replace(configuration, warnings=tuple(in_words(text, router) for text in messages))


def _without_the_process(configuration: Configuration) -> Configuration:
    """Leave out what only the command does: its user, its directory."""
    defaults: dict[str, Any] = {one.name: default_of(one) for one in fields(ProcessConfig)}
    process = replace(configuration.process, **{name: defaults[name] for name in OF_THE_PROCESS})
    routers = tuple(replace(router, uid=None, gid=None) for router in configuration.routers)
    return replace(configuration, process=process, routers=routers)


def _error(message: str, settings: Settings, router: type[Any]) -> ParameterError:
    """Return the error for a message, which begins with its option: ``NAME``, ``NAME: `` or ``NAME = VALUE: ``."""
    from uwsgi_router.router.api.words import in_words  # noqa: PLC0415

    match = _NAME.match(message)
    option = table.find(match[0]) if match else None
    given = None if option is None else settings.given(option)
    if match is None or option is None or given is None:
        return ParameterError(router.__name__, "configuration", None, in_words(message, router))
    value = given.value
    text = message.removeprefix(f"{match[0]}: ")
    for line in settings.lines():
        begin = f"{match[0]} = {line.value}: "
        if line.name == match[0] and message.startswith(begin):
            text = message.removeprefix(begin)
            value = value if isinstance(value, str) else line.value
    return ParameterError(given.call, given.parameter, value, in_words(text, router))
