"""Verdicts on settings: used, accepted silently, accepted with a warning, refused.

The settings of one topic share one message, so that a file of an application gives one line, not forty.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from uwsgi_router.router.config import language, table
from uwsgi_router.router.config.argv import unknown
from uwsgi_router.router.config.lines import COMMAND_LINE, ENVIRONMENT, Line, Problem, Severity
from uwsgi_router.router.config.option import Option, Standing
from uwsgi_router.router.config.values import Argument, is_on

# Set by uWSGI itself for the programs it starts; the last one is ours, for commands.
_NO_OPTIONS = frozenset(
    {"reloads", "original-proc-name", "emperor-fd", "emperor-fd-config", "broodlord-num"}
    | {"vassals-dir", "emperor-proxy", "jail-pid"}
    | {"router-control"}
)
# An Emperor's vassals get these, without this word.
_OF_VASSALS = "vassal-"


@dataclass(slots=True)
class Verdicts:
    """Findings about the settings.

    Attributes:
        used: settings that take effect, with their option, in order.
        seen: every option that was given, with the setting.
        problems: refusals.
        warnings: what happens instead.
    """

    used: list[tuple[Line, Option]] = field(default_factory=list)
    seen: list[tuple[Line, Option]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def judge(lines: Sequence[Line], placeholders: Collection[str]) -> Verdicts:
    """Sort the settings by what becomes of them.

    Args:
        lines: every setting, in order.
        placeholders: names that are used as ``%(name)`` anywhere.
    """
    verdicts = Verdicts()
    unknowns: list[Line] = []
    later: dict[tuple[str, str], list[Line]] = {}
    refused: dict[tuple[str, str], list[Line]] = {}
    application: list[Line] = []
    for line in lines:
        if line.placeholder:
            continue
        option = table.find(line.name)
        if option is None:
            if line.name not in placeholders:
                unknowns.append(line)
            continue
        verdicts.seen.append((line, option))
        if option.standing is not Standing.WORKS and not _asks(line, option):
            continue
        if option.standing is Standing.WORKS:
            if option.group != language.GROUP:
                verdicts.used.append((line, option))
        elif option.standing is Standing.APPLICATION:
            application.append(line)
        elif option.standing is Standing.NOT_YET:
            group = refused if option.refused else later
            group.setdefault((option.group, option.instead), []).append(line)
    _unknown(unknowns, verdicts)
    _contradictions(verdicts)
    _application(application, verdicts)
    for (_, instead), members in refused.items():
        verdicts.problems.append(
            Problem(members[0].where, f"{_named(members)}: not yet: {instead}")
        )
    for (_, instead), members in later.items():
        text = f"{_named(members)}: not yet: {instead}"
        verdicts.warnings.append(Problem(members[0].where, text, Severity.WARNING))
    return verdicts


def _asks(line: Line, option: Option) -> bool:
    """Return False if the value says that nothing is wanted: a switch that is off, one process."""
    if option.kind.argument is Argument.NONE and not is_on(line.value):
        return False
    return line.value not in option.harmless


def _unknown(lines: Iterable[Line], verdicts: Verdicts) -> None:
    emperor = any(option.name == "emperor" for _, option in verdicts.used)
    for line in lines:
        if line.where == ENVIRONMENT:
            of_vassals = emperor and line.name.startswith(_OF_VASSALS)
            if not (of_vassals or line.name in _NO_OPTIONS):
                variable = "UWSGI_" + line.name.upper().replace("-", "_")
                message = f"{variable} is neither an option nor used as %({line.name}): ignored"
                verdicts.warnings.append(Problem(ENVIRONMENT, message, Severity.WARNING))
            continue
        message = unknown(line.name)
        message += f" (as a placeholder it would be used somewhere as %({line.name}))"
        verdicts.problems.append(Problem(line.where, message))


def _contradictions(verdicts: Verdicts) -> None:
    """Warn of an option that one section of a file gives two values, of which only the last one counts."""
    values: dict[tuple[str, str, str], Line] = {}
    for line, option in verdicts.used:
        file, colon, number = line.where.rpartition(":")
        if option.repeatable or not colon or not number.isdecimal():
            continue
        before = values.get((file, line.section, option.name))
        values[file, line.section, option.name] = line
        if before is not None and before.value != line.value and before.where != line.where:
            text = f"{line.name}: {before.where} says {before.value or 'nothing'}, and this line counts"
            verdicts.warnings.append(Problem(line.where, text, Severity.WARNING))


def _application(lines: Sequence[Line], verdicts: Verdicts) -> None:
    """Refuse what makes uWSGI run an application; in the environment it only means that one is near."""
    near = [line for line in lines if line.where == ENVIRONMENT]
    if near:
        message = f"{_named(near)}: for an application, which uwsgi-router does not run: ignored"
        verdicts.warnings.append(Problem(ENVIRONMENT, message, Severity.WARNING))
    asked = [line for line in lines if line.where != ENVIRONMENT]
    if asked:
        verdicts.problems.append(
            Problem(
                asked[0].where,
                f"{_named(asked)}: uwsgi-router runs no application. Leave these to a uWSGI of the application's own,"
                " which announces itself here (subscribe-to = SUBSCRIPTION-SERVER:KEY) or is named by"
                " fastrouter-to or http-to",
            )
        )


def _named(lines: Sequence[Line]) -> str:
    """Every name once, with the place if it differs from the first one's."""
    shown: dict[str, str] = {}
    for line in lines:
        apart = line.where != lines[0].where and line.where not in (COMMAND_LINE, ENVIRONMENT)
        shown.setdefault(line.name, f"{line.name} ({line.where})" if apart else line.name)
    return ", ".join(shown.values())
