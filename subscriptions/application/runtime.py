"""Directories where the control sockets of running supervisors are found."""

import os
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping
from typing import Final

_NAME: Final = "uwsgi-router"
#: What control sockets of supervisors begin with, and those of Emperors.
SUPERVISOR: Final = "serve"
EMPEROR: Final = "emperor"
_SUFFIX: Final = ".sock"


def control_directories(environ: Mapping[str, str]) -> list[str]:
    """Return where control sockets of our user may lie, the first one that can be made is used."""
    found = []
    if os.geteuid() == 0:
        found.append(f"/run/{_NAME}")
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime:
        found.append(os.path.join(runtime, _NAME))
    try:
        found.append(os.path.join(tempfile.gettempdir(), f"{_NAME}-{os.geteuid()}"))
    except FileNotFoundError:
        # Nothing may be written anywhere.
        pass
    return found


def new_control_path(environ: Mapping[str, str], pid: int, program: str = SUPERVISOR) -> str | None:
    """Return the path of a new control socket; None: there is no directory for it.

    Sockets of supervisors that were killed are removed there.
    """
    for directory in control_directories(environ):
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
        except OSError:
            continue
        if _is_ours(directory) and os.access(directory, os.W_OK):
            remove_stale(directory, program)
            return os.path.join(directory, f"{program}-{pid}{_SUFFIX}")
    return None


def control_path_of(environ: Mapping[str, str], pid: int) -> str | None:
    """Return the path of the control socket of a supervisor; None: it is not where we look."""
    for directory in control_directories(environ):
        path = os.path.join(directory, f"{SUPERVISOR}-{pid}{_SUFFIX}")
        if _is_ours(directory) and os.path.exists(path):
            return path
    return None


def control_paths(environ: Mapping[str, str], program: str = SUPERVISOR) -> list[str]:
    """Return the paths of all control sockets of a sort of program that somebody listens on."""
    directories = control_directories(environ)
    return sorted({path for one in directories for path in _sockets(one, program)})


def _sockets(directory: str, program: str) -> Iterator[str]:
    if not _is_ours(directory):
        return
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if name.startswith(f"{program}-") and name.endswith(_SUFFIX) and _is_open(path):
            yield path


def remove_stale(directory: str, program: str = SUPERVISOR) -> None:
    """Remove the sockets of programs of a sort that have ended without doing so: nobody listens on them."""
    prefix = f"{program}-"
    for name in os.listdir(directory):
        pid = name.removeprefix(prefix).removesuffix(_SUFFIX)
        if name != f"{prefix}{pid}{_SUFFIX}" or not pid.isdecimal():
            continue
        path = os.path.join(directory, name)
        # Who has a process may be about to listen.
        if not os.path.exists(f"/proc/{pid}") and _is_refused(path):
            try:
                os.unlink(path)
            except OSError:
                # Another one has been faster.
                pass


def _is_refused(path: str) -> bool:
    """Return True for a socket that nobody listens on."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except OSError:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        # Who is stopped, and has as many clients as wait at most, is there all the same.
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
        return False


def _is_ours(directory: str) -> bool:
    """Return False for a directory that somebody else may have put there."""
    try:
        found = os.lstat(directory)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _is_open(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def private_listener(path: str, backlog: int) -> socket.socket:
    """Return a socket that listens at a path, and that only our user may connect to; one that nobody has is replaced.

    Raises:
        OSError: it can't listen there.
    """
    _make_room(path)
    made = socket.socket(socket.AF_UNIX)
    try:
        before = os.umask(0o177)
        try:
            made.bind(path)
        finally:
            os.umask(before)
        made.listen(backlog)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


def _make_room(path: str) -> None:
    """Remove a socket that nobody listens on.

    Raises:
        OSError: somebody does, or it is something else.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(f"{path} is there, and no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as exc:
            raise OSError(f"{path}: {exc.strerror or exc}") from exc
    raise FileExistsError(f"somebody listens at {path}")
