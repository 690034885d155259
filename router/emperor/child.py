"""Start of a vassal's process: all that happens between fork and exec (uWSGI: ``uwsgi_emperor_spawn_vassal``)."""

import os
import resource
import select
import signal
import socket
import stat
from typing import Final, NoReturn

from uwsgi_router.protocol.emperor import EXILE, VARIABLE
from uwsgi_router.router.emperor import kernel, namespaces
from uwsgi_router.router.emperor.command import VassalLaunch
from uwsgi_router.router.emperor.helper import close_all_but
from uwsgi_router.router.emperor.hooks.actions import HookError, HookExit, run_hooks, run_program
from uwsgi_router.router.emperor.identity import become, limit_capabilities
from uwsgi_router.router.supervision.process import cause_of, fork_child, unblock_signals

#: Exit status of a vassal whose start has failed.
_FAILED: Final = 1
_READY: Final = b"?"
_MAPPED: Final = b"mapped"
_LONGEST_ANSWER: Final = 1024


class _CannotStart(Exception):
    """Error: the process can't be made what it is to be."""


def start_vassal(launch: VassalLaunch, pipe: int, stdin: int | None, output: int | None) -> int:
    """Start a process of a vassal and return its id; where there are no threads.

    It leads a session of its own, dies with the Emperor, and has no other descriptors than these. Why a start fails is
    said on its standard error; it ends with :data:`EXILE` if nothing could be executed, with 1 otherwise.

    Args:
        launch: what it is made of.
        pipe: its end of the pipe for bytes; its number is in ``UWSGI_EMPEROR_FD``.
        stdin: listening socket of an on-demand vassal; None: ``/dev/null``.
        output: its standard output and error; None: the Emperor's.

    Raises:
        OSError: no process can be made; the namespaces are not to be had.
    """
    fork = namespaces.forking_into(launch.namespaces)
    if "user" not in launch.namespaces:
        return fork_child(lambda: _be_vassal(launch, pipe, stdin, output, None), fork)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        number = theirs.fileno()
        pid = fork_child(lambda: _be_vassal(launch, pipe, stdin, output, number), fork)
        theirs.close()
        _map(pid, ours, launch.owner or (os.geteuid(), os.getegid()))
    return pid


def _map(pid: int, sock: socket.socket, owner: tuple[int, int]) -> None:
    """Map a user once the process says that it can be; tell it how that went."""
    try:
        if not sock.recv(1):
            return
        try:
            namespaces.map_user(pid, *owner)
        except OSError as exc:
            text = f"user {owner[0]} and group {owner[1]} can't be root in a user namespace"
            sock.sendall(f"{text}: {exc.strerror}".encode())
        else:
            sock.sendall(_MAPPED)
    except OSError:
        # It is dead; whoever watches it will see that.
        pass


def _be_vassal(
    launch: VassalLaunch, pipe: int, stdin: int | None, output: int | None, mapped: int | None
) -> NoReturn:
    status = _FAILED
    try:
        os.setsid()
        _standard_files(stdin, output)
        close_all_but({pipe} if mapped is None else {pipe, mapped})
        _die_with_emperor(pipe)
        entered = _enter(launch.directory)
        _take_identity(launch, output is not None, mapped)
        if not entered and not _enter(launch.directory):
            raise _CannotStart(f"cannot enter {launch.directory}")
        # A change of user forgets it.
        _die_with_emperor(pipe)
        if launch.open_files is not None:
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (launch.open_files, hard))
        unblock_signals()
        environ = {**launch.environ, VARIABLE: str(pipe)}
        _run_hooks(launch, environ)
        os.set_inheritable(pipe, True)
        status = EXILE
        _execute(launch, environ)
    except HookExit as exc:
        status = exc.status
    except (HookError, _CannotStart) as exc:
        _say(str(exc))
    except OSError as exc:
        _say(f"the vassal can't be started: {exc.strerror or exc}")
    finally:
        os._exit(status)


def _say(text: str) -> None:
    os.write(2, f"[emperor] {text}\n".encode(errors="surrogateescape"))


def _standard_files(stdin: int | None, output: int | None) -> None:
    if output is not None:
        os.dup2(output, 1)
        os.dup2(output, 2)
    if stdin is None:
        nothing = os.open("/dev/null", os.O_RDONLY)
        os.dup2(nothing, 0)
    else:
        os.dup2(stdin, 0)


def _die_with_emperor(pipe: int) -> None:
    kernel.set_parent_death_signal(signal.SIGKILL)
    poll = select.poll()
    poll.register(pipe, 0)
    # In a PID namespace the parent has no number that one could look at.
    if any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0)):
        raise _CannotStart("the Emperor is gone")


def _enter(directory: str) -> bool:
    """Enter a directory; return False if it may be possible once we are somebody else."""
    try:
        os.chdir(directory)
    except PermissionError:
        return False
    except OSError as exc:
        raise _CannotStart(f"cannot enter {directory}: {exc.strerror}") from exc
    return True


def _take_identity(launch: VassalLaunch, piped: bool, mapped: int | None) -> None:
    if mapped is not None:
        # Without, the files in /proc of who has changed its user are root's.
        kernel.make_dumpable()
        os.write(mapped, _READY)
        answer = os.read(mapped, _LONGEST_ANSWER)
        os.close(mapped)
        if answer != _MAPPED:
            raise _CannotStart(answer.decode(errors="replace") or "the Emperor is gone")
    if "fs" in launch.namespaces:
        namespaces.keep_mounts_inside()
    if launch.capabilities is not None:
        try:
            limit_capabilities(launch.capabilities)
        except OSError as exc:
            raise _CannotStart(f"capabilities can't be dropped: {exc.strerror}") from exc
    if mapped is not None:
        with open("/proc/self/setgroups", "rb") as file:
            groups = file.read().strip() == b"allow"
        _become(0, 0, groups=groups)
    elif launch.owner is not None:
        if piped and stat.S_ISFIFO(os.fstat(1).st_mode):
            # Who opens /dev/stdout opens it anew, which takes the right to.
            try:
                os.fchown(1, *launch.owner)
            except PermissionError:
                pass
        _become(*launch.owner)


def _become(uid: int, gid: int, *, groups: bool = True) -> None:
    try:
        become(uid, gid, groups=groups)
    except OSError as exc:
        raise _CannotStart(f"cannot become user {uid}, group {gid}: {exc.strerror}") from exc


def _run_hooks(launch: VassalLaunch, environ: dict[str, str]) -> None:
    if launch.start_hook is not None:
        _say(f"running vassal start-hook: {launch.start_hook} {launch.name}")
        code = run_program([launch.start_hook, launch.name], environ)
        _say(f"{launch.name} start-hook has ended ({cause_of(code)})")
    run_hooks(launch.hooks, "as-vassal", environ, fatal=True, say=_say)


def _execute(launch: VassalLaunch, environ: dict[str, str]) -> None:
    for argv in launch.argvs:
        try:
            os.execvpe(argv[0], list(argv), environ)  # noqa: S606 - no shell is the point
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else exc
            _say(f"cannot execute {argv[0]}: {reason}")
