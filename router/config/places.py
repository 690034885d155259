"""Places of options: where in a file, or where else, the option of a message was written."""

import re
from collections.abc import Iterable
from typing import Final

from uwsgi_router.router.config.lines import Line, Problem, Severity
from uwsgi_router.router.config.option import Option

_NAME: Final = re.compile(r"[a-z0-9-]+")


class Places:
    """Places of options.

    Messages about a whole configuration begin with the option that they are about: ``NAME`` or ``NAME = VALUE:``. Of an
    option that was given several times the last line with that value counts, else the last one.

    Args:
        given: the settings, their options and their values, in order.
    """

    def __init__(self, given: Iterable[tuple[Line, Option, str]]) -> None:
        self._lines: dict[str, list[tuple[str, str]]] = {}
        for line, option, value in given:
            for name in option.names:
                self._lines.setdefault(name, []).append((value, line.where))

    def of(self, message: str) -> str:
        """Return the place of the option that a message is about; "" if it is about none that was given."""
        match = _NAME.match(message)
        if match is None:
            return ""
        name = match[0]
        lines = self._lines.get(name, [])
        named = [where for value, where in lines if message.startswith(f"{name} = {value}:")]
        if named:
            return named[-1]
        return lines[-1][1] if lines else ""

    def problems(
        self, messages: Iterable[str], severity: Severity = Severity.ERROR
    ) -> list[Problem]:
        """Return messages with their places."""
        return [Problem(self.of(message), message, severity) for message in messages]
