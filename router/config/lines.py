"""Lines of configuration, from whichever source: named values that know where they were written."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

COMMAND_LINE = "command line"
ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class Line:
    """One setting as written.

    Attributes:
        name: of an option or a placeholder.
        value: after ``=``, without the white space around it; "" if there is none.
        where: ``FILE:LINE``, :data:`COMMAND_LINE` or :data:`ENVIRONMENT`.
        placeholder: True if it can only be a placeholder (``set-placeholder``).
        section: of the file.
    """

    name: str
    value: str
    where: str
    placeholder: bool = False
    section: str = ""


class Severity(enum.Enum):
    """Severity of a problem."""

    ERROR = "error"
    """Nothing can start with it."""
    DEPENDS = "depends on where it runs"
    """Nothing can start with it here and now: as another user, in another environment it might."""
    WARNING = "warning"
    """It starts, and hardly does what was meant."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or worth a warning.

    Attributes:
        where: as in :class:`Line`, or "" for the configuration as a whole.
        message: what is wrong, what was expected, what to do.
        severity: how much it matters.
    """

    where: str
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class ConfigurationExit(Exception):
    """The configuration says ``exit``.

    Attributes:
        code: the exit code it asks for.
        prints: ``print`` lines before it.
    """

    def __init__(self, code: int, prints: Sequence[str]) -> None:
        super().__init__(f"exit = {code}")
        self.code = code
        self.prints = tuple(prints)
