"""Settings that take effect become the typed configuration."""

from collections.abc import Callable, Iterator
from typing import Any

from uwsgi_router.router.config.lines import COMMAND_LINE, Line, Problem, Severity
from uwsgi_router.router.config.model import (
    Configuration,
    EmperorConfig,
    ForkptyConfig,
    HttpRouterConfig,
    ProcessConfig,
    PtyConfig,
    RawRouterConfig,
    RouterConfig,
    SslRouterConfig,
    SubscriptionConfig,
    TlsConfig,
    TunTapConfig,
)
from uwsgi_router.router.config.option import Option
from uwsgi_router.router.config.placeholders import PLACEHOLDER, VARIABLE

_PARTS = (
    "process",
    "subscription",
    "fastrouter",
    "http",
    "any-http",
    "rawrouter",
    "sslrouter",
    "forkpty",
    "pty",
    "tuntap",
    "tls",
    "emperor",
)


def build(
    used: list[tuple[Line, Option]],
    expand: Callable[[Line], str],
    problems: list[Problem],
    unread: set[str],
) -> Configuration:
    """Read every value and put it where it belongs.

    Args:
        used: settings and their options, in order; of an option that does not repeat the last one counts.
        expand: gives a setting's value with placeholders replaced.
        problems: gets values that cannot be read.
        unread: gets the names of their options.
    """
    fields: dict[str, dict[str, Any]] = {part: {} for part in _PARTS}
    for line, option in used:
        value = expand(line)
        undefined = None if option.kind.free else _undefined(line, value)
        if undefined is not None:
            problems.append(undefined)
            unread |= set(option.names)
            continue
        try:
            parsed = option.kind.parse(value)
        except ValueError as error:
            problems.append(Problem(line.where, _bad(line, value, str(error))))
            unread |= set(option.names)
            continue
        part, name = option.part, option.field
        if not option.repeatable:
            fields[part][name] = parsed
        elif isinstance(parsed, list):
            fields[part][name] = [*fields[part].get(name, ()), *parsed] if parsed else []
        else:
            fields[part].setdefault(name, []).append(parsed)
    frozen = {
        part: {name: _frozen(value) for name, value in given.items()}
        for part, given in fields.items()
    }
    if "env" in frozen["process"]:
        frozen["process"]["env"] = dict(frozen["process"]["env"])
    return Configuration(
        process=ProcessConfig(**frozen["process"]),
        subscription=SubscriptionConfig(**frozen["subscription"]),
        routers=tuple(_routers(frozen)),
        forkpty=ForkptyConfig(**frozen["forkpty"]),
        tuntap=TunTapConfig(**frozen["tuntap"]),
        pty=PtyConfig(**frozen["pty"]),
        tls=TlsConfig(**frozen["tls"]),
        emperor=EmperorConfig(**frozen["emperor"]),
    )


def _routers(fields: dict[str, dict[str, Any]]) -> Iterator[RouterConfig]:
    if fields["fastrouter"]:
        yield RouterConfig(**fields["fastrouter"])
    if fields["http"]:
        yield HttpRouterConfig(**(fields["any-http"] | fields["http"]))
    if fields["rawrouter"]:
        yield RawRouterConfig(**fields["rawrouter"])
    if fields["sslrouter"]:
        yield SslRouterConfig(**fields["sslrouter"])


def _undefined(line: Line, value: str) -> Problem | None:
    """Return that a placeholder, or a variable, in a value stands for nothing."""
    placeholder = PLACEHOLDER.search(value)
    if placeholder is not None:
        text = f"{_shown(line)}: {placeholder[0]} is not defined, got {value!r}"
        return Problem(line.where, text)
    variable = VARIABLE.search(value)
    if variable is not None:
        text = f"{_shown(line)}: the environment has no variable {variable[1]}, got {value!r}"
        return Problem(line.where, text, Severity.DEPENDS)
    return None


def _shown(line: Line) -> str:
    return f"--{line.name}" if line.where == COMMAND_LINE else line.name


def _frozen(value: object) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _bad(line: Line, value: str, expected: str) -> str:
    hint = ""
    if value[:1] in ("'", '"'):
        hint = " (quotes belong to the value here: leave them out)"
    elif " ;" in value or " #" in value:
        hint = " (a comment needs a line of its own)"
    return f"{_shown(line)}: {expected}, got {value!r}{hint}"
