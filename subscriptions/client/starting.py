"""Start of a child process: its end with its parent's, and the error for a program that does not run."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

# From <sys/prctl.h>.
_PR_SET_PDEATHSIG: Final = 1

try:
    import ctypes

    _prctl: Callable[..., int] | None = ctypes.CDLL(None).prctl
except (ImportError, OSError, AttributeError):  # a Python without libffi
    _prctl = None


def end_with_us() -> None:
    """Ask the kernel, in the child, to send TERM when the parent ends.

    Who is killed can't withdraw the program; it must not serve on with nobody to tell when it ends.
    """
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


class CannotStart(Exception):
    """Error: the program can't be started.

    Attributes:
        code: the exit code that shells have for it: 127 if it is not there, 126 if it can't be run.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def starting(program: str, cwd: str | None = None) -> Iterator[None]:
    """Say in words, and with a shell's exit code, why a program can't be started inside this block.

    Args:
        program: its name.
        cwd: the directory that it is to start in; None: ours.

    Raises:
        CannotStart: it can't.
    """
    try:
        yield
    except FileNotFoundError as exc:
        if cwd is not None and not os.path.isdir(cwd):
            raise CannotStart(f"there is no directory {cwd}", 126) from exc
        # A script whose interpreter is missing is "not there" too.
        text = f"{program}: no such program, or its interpreter is missing"
        raise CannotStart(text, 127) from exc
    except (OSError, subprocess.SubprocessError) as exc:
        why = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
        raise CannotStart(f"{program} can't be run: {why}", 126) from exc
    except (ValueError, LookupError) as exc:
        raise CannotStart(f"{program!r} can't be run: {exc}", 126) from exc
