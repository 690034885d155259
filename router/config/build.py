"""Settings that take effect become the typed configuration."""

from collections.abc import Callable, Iterator
from typing import Any

from uwsgi_router.router.config.lines import COMMAND_LINE, Line, Problem
from uwsgi_router.router.config.model import (
    Configuration,
    HttpRouterConfig,
    ProcessConfig,
    RouterConfig,
    SubscriptionConfig,
)
from uwsgi_router.router.config.option import Option

_PARTS = ("process", "subscription", "fastrouter", "http", "any-http")


def build(
    used: list[tuple[Line, Option]],
    expand: Callable[[Line], str],
    problems: list[Problem],
) -> Configuration:
    """Read every value and put it where it belongs.

    Args:
        used: settings and their options, in order; of an option that does not repeat the last one counts.
        expand: gives a setting's value with placeholders replaced.
        problems: gets values that cannot be read.
    """
    fields: dict[str, dict[str, Any]] = {part: {} for part in _PARTS}
    for line, option in used:
        value = expand(line)
        try:
            parsed = option.kind.parse(value)
        except ValueError as error:
            problems.append(Problem(line.where, _bad(line, value, str(error))))
            continue
        part, name = option.part, option.field
        if not option.repeatable:
            fields[part][name] = parsed
        elif isinstance(parsed, list):
            fields[part][name] = [*fields[part].get(name, ()), *parsed] if parsed else []
        else:
            fields[part].setdefault(name, []).append(parsed)
    process = {name: _frozen(value) for name, value in fields["process"].items()}
    if "env" in process:
        process["env"] = dict(process["env"])
    return Configuration(
        process=ProcessConfig(**process),
        subscription=SubscriptionConfig(
            **{name: _frozen(value) for name, value in fields["subscription"].items()}
        ),
        routers=tuple(_routers(fields)),
    )


def _routers(fields: dict[str, dict[str, Any]]) -> Iterator[RouterConfig]:
    fast, http = (
        {name: _frozen(value) for name, value in fields[part].items()}
        for part in ("fastrouter", "http")
    )
    if fast:
        yield RouterConfig(**fast)
    if http:
        yield HttpRouterConfig(**(fields["any-http"] | http))


def _frozen(value: object) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _bad(line: Line, value: str, expected: str) -> str:
    name = f"--{line.name}" if line.where == COMMAND_LINE else line.name
    hint = ""
    if value[:1] in ("'", '"'):
        hint = " (quotes belong to the value here: leave them out)"
    elif " ;" in value or " #" in value:
        hint = " (a comment needs a line of its own)"
    elif "%(" in value or "$(" in value:
        hint = " (a placeholder or variable in it is not defined)"
    return f"{name}: {expected}, got {value!r}{hint}"
