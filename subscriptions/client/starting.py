"""Start of a child process: its end with its parent's, and the error for a program that does not run."""

import signal
from collections.abc import Callable
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
