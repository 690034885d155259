"""Command fifo (``master-fifo``): a letter for each command, as uWSGI has them (core/fifo.c)."""

import logging
import os
import stat
from collections.abc import Callable, Mapping

from uwsgi_router.router.supervision.loop import SelectorLoop

log = logging.getLogger("uwsgi-router.fifo")

Commands = Mapping[str, Callable[[str], object]]


class CommandFifo:
    """Fifo that takes commands.

    Args:
        path: of it; it is made if it is not there.
        loop: waits.
        commands: by their letters, each told who asks.

    Raises:
        OSError: it can't be made or read; something else is there.
    """

    def __init__(self, path: str, loop: SelectorLoop, commands: Commands) -> None:
        self._path = path
        self._loop = loop
        self._commands = commands
        try:
            os.mkfifo(path, 0o600)
        except FileExistsError:
            pass
        # For writing, too: it has no end when a writer leaves.
        flags = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags)
        if not stat.S_ISFIFO(os.fstat(self._descriptor).st_mode):
            os.close(self._descriptor)
            raise FileExistsError(17, "something that is no fifo is there")
        loop.add_reader(self._descriptor, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, 64)
        except BlockingIOError:
            return
        for letter in data.decode("ascii", "replace"):
            command = self._commands.get(letter)
            if command is not None:
                command(f"{self._path}: {letter}")
            elif not letter.isspace():
                log.warning("%s: there is no command %s", self._path, letter)

    def close(self) -> None:
        """Read no more; the fifo stays."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
