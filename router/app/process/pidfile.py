"""Pid file: written atomically, removed at exit if it is still ours."""

import os

from uwsgi_router.router.config.errors import StartError


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
        fresh = f"{self._path}.{os.getpid()}"
        try:
            # Exclusively: root's pid file in /tmp must not follow somebody's link.
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except PermissionError:
            if not os.path.exists(self._path):
                raise
            # A file made for us in a directory of root: it can only be written in place.
            with open(self._path, "r+b") as file:
                file.write(self._content)
                file.truncate()
            return
        with open(descriptor, "wb") as file:
            file.write(self._content)
        os.replace(fresh, self._path)

    def remove(self) -> None:
        """Remove it, unless another process wrote its own id meanwhile or we no longer may."""
        try:
            with open(self._path, "rb") as file:
                ours = file.read() == self._content
            if ours:
                os.unlink(self._path)
        except OSError:
            pass
