"""Trial load of ``use-code-string`` in a child process, as the user that the router becomes."""

import os
import select
import signal
import sys
from collections.abc import Iterator

from uwsgi_router.router.app.process.identity import ProcessIdentity
from uwsgi_router.router.app.process.privileges import drop
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import CodeString, Configuration

#: Time that the code has, seconds.
PATIENCE = 30.0
_READ = 65_536


def load_problems(
    configuration: Configuration, who: ProcessIdentity, patience: float = PATIENCE
) -> Iterator[str]:
    """Yield a line for each function that can't be had.

    Args:
        configuration: read already.
        who: the router becomes; only root becomes somebody else.
        patience: time for each file, seconds.
    """
    for router in configuration.routers:
        code = router.use_code_string
        if isinstance(code, CodeString):
            problem = _try(code, configuration.process.chdir, who, patience)
            if problem:
                yield f"{router.kind}-use-code-string = {code}: {problem}"


def _try(code: CodeString, chdir: str | None, who: ProcessIdentity, patience: float) -> str:
    """Load a function in a child; return what is wrong, or an empty text."""
    # A fork, as no loop and no thread is there yet: what the code does to its process ends with it.
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _load_and_exit(code, chdir, who, theirs)
    os.close(theirs)
    said, timed_out = b"", False
    with open(ours, "rb", buffering=0) as pipe:
        while not timed_out:
            timed_out = not select.select([pipe], [], [], patience)[0]
            part = b"" if timed_out else pipe.read(_READ)
            if not part:
                break
            said += part
    if timed_out:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if timed_out:
        return f"it was not loaded within {patience:g} s"
    if said or status == 0:
        return said.decode(errors="replace")
    return f"the process that loaded it ended with status {status}"


def _load_and_exit(code: CodeString, chdir: str | None, who: ProcessIdentity, pipe: int) -> None:
    status = 1
    try:
        # What the code prints is not for the reader of our report.
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        sys.stdout = sys.stderr = open(null, "w", closefd=False)  # noqa: SIM115
        os.write(pipe, _refusal(code, chdir, who).encode())
        status = 0
    finally:
        # Without the exit handlers, which are the parent's.
        os._exit(status)


def _refusal(code: CodeString, chdir: str | None, who: ProcessIdentity) -> str:
    # Only here: what loads code is not needed to judge a configuration without it.
    from uwsgi_router.router.routing.code_file import CodeError, CodeFile  # noqa: PLC0415

    try:
        # In the order of the start.
        if who != ProcessIdentity(None, None):
            drop(who)
        if chdir is not None:
            os.chdir(chdir)
        CodeFile(code)
    except (StartError, CodeError) as error:
        return str(error)
    except OSError as error:
        return f"{error.filename or ''}: {error.strerror}"
    return ""
