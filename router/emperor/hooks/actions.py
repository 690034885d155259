"""Actions of hooks, carried out in the process that calls (uWSGI: core/hooks.c, core/mount.c)."""

import errno
import grp
import os
import pwd
import re
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from uwsgi_router.protocol.address import UnixAddress, parse_address
from uwsgi_router.router.config.hook_values import RECURSIVE, Hook, read_mount, read_umount
from uwsgi_router.router.emperor import kernel
from uwsgi_router.router.supervision.process import ChildCommand, cause_of, spawn

_SHELL: Final = "/bin/sh"
#: Seconds that a file, a directory or a socket is waited for, and between two looks.
PATIENCE: Final = 60.0
_PAUSE: Final = 0.05
_CONNECT: Final = 1.0
_NEW_FILE: Final = 0o666
_NEW_DIRECTORY: Final = 0o777
# Blanks and the like in /proc/self/mounts.
_ESCAPE: Final = re.compile(rb"\\([0-3][0-7]{2})")

Environment = dict[str, str]


class HookError(Exception):
    """Error: an action has failed; ``str()`` says how."""


class HookExit(Exception):
    """Action ``exit``: the process ends.

    Attributes:
        status: its exit status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def run_hooks(
    hooks: Iterable[Hook],
    phase: str,
    environ: Environment,
    *,
    fatal: bool,
    say: Callable[[str], object],
    patience: float = PATIENCE,
) -> None:
    """Do what hooks say, one after the other.

    Args:
        hooks: in their order.
        phase: for the log.
        environ: of the commands that are run; ``putenv`` changes it.
        fatal: the first one that fails is the last one.
        say: takes a line for the log.
        patience: seconds that ``wait_for_…`` waits.

    Raises:
        HookError: one has failed and that is fatal.
        HookExit: one says that the process ends.
    """
    for hook in hooks:
        say(f'running "{hook}" ({phase})...')
        try:
            perform(hook, environ, say, patience)
        except (HookError, OSError) as exc:
            reason = (exc.strerror or str(exc)) if isinstance(exc, OSError) else str(exc)
            text = f'hook "{hook}" ({phase}) has failed: {reason}'
            if fatal:
                raise HookError(text) from None
            say(text)


def perform(
    hook: Hook, environ: Environment, say: Callable[[str], object], patience: float = PATIENCE
) -> None:
    """Do what one hook says; see :func:`run_hooks`.

    Raises:
        HookError: it has failed.
        OSError: the system refuses.
        HookExit: the process is to end.
    """
    argument = hook.argument
    match hook.action:
        case "exec" | "safeexec":
            code = run_program([_SHELL, "-c", argument], environ)
            if code:
                text = f"the command has ended ({cause_of(code)})"
                if hook.action == "exec":
                    raise HookError(text)
                say(text)
        case "putenv":
            name, _, value = argument.partition("=")
            environ[name] = value
        case "print":
            say(argument)
        case "exit":
            raise HookExit(int(argument or 0))
        case "wait_for_fs" | "wait_for_file" | "wait_for_dir" | "wait_for_socket":
            _wait(hook, patience)
        case action:
            _ACTIONS[action](argument)


def run_program(
    argv: Sequence[str], environ: Mapping[str, str], *, directory: str | None = None
) -> int:
    """Run a program to its end; it dies with us. Return its exit status (negative: the signal)."""
    command = ChildCommand(
        argv,
        environ,
        directory,
        prepare=lambda: kernel.set_parent_death_signal(signal.SIGKILL),
    )
    _pid, status = os.waitpid(spawn(command), 0)
    return os.waitstatus_to_exitcode(status)


# --- files ---


def _two(argument: str) -> tuple[str, str]:
    file, _, rest = argument.partition(" ")
    return file, rest


def _put(path: str, text: str, flags: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, _NEW_FILE)
    try:
        data = os.fsencode(text)
        if os.write(descriptor, data) != len(data):
            raise HookError("not all of it could be written")
    finally:
        os.close(descriptor)


def _write(argument: str, *, end: str = "", flags: int = os.O_CREAT | os.O_TRUNC) -> None:
    file, text = _two(argument)
    _put(file, text + end, flags)


def _write_fifo(argument: str) -> None:
    try:
        _write(argument, flags=os.O_NONBLOCK)
    except OSError as exc:
        # Nobody reads it.
        if exc.errno not in (errno.ENXIO, errno.ENODEV):
            raise


def _spin_fifo(argument: str) -> None:
    while True:
        try:
            _write(argument, flags=os.O_NONBLOCK)
        except OSError as exc:
            if exc.errno not in (errno.ENXIO, errno.ENODEV, errno.ENOENT):
                raise
            time.sleep(_PAUSE)
        else:
            return


def _create(argument: str) -> None:
    _put(argument, "", os.O_CREAT | os.O_TRUNC)


def _chmod(argument: str) -> None:
    file, mode = _two(argument)
    os.chmod(file, int(mode, 8))


def _sticky(argument: str) -> None:
    os.chmod(argument, stat.S_IMODE(os.stat(argument).st_mode) | stat.S_ISVTX)


def _chown(argument: str) -> None:
    file, user, group = argument.split(" ", 2)
    try:
        uid, gid = pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid
    except KeyError as exc:
        raise HookError(str(exc.args[0])) from None
    os.chown(file, uid, gid)


def _chown_numbers(argument: str) -> None:
    file, uid, gid = argument.split(" ", 2)
    os.chown(file, int(uid), int(gid))


# --- mounts ---


def _mount(argument: str) -> None:
    what = read_mount(argument)
    kernel.mount(what.source, what.target, what.kind, what.flags, what.data)


def _umount(argument: str) -> None:
    target, flags = read_umount(argument)
    if flags & RECURSIVE:
        flags &= ~RECURSIVE
        # The last one first: it may lie on another.
        for below in reversed(_mounts_below(target)):
            kernel.umount(below, flags)
    kernel.umount(target, flags)


def _mounts_below(path: str) -> list[str]:
    """Return where something is mounted below a path, in the order of mounting."""
    with open("/proc/self/mounts", "rb") as file:
        targets = [line.split(b" ")[1] for line in file]
    prefix = os.path.normpath(path).rstrip("/") + "/"
    found = [os.fsdecode(_ESCAPE.sub(_escaped, target)) for target in targets]
    return [target for target in found if target.startswith(prefix)]


def _escaped(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8)])


# --- waiting ---


def _wait(hook: Hook, patience: float) -> None:
    there = _WAITED_FOR[hook.action]
    until = time.monotonic() + patience
    while not there(hook.argument):
        if time.monotonic() > until:
            raise HookError(f"{hook.argument} is not there after {patience:g} s")
        time.sleep(_PAUSE)


def _accepts(text: str) -> bool:
    try:
        for family, where in _targets(text):
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.settimeout(_CONNECT)
                if not sock.connect_ex(where):
                    return True
    except OSError:
        pass
    return False


def _targets(text: str) -> list[tuple[int, Any]]:
    """Return family and socket address of all that an address stands for."""
    address = parse_address(text)
    if isinstance(address, UnixAddress):
        return [(socket.AF_UNIX, address.path)]
    # Bytes: the codec for names would be read from where this user may not look.
    host = (address.host or "127.0.0.1").encode()
    found = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM)
    return [(family, where) for family, _, _, _, where in found]


_WAITED_FOR: Final[Mapping[str, Callable[[str], bool]]] = {
    "wait_for_fs": os.path.exists,
    "wait_for_file": os.path.isfile,
    "wait_for_dir": os.path.isdir,
    "wait_for_socket": _accepts,
}

_APPEND: Final = os.O_CREAT | os.O_APPEND
_ACTIONS: Final[Mapping[str, Callable[[str], object]]] = {
    "append": lambda argument: _write(argument, flags=_APPEND),
    "appendn": lambda argument: _write(argument, end="\n", flags=_APPEND),
    "chdir": os.chdir,
    "chmod": _chmod,
    "chown": _chown,
    "chown2": _chown_numbers,
    "create": _create,
    "hostname": socket.sethostname,
    "mkdir": lambda argument: os.mkdir(argument, _NEW_DIRECTORY),
    "mount": _mount,
    "spinningfifo": _spin_fifo,
    "sticky": _sticky,
    "umount": _umount,
    "unlink": os.unlink,
    "write": _write,
    "writefifo": _write_fifo,
    "writen": lambda argument: _write(argument, end="\n"),
}
