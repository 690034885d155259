"""Launch of this program: how it was started, to be started again so, as itself or in another role."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

#: Variables that name an inherited descriptor: of a child's assignment, of a master's state. Options begin with UWSGI_.
CHILD: Final = "_UWSGI_ROUTER_CHILD"
STATE: Final = "_UWSGI_ROUTER_STATE"


@dataclass(frozen=True, slots=True)
class Launch:
    """Launch: program, arguments, environment and directory.

    Attributes:
        program: the interpreter with its options and the script, as it was called.
        arguments: behind it.
        environ: as it was at the start.
        directory: working directory at the start.
        umask: mask of files at the start.
    """

    program: tuple[str, ...]
    arguments: tuple[str, ...]
    environ: Mapping[str, str]
    directory: str
    umask: int

    @classmethod
    def of_this_process(cls, arguments: Sequence[str]) -> "Launch":
        """Return how this process was started; to be asked before anything is changed.

        Args:
            arguments: of the command, without the program.
        """
        words, given = list(sys.orig_argv), list(arguments)
        count = len(words) - len(given)
        if count > 0 and words[count:] == given:
            program = [sys.executable or words[0], *words[1:count]]
        else:
            # Called by another program.
            program = [sys.executable, "-m", "uwsgi_router"]
        umask = os.umask(0)
        os.umask(umask)
        return cls(tuple(program), tuple(given), dict(os.environ), _directory(), umask)

    def argv(self, arguments: Sequence[str] | None = None) -> list[str]:
        """Return the command line; with other arguments, if some are given."""
        return [*self.program, *(self.arguments if arguments is None else arguments)]

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment, with more variables."""
        return {**self.environ, **more}


def _directory() -> str:
    """Return the working directory by the name that it was entered by: what a link names may change until a reload."""
    named = os.environ.get("PWD", "")
    try:
        if os.path.isabs(named) and os.path.samefile(named, "."):
            return named
    except OSError:
        pass
    return os.getcwd()


def taken_descriptor(name: str) -> int | None:
    """Take a variable with the number of a descriptor out of the environment; None: there is none."""
    text = os.environ.pop(name, "")
    if not (text.isascii() and text.isdigit()):
        return None
    return int(text)
