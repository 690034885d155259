"""UNIX socket files: remove stale ones, set owner and mode, unlink on exit if unchanged."""

import errno
import grp
import os
import pwd
import socket
import stat
from collections.abc import Callable

from uwsgi_router.router.core.files import place_of


class SocketFileError(Exception):
    """Error: the file cannot be used; ``str()`` says why and what to do."""


def make_free(path: bytes, kind: socket.SocketKind) -> None:
    """Remove the socket file that a dead process left at ``path``.

    uWSGI unlinks whatever is there. We take away neither a file that is not a socket nor the socket
    of a living process.

    Args:
        path: where a socket is about to be bound.
        kind: SOCK_STREAM or SOCK_DGRAM, what it will be.

    Raises:
        SocketFileError: if the path is taken.
        OSError: if it cannot be looked at or removed.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketFileError(
            "a file that is not a socket is there; move it away or choose another path"
        )
    with socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)
        reached = probe.connect_ex(path)
    if reached == errno.EACCES:
        raise SocketFileError(
            "a socket of another user is there, and we may not see if it is in use; remove it"
        )
    if reached not in (errno.ECONNREFUSED, errno.ENOENT):
        # Also "again" (its backlog is full) and "wrong type": somebody lives there.
        raise SocketFileError("another process listens there; stop it first")
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def set_access(path: bytes, mode: int | None, owner: str | None, *, option: str = "socket") -> None:
    """Apply ``chmod-socket`` and ``chown-socket`` to a fresh socket file.

    Args:
        path: the file.
        mode: permission bits; None leaves what the umask made.
        owner: ``user[:group]`` or ``:group``, names or numbers; None leaves it.
        option: what both options' names end in, for messages.

    Raises:
        SocketFileError: if a name is unknown or the change is not permitted.
    """
    if owner is not None:
        user, _, group = owner.partition(":")
        try:
            uid = -1 if not user else int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
            gid = -1 if not group else int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
        except KeyError:
            raise SocketFileError(f"chown-{option} = {owner}: no such user or group") from None
        try:
            _change(path, lambda file: os.chown(file, uid, gid))
        except OSError as exc:
            raise SocketFileError(
                f"chown-{option} = {owner}: {exc.strerror}; only root may give files away"
            ) from exc
    if mode is not None:
        try:
            _change(path, lambda file: os.chmod(file, mode))
        except OSError as exc:
            raise SocketFileError(f"chmod-{option} = {mode:o}: {exc.strerror}") from exc


def _change(path: bytes, change: Callable[[str], None]) -> None:
    """Change the socket file at ``path``, and nothing that somebody has put into its place."""
    with place_of(os.fsdecode(path)) as (directory, name):
        held = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISSOCK(os.fstat(held).st_mode):
            raise OSError(errno.ENOTSOCK, "it is no socket any more")
        change(f"/proc/self/fd/{held}")
    finally:
        os.close(held)


class SocketFile:
    """Socket file that we made, known again by device and inode.

    Attributes:
        path: where it is.
        identity: its device and inode.
    """

    def __init__(self, path: bytes) -> None:
        """Remember the file at ``path``, just bound; as an absolute path, because we may chdir."""
        self.path = os.path.abspath(path)
        status = os.lstat(path)
        self.identity = status.st_dev, status.st_ino

    @classmethod
    def remembered(cls, path: bytes, identity: tuple[int, int]) -> "SocketFile":
        """Return one that was made before, by its absolute path and its identity."""
        file = cls.__new__(cls)
        file.path, file.identity = path, identity
        return file

    def remove(self) -> None:
        """Unlink it, unless another process put its own there meanwhile or we no longer may."""
        try:
            if self.is_there():
                os.unlink(self.path)
        except OSError:
            pass

    def is_there(self) -> bool:
        """Return True if it is still the one at its path.

        Raises:
            FileNotFoundError: nothing is there.
            OSError: it can't be looked at.
        """
        status = os.lstat(self.path)
        return (status.st_dev, status.st_ino) == self.identity

    def give_to(self, uid: int, gid: int) -> None:
        """Give it to a user and a group, as far as that is permitted; never what others put into its place."""
        held = os.open(self.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            status = os.fstat(held)
            if (status.st_dev, status.st_ino) != self.identity:
                return
            for owner in ((uid, -1), (-1, gid)):
                try:
                    os.chown(f"/proc/self/fd/{held}", *owner)
                except PermissionError:
                    pass
        finally:
            os.close(held)
