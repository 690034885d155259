"""Settings of the Python API: parameters become options, checked by the option table."""

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.router.api.errors import ParameterError
from uwsgi_router.router.config import table
from uwsgi_router.router.config.build import build
from uwsgi_router.router.config.lines import Line, Problem
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.config.option import Option, Standing
from uwsgi_router.router.config.values import Argument
from uwsgi_router.router.config.verdicts import judge

# Warnings name the line of whoever called the router's method, above what looks at its keywords, the method, _set,
# Settings.put and _judged.
_STACK = 6


@dataclass(frozen=True, slots=True)
class Given:
    """Setting of an option: the class and method, the parameter, the value."""

    call: str
    parameter: str
    value: object


class Settings:
    """Settings of one router: options in the order in which they were set."""

    def __init__(self) -> None:
        self._lines: dict[str, list[Line]] = {}
        self._given: dict[str, Given] = {}

    def put(self, call: str, parameter: str, name: str, value: object) -> None:
        """Set an option, instead of what it was set to before.

        Args:
            call: the class and method, for messages.
            parameter: the parameter, for messages.
            name: the option, or an alias of it.
            value: ``None`` leaves the option as it is, ``False`` takes it away; a list sets it several times.

        Raises:
            ParameterError: if the value can't be used.
        """
        option = table.find(name)
        if option is None:
            close = table.nearest(name)
            hint = f"; did you mean {close}?" if close else ""
            raise ParameterError(call, parameter, name, f"there is no such option{hint}")
        if value is None:
            return
        if value is False and _is_switch(option):
            self._lines.pop(option.name, None)
            self._given.pop(option.name, None)
            return
        values = [value]
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            values = list(value)
        if len(values) != 1 and not option.repeatable:
            raise ParameterError(call, parameter, value, "expected one value")
        lines = [Line(name, text_of(call, parameter, option, one), call) for one in values]
        _judged(call, parameter, value, lines)
        self._lines[option.name] = lines
        self._given[option.name] = Given(call, parameter, value)

    def lines(self) -> Iterator[Line]:
        """Every setting, in order."""
        for lines in self._lines.values():
            yield from lines

    def given(self, option: Option) -> Given | None:
        """Return how an option was set; None: it was not."""
        return self._given.get(option.name)

    def configuration(self, call: str) -> Configuration:
        """Return what these options mean; ``call`` is the class, for messages.

        Raises:
            ParameterError: if they can't be used together.
        """
        problems: list[Problem] = []
        verdicts = judge(list(self.lines()), ())
        configuration = build(verdicts.used, lambda line: line.value, problems, set())
        for problem in problems:
            raise ParameterError(call, "configuration", None, problem.message)
        return configuration

    def as_ini(self, comments: Sequence[str] = ()) -> str:
        """Return the ini file that means the same; ``comments`` follow the section's header."""
        lines = ["[uwsgi]", *(f"; {' '.join(comment.split())}" for comment in comments)]
        for line in self.lines():
            # A single percent sign would be uWSGI's magic variable.
            value = line.value.replace("%", "%%")
            lines.append(f"{line.name} = {value}" if value else f"{line.name} =")
        return "\n".join(lines) + "\n"


def text_of(call: str, parameter: str, option: Option, value: object) -> str:
    """Return a value as it stands in an ini file, after the option's own reader has accepted it.

    Raises:
        ParameterError: if it hasn't, or if the text would not be read back as it is.
    """
    if isinstance(value, bool):
        if not _is_switch(option):
            raise ParameterError(call, parameter, value, "expected text or a number")
        text = "true" if value else "false"
    elif isinstance(value, int | float) and option.kind.shown == "ADDRESS":
        # As text it would be a socket in the working directory.
        raise ParameterError(call, parameter, value, "expected host:port or the path of a socket")
    elif isinstance(value, str | int | float):
        text = str(value)
    elif isinstance(value, os.PathLike):
        text = os.fsdecode(value)
    else:
        only = _is_switch(option) and option.kind.argument is not Argument.OPTIONAL
        expected = "True or False" if only else "text or a number"
        raise ParameterError(call, parameter, value, f"expected {expected}")
    if text != text.strip() or any(char in text for char in "\n\r\0"):
        raise ParameterError(call, parameter, value, "expected one line without blanks around it")
    if any(begin in text for begin in ("%(", "$(", "@(")):
        expected = "%(, $( and @( would be replaced where an ini file is read: not allowed here"
        raise ParameterError(call, parameter, value, expected)
    try:
        to_bytes(text)
        option.kind.parse(text)
    except UnicodeEncodeError:
        raise ParameterError(call, parameter, value, "expected text that UTF-8 can encode") from None  # fmt: skip
    except ValueError as exc:
        raise ParameterError(call, parameter, value, str(exc)) from None
    return text


def _is_switch(option: Option) -> bool:
    return option.kind.boolean


def _judged(call: str, parameter: str, value: object, lines: list[Line]) -> None:
    """Refuse what the table refuses, and warn of what it warns of."""
    verdicts = judge(lines, ())
    for problem in verdicts.problems:
        raise ParameterError(call, parameter, value, problem.message)
    if any(option.standing is Standing.WORKS and not option.part for _, option in verdicts.seen):
        raise ParameterError(call, parameter, value, "it is no option of a router")
    for warning in verdicts.warnings:
        warnings.warn(f"{call}({parameter}={value!r}): {warning.message}", stacklevel=_STACK)
