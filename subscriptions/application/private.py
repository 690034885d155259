"""Private directory of a supervisor, for sockets: locked while somebody uses it, removed by others once nobody does.

The lock is one of the directory itself (flock(2)). The router holds it, too: it finishes requests after a supervisor
that was killed.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping
from typing import Final

# Nothing else may be named so: whatever is, and is not locked, is removed.
_PREFIX: Final = "uwsgi-serve-"
# Random characters that tempfile puts behind it.
_RANDOM: Final = 8
# A path of a UNIX socket has up to 107 bytes.
_LONGEST_PARENT: Final = 50
_TRIES: Final = 10


class PrivateDirectory:
    """Directory of one supervisor.

    Attributes:
        path: of it.
        lock: descriptor that holds the lock; -1: the file system knows none.
    """

    def __init__(self, path: str, lock: int) -> None:
        self.path = path
        self.lock = lock

    @classmethod
    def make(cls, environ: Mapping[str, str], *, shared: bool) -> "PrivateDirectory":
        """Make one, and remove those beside it that nobody uses any more.

        Args:
            environ: XDG_RUNTIME_DIR or TMPDIR name its parent.
            shared: copies that run as other users have to reach it, too.

        Raises:
            OSError: it can't be made.
        """
        parent = _parent(environ)
        remove_left(parent)
        for _ in range(_TRIES):
            path = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
            try:
                lock = _locked(path)
            except (BlockingIOError, FileNotFoundError):
                # Another start has taken it for one that nobody uses.
                continue
            except OSError:
                lock = -1
            if shared:
                os.chmod(path, 0o711)  # noqa: S103 - entered, not listed
            return cls(path, lock)
        raise FileNotFoundError(f"{parent}/{_PREFIX}… is removed again and again")

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.lock >= 0:
            os.close(self.lock)


def remove_left(parent: str) -> None:
    """Remove the directories of our user that nobody has locked."""
    try:
        names = os.listdir(parent)
    except OSError:
        # We may enter it, not list it.
        return
    for name in names:
        if not name.startswith(_PREFIX) or len(name) != len(_PREFIX) + _RANDOM:
            continue
        path = os.path.join(parent, name)
        try:
            lock = _locked(path)
        except OSError:
            # It is in use, somebody else's, or no directory.
            continue
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _parent(environ: Mapping[str, str]) -> str:
    for one in (environ.get("XDG_RUNTIME_DIR"), "/run" if os.geteuid() == 0 else None):
        if one and len(one) < _LONGEST_PARENT and os.access(one, os.W_OK | os.X_OK):
            return one
    return tempfile.gettempdir()


def _locked(path: str) -> int:
    """Return a descriptor of a directory of ours that holds its lock.

    Raises:
        BlockingIOError: somebody else holds it.
        FileNotFoundError: it has been removed.
        OSError: it is not ours, no directory, or can't be locked.
    """
    # A link is not followed.
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(lock).st_uid != os.geteuid():
            raise PermissionError(f"{path} is somebody else's")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who held it before may have removed it.
        if not os.path.samestat(os.fstat(lock), os.lstat(path)):
            raise FileNotFoundError(f"{path} is another one now")
    except BaseException:
        os.close(lock)
        raise
    return lock
