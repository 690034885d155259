"""Child process: started with descriptors of its own choice, watched through a pidfd, its end put into words."""

import os
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from uwsgi_router.subscriptions.client.ends import (
    cause_of as cause_of,  # noqa: PLC0414 - for all of this program that watch processes
)

#: Exit status of a child whose program could not be executed, as a shell's.
NOT_EXECUTED: Final = 127
_FORBIDDEN: Final = {signal.SIGKILL, signal.SIGSTOP}


@dataclass(frozen=True, slots=True)
class ChildCommand:
    """ChildCommand of a child process.

    Attributes:
        argv: the program, looked up in PATH if it has no slash, and its arguments.
        environ: its environment, whole.
        directory: that it starts in; None: ours.
        descriptors: that it inherits under the same numbers, beside the standard ones.
        umask: mask of its files; None: ours.
        prepare: called in the child before the program is executed.
    """

    argv: Sequence[str]
    environ: Mapping[str, str]
    directory: str | None = None
    descriptors: Collection[int] = ()
    umask: int | None = None
    prepare: Callable[[], None] | None = None


def spawn(command: ChildCommand) -> int:
    """Start a child process and return its id; to be called where there are no threads.

    Its signals are those of a fresh process. What can't be executed ends with :data:`NOT_EXECUTED` and one line on
    standard error.

    Raises:
        OSError: no process can be made.
    """
    return fork_child(lambda: _execute(command))


def fork_child(body: Callable[[], object], fork: Callable[[], int] = os.fork) -> int:
    """Call ``body`` in a child process, without handlers of signals, and return its id; where there are no threads.

    When ``body`` returns or raises, the child ends with :data:`NOT_EXECUTED`.

    Args:
        body: called in the child, with all signals blocked.
        fork: makes the process: as ``os.fork``.

    Raises:
        OSError: no process can be made.
    """
    # None may arrive between fork and exec: its handler is ours.
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = fork()
        if not pid:
            _run_child(body)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
    return pid


def fork_watched(body: Callable[[], object]) -> tuple[int, int]:
    """Do as :func:`fork_child`; return the child's id and its pidfd.

    Raises:
        OSError: there is no process, and nothing is left of the attempt.
    """
    pid = fork_child(body)
    return pid, watched(pid)


def watched(pid: int) -> int:
    """Return the pidfd of a new child.

    Raises:
        OSError: there is none, and the child is dead.
    """
    try:
        return os.pidfd_open(pid)
    except OSError:
        # Nobody has waited for it: its number is its own.
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def unblock_signals() -> None:
    """Let signals arrive in a child whose ``body`` takes its time, or executes a program."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _run_child(body: Callable[[], object]) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - _FORBIDDEN:
            if signal.getsignal(number) not in (signal.SIG_DFL, None):
                signal.signal(number, signal.SIG_DFL)
        body()
    except BaseException as exc:  # noqa: BLE001 - nothing of the parent's may run in the child
        os.write(2, f"child process: {exc!r}\n".encode(errors="replace"))
    finally:
        os._exit(NOT_EXECUTED)


def _execute(command: ChildCommand) -> NoReturn:
    what = f"execute {command.argv[0]}"
    try:
        for descriptor in command.descriptors:
            os.set_inheritable(descriptor, True)
        if command.directory is not None:
            what = f"enter {command.directory}"
            os.chdir(command.directory)
        what = f"execute {command.argv[0]}"
        if command.umask is not None:
            os.umask(command.umask)
        if command.prepare is not None:
            command.prepare()
        unblock_signals()
        os.execvpe(command.argv[0], list(command.argv), dict(command.environ))  # noqa: S606 - no shell is the point
    except BaseException as exc:  # noqa: BLE001 - nothing of the parent's may run in the child
        text = exc.strerror if isinstance(exc, OSError) else repr(exc)
        os.write(2, f"cannot {what}: {text}\n".encode(errors="replace"))
    finally:
        os._exit(NOT_EXECUTED)


def reap(pid: int) -> int | None:
    """Return the exit status of a child that has ended (negative: by which signal); None: it has not.

    A child that somebody else has waited for counts as ended with status 0.
    """
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status) if found else None


def reap_strangers(known: Collection[int]) -> None:
    """Reap children that we do not know: as process 1 of a container everybody's orphans are ours.

    Args:
        known: children that are waited for elsewhere.
    """
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = [int(word) for word in file.read().split()]
    except OSError:
        return
    for child in children:
        if child not in known:
            reap(child)
