"""Directories of running supervisors: a private one for sockets, and the one where their control sockets are found."""

import os
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping
from typing import Final

_NAME: Final = "uwsgi-router"
_PREFIX: Final = "serve-"
_SUFFIX: Final = ".sock"


def private_directory(environ: Mapping[str, str], *, shared: bool) -> str:
    """Make a directory for sockets.

    Args:
        environ: XDG_RUNTIME_DIR or TMPDIR name its parent.
        shared: copies that run as other users have to reach it, too.

    Raises:
        OSError: it can't be made.
    """
    parents = [environ.get("XDG_RUNTIME_DIR"), "/run" if os.geteuid() == 0 else None]
    for parent in parents:
        # A path of a UNIX socket has up to 107 bytes.
        if parent and len(parent) < 50 and os.access(parent, os.W_OK | os.X_OK):
            break
    else:
        parent = None
    made = tempfile.mkdtemp(prefix=f"{_NAME}-", dir=parent)
    if shared:
        os.chmod(made, 0o711)  # noqa: S103 - entered, not listed
    return made


def control_directories(environ: Mapping[str, str]) -> list[str]:
    """Return where control sockets of our user may lie, the first one that can be made is used."""
    found = []
    if os.geteuid() == 0:
        found.append(f"/run/{_NAME}")
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime:
        found.append(os.path.join(runtime, _NAME))
    found.append(os.path.join(tempfile.gettempdir(), f"{_NAME}-{os.geteuid()}"))
    return found


def new_control_path(environ: Mapping[str, str], pid: int) -> str | None:
    """Return the path of a new control socket; None: there is no directory for it.

    Sockets of supervisors that were killed are removed there.
    """
    for directory in control_directories(environ):
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
        except OSError:
            continue
        if _is_ours(directory) and os.access(directory, os.W_OK):
            remove_stale(directory)
            return os.path.join(directory, f"{_PREFIX}{pid}{_SUFFIX}")
    return None


def control_path_of(environ: Mapping[str, str], pid: int) -> str | None:
    """Return the path of the control socket of a supervisor; None: it is not where we look."""
    for directory in control_directories(environ):
        path = os.path.join(directory, f"{_PREFIX}{pid}{_SUFFIX}")
        if _is_ours(directory) and os.path.exists(path):
            return path
    return None


def control_paths(environ: Mapping[str, str]) -> list[str]:
    """Return the paths of all control sockets that somebody listens on."""
    return sorted({path for one in control_directories(environ) for path in _sockets(one)})


def _sockets(directory: str) -> Iterator[str]:
    if not _is_ours(directory):
        return
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if name.startswith(_PREFIX) and name.endswith(_SUFFIX) and _is_open(path):
            yield path


def remove_stale(directory: str) -> None:
    """Remove the sockets of supervisors that have ended without doing so: nobody listens on them."""
    for name in os.listdir(directory):
        pid = name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
        if name != f"{_PREFIX}{pid}{_SUFFIX}" or not pid.isdecimal():
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
