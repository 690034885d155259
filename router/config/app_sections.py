"""Sections ``[app NAME]`` of ini files: their lines become applications."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from uwsgi_router.router.config.app import AppConfig, words
from uwsgi_router.router.config.app_values import NAME
from uwsgi_router.router.config.lines import Line, Problem
from uwsgi_router.router.config.option import Option, without_effect

_SECTION: Final = re.compile(r"^\s*\[\s*app\s+([^\]]*?)\s*\]", re.MULTILINE)


def names_in(text: str) -> list[str]:
    """Return the names of the applications of a file, in order, each once."""
    return list(dict.fromkeys(_SECTION.findall(text)))


def section_of(name: str) -> str:
    """Return the title of an application's section."""
    return f"app {name}"


def read_options(
    given: Iterable[tuple[str, str, str]],
    options: Sequence[Option],
    problems: list[Problem],
    shown: Callable[[str], str] = str,
) -> dict[str, Any]:
    """Read settings of an application into fields.

    Args:
        given: (name, value, where) of each.
        options: that there are.
        problems: gets what is wrong.
        shown: how a name is written where it was given.
    """
    by_name = {name: option for option in options for name in option.names}
    fields: dict[str, Any] = {}
    for name, value, where in given:
        option = by_name.get(name)
        if option is None:
            close = difflib.get_close_matches(name, by_name, n=1)
            hint = f"; did you mean {shown(close[0])}?" if close else ""
            text = f"{shown(name)} is no option of applications{hint}"
            problems.append(Problem(where, text))
            continue
        try:
            parsed = option.kind.parse(value)
        except ValueError as error:
            problems.append(Problem(where, f"{shown(name)}: {error}, got {value!r}"))
            continue
        if option.repeatable:
            fields[option.field] = (*fields.get(option.field, ()), parsed)
        else:
            fields[option.field] = parsed
    return fields


def applications(
    sections: Mapping[str, Sequence[Line]],
    expand: Callable[[Line], str],
    problems: list[Problem],
    *,
    patched: bool = False,
) -> tuple[AppConfig, ...]:
    """Read applications.

    Args:
        sections: lines of each, by name.
        expand: gives a setting's value with placeholders replaced.
        problems: gets what is wrong.
        patched: one of them may be without a command.
    """
    options = words()
    found: list[AppConfig] = []
    owners: dict[str, str] = {}
    for name, lines in sections.items():
        where = lines[0].where if lines else ""
        try:
            NAME.parse(name)
        except ValueError as error:
            problems.append(Problem(where, f"[app {name}]: {error}"))
            continue
        # As uWSGI does it in its own section: the command's braces are not placeholders.
        given = [(line.name, expand(line), line.where) for line in lines]
        config = AppConfig(name=name, **read_options(given, options, problems))
        if not (config.command or patched):
            problems.append(Problem(where, f"[app {name}] has no command"))
        problems += [Problem(where, f"[app {name}]: {text}") for text in without_effect(config)]
        for host in config.hosts or ("",):
            other = owners.setdefault(host.lower(), name)
            if other != name:
                what = f"host = {host}" if host else "without host, it serves all other hosts"
                problems.append(Problem(where, f"[app {name}]: {what}, and so does [app {other}]"))
        found.append(config)
    return tuple(found)
