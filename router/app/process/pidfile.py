"""Pid file: written atomically, removed at exit if it is still ours."""

import os
from typing import Final

from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.core.files import open_file, place_of

_MODE: Final = 0o644


class PidFile:
    """Pid file with our process id and a newline."""

    def __init__(self, path: str) -> None:
        """Write it.

        Raises:
            StartError: if it can't be written.
        """
        # Absolute: we may change the directory later.
        self._path = os.path.abspath(path)
        self._content = b"%d\n" % os.getpid()
        try:
            self._write()
        except OSError as exc:
            raise StartError(f"cannot write the pid file {path}: {exc.strerror}") from exc

    def _write(self) -> None:
        with place_of(self._path) as (directory, name):
            fresh = f"{name}.{os.getpid()}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            try:
                # Exclusively: root's pid file in /tmp must not follow somebody's link.
                descriptor = os.open(fresh, flags, dir_fd=directory)
            except PermissionError:
                if not os.path.exists(self._path):
                    raise
                # A file made for us in a directory of root: it can only be written in place.
                with open(open_file(self._path, os.O_RDWR), "r+b") as file:
                    file.write(self._content)
                    file.truncate()
                return
            with open(descriptor, "wb") as file:
                file.write(self._content)
                # Whatever the umask is: others may know who to send a signal to.
                os.fchmod(descriptor, _MODE)
            os.replace(fresh, name, src_dir_fd=directory, dst_dir_fd=directory)

    def remove(self) -> None:
        """Remove it, unless another process wrote its own id meanwhile or we no longer may."""
        try:
            with open(open_file(self._path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                ours = file.read() == self._content
            if ours:
                os.unlink(self._path)
        except OSError:
            pass
