"""End of a process in words, for logs: its exit code, or the signal that ended it and what that usually means."""

import signal
from typing import Final

# As shells have them.
_CODES: Final = {126: "it can't be run", 127: "the program is not there"}
_SIGNALS: Final[dict[int, str]] = {
    signal.SIGKILL: "killed by somebody, or by the kernel because memory ran out",
    signal.SIGTERM: "terminated",
    signal.SIGINT: "interrupted",
    signal.SIGSEGV: "a fault in compiled code",
    signal.SIGABRT: "it aborted itself",
    signal.SIGBUS: "a fault in compiled code, or a truncated file",
    signal.SIGPIPE: "nobody read what it wrote",
}


def cause_of(code: int) -> str:
    """Return by what a process has ended.

    Args:
        code: as of :func:`os.waitstatus_to_exitcode`: negative is the signal that ended it.
    """
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code}, {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def in_words(code: int) -> str:
    """Return how a process ended, and what that usually means.

    Args:
        code: as for :func:`cause_of`.
    """
    meaning = _CODES.get(code) if code >= 0 else _SIGNALS.get(-code)
    about = "" if meaning is None else f": {meaning}"
    return f"ended {'with' if code >= 0 else 'by'} {cause_of(code)}{about}"
