"""From command line and environment to the typed configuration."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from uwsgi_router.router.config import app_sections, binary_patch, crosschecks
from uwsgi_router.router.config import argv as arguments
from uwsgi_router.router.config.build import build
from uwsgi_router.router.config.lines import Line, Problem, Severity
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.config.option import Option
from uwsgi_router.router.config.places import Places
from uwsgi_router.router.config.script import Script
from uwsgi_router.router.config.verdicts import judge

_WORD: Final = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is to be said about a configuration.

    Attributes:
        configuration: what would run; only meaningful without problems.
        problems: what is wrong, or wrong where it runs now.
        warnings: what is accepted and does something else.
        options: every setting that names an option, in order.
        usage: True if the command line itself is wrong.
        places: where each option was given.
    """

    configuration: Configuration
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    options: tuple[tuple[Line, Option], ...] = ()
    usage: bool = False
    places: Places = field(default_factory=lambda: Places(()))


def examine(argv: Sequence[str], environ: Mapping[str, str]) -> Report:
    """Read a configuration and find everything that is wrong with it, without stopping at the first.

    Args:
        argv: the command line without the program's name.
        environ: ``UWSGI_*`` variables are options too, and ``$(NAME)`` means any of them.

    Raises:
        ConfigurationExit: where the configuration says ``exit``.
    """
    usage: list[Problem] = []
    lines = arguments.environment(environ) + arguments.command_line(argv, usage)
    if usage:
        return Report(Configuration(), tuple(usage), (), usage=True)
    script = Script(environ)
    script.run(lines)
    verdicts = judge(script.lines, script.placeholders.used)
    problems = list(verdicts.problems)
    unread: set[str] = set()
    built = build(verdicts.used, script.expand, problems, unread)
    prints = tuple(script.prints())
    patch = binary_patch.of_process(built.process, argv)
    apps = app_sections.applications(
        script.applications, script.expand, problems, patched=patch is not None
    )
    if patch is not None:
        apps = binary_patch.applied(patch, apps, script.first_name, problems)
    built = replace(built, applications=() if built.process.no_apps else apps)
    places = Places((line, one, script.expand(line)) for line, one in verdicts.seen)
    # In front of applications a router listens by itself.
    if not (problems or script.problems or built.applications):
        problems += places.problems(crosschecks.absent(built))
    if not script.problems:
        problems += places.problems(_independent(crosschecks.missing(built), unread))
    odd = places.problems(_independent(crosschecks.oddities(built), unread), Severity.WARNING)
    warnings = (*script.warnings, *verdicts.warnings, *odd)
    configuration = replace(built, prints=prints, warnings=tuple(map(str, warnings)))
    found = dict.fromkeys([*script.problems, *problems])
    return Report(
        configuration,
        tuple(sorted(found, key=in_order)),
        tuple(sorted(warnings, key=in_order)),
        tuple(verdicts.seen),
        places=places,
    )


def _independent(messages: Iterable[str], unread: Collection[str]) -> list[str]:
    """Leave out what may only follow from options that could not be read: what they say is missing."""
    return [text for text in messages if not set(_WORD.findall(text)) & set(unread)]


def in_order(problem: Problem) -> tuple[bool, str, int]:
    """Order of files and lines; what is wrong with the whole comes last."""
    file, _, line = problem.where.rpartition(":")
    return not problem.where, file or line, int(line) if file and line.isdecimal() else 0
