"""Files that root opens, perhaps in directories of other users, whose links it does not follow; files given away.

Whoever may write into a directory can put a link there, or in the place of a directory below it, and have root write
to, read, or give away any file. So root goes through a path one directory at a time, and follows a link only where
nobody but root could have made it. Without root's rights the kernel's checks are enough.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS: Final = 40
_OTHERS_WRITE: Final = 0o022
#: Mode of new files: others have no business in them.
PRIVATE: Final = 0o640


def open_file(path: str, flags: int, mode: int = PRIVATE) -> int:
    """Open a file as ``os.open`` does; as root, follow no link that somebody else could have made.

    Args:
        path: of the file.
        flags: as for ``os.open``.
        mode: likewise.

    Raises:
        OSError: it can't be opened, or is not the one that was meant.
    """
    flags |= os.O_CLOEXEC | os.O_NOCTTY
    if os.geteuid() != 0:
        return os.open(path, flags, mode)
    with place_of(path) as (directory, name):
        if _is_process_link(directory):
            return os.open(name, flags, mode, dir_fd=directory)
        descriptor = os.open(name, flags | os.O_NOFOLLOW, mode, dir_fd=directory)
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1 and not _is_roots(directory):
            os.close(descriptor)
            raise OSError(errno.EMLINK, "it has another name, in a directory that others may write")
        return descriptor


@contextmanager
def place_of(path: str) -> Iterator[tuple[int, str]]:
    """Lend an open directory and a name in it that stand for ``path``, and lead nowhere else afterwards.

    Raises:
        OSError: there is no such directory, or a link on the way could be somebody else's.
    """
    directory, name = _walk(path)
    try:
        yield directory, name
    finally:
        os.close(directory)


def give(descriptor: int, uid: int, gid: int | None) -> None:
    """Give a file, or a directory, of root's to the service's user.

    What is no file, belongs to a third user, or has several names is left alone.

    Raises:
        OSError: if that fails.
    """
    status = os.fstat(descriptor)
    one_name = stat.S_ISDIR(status.st_mode) or (
        stat.S_ISREG(status.st_mode) and status.st_nlink == 1
    )
    if one_name and status.st_uid in (0, uid):
        os.fchown(descriptor, uid, -1 if gid is None else gid)


def _walk(path: str) -> tuple[int, str]:
    """Return an open directory and a name in it; the name is no link, unless it is one of /proc."""
    parts = deque(os.path.join(os.getcwd(), path).split("/"))
    directory = os.open("/", _DIRECTORY)
    links = 0
    try:
        while True:
            part = parts.popleft()
            if part in ("", ".") and parts:
                continue
            try:
                mode = os.lstat(part, dir_fd=directory).st_mode if part else 0
            except FileNotFoundError:
                if parts:
                    raise
                return directory, part
            if stat.S_ISLNK(mode) and (parts or not _is_process_link(directory)):
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if not _is_roots(directory):
                    raise OSError(
                        errno.ELOOP, "a symbolic link that others than root may have made"
                    )
                target = os.readlink(part, dir_fd=directory)
                parts.extendleft(reversed(target.split("/")))
                if target.startswith("/"):
                    directory = _enter(directory, "/")
            elif parts:
                directory = _enter(directory, part)
            else:
                return directory, part
    except BaseException:
        os.close(directory)
        raise


def _enter(directory: int, name: str) -> int:
    """Return the directory ``name`` in ``directory``, which is closed."""
    entered = os.open(name, _DIRECTORY, dir_fd=directory)
    os.close(directory)
    return entered


def _is_roots(directory: int) -> bool:
    """Return True if only root may write there, or this process is not root's: the kernel says what it may do."""
    if os.geteuid() != 0:
        return True
    status = os.fstat(directory)
    return status.st_uid == 0 and not status.st_mode & _OTHERS_WRITE


def _is_process_link(directory: int) -> bool:
    """Return True below /proc, where links (/dev/stdout) are the kernel's, and lead to what has no path."""
    try:
        return os.fstat(directory).st_dev == os.stat("/proc").st_dev
    except OSError:
        return False
