"""Launch of this program: how it was started, to be started again so, as itself or in another role."""

import os
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from uwsgi_router.router.app.process.own_program import own_program

#: Variables that name an inherited descriptor: of a child's assignment, of a master's state. Options begin with UWSGI_.
CHILD: Final = "_UWSGI_ROUTER_CHILD"
STATE: Final = "_UWSGI_ROUTER_STATE"
#: Variable with the soft limit of open files at the start of the first process, which raises its own.
OPEN_FILES: Final = "_UWSGI_ROUTER_OPEN_FILES"


@dataclass(frozen=True, slots=True)
class Launch:
    """Launch: program, arguments, environment and directory.

    Attributes:
        program: the interpreter with its options and the script, as it was called.
        arguments: behind it.
        environ: as it was at the start.
        directory: working directory at the start.
        umask: mask of files at the start.
        open_files: soft limit of descriptors at the start of the first process.
    """

    program: tuple[str, ...]
    arguments: tuple[str, ...]
    environ: Mapping[str, str]
    directory: str
    umask: int
    open_files: int

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
            program = own_program()
        umask = os.umask(0)
        os.umask(umask)
        environ = dict(os.environ)
        return cls(tuple(program), tuple(given), environ, _directory(), umask, _open_files(environ))

    def argv(self, arguments: Sequence[str] | None = None) -> list[str]:
        """Return the command line; with other arguments, if some are given."""
        return [*self.program, *(self.arguments if arguments is None else arguments)]

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment, with more variables."""
        return {**self.environ, OPEN_FILES: str(self.open_files), **more}


def _directory() -> str:
    """Return the working directory by the name that it was entered by: what a link names may change until a reload."""
    named = os.environ.get("PWD", "")
    try:
        if os.path.isabs(named) and os.path.samefile(named, "."):
            return named
    except OSError:
        pass
    return os.getcwd()


def _open_files(environ: Mapping[str, str]) -> int:
    """Return the soft limit of descriptors, as it was before one of this program's processes has raised it."""
    try:
        return int(environ.get(OPEN_FILES, ""))
    except ValueError:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def taken_descriptor(name: str) -> int | None:
    """Take a variable with the number of a descriptor out of the environment; None: there is none."""
    text = os.environ.pop(name, "")
    if not (text.isascii() and text.isdigit()):
        return None
    return int(text)
