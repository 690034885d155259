"""Notice of changes in directories: inotify(7), which only says that something happened; a look says what."""

import ctypes
import logging
import os
from collections.abc import Iterable
from typing import Final

log = logging.getLogger("uwsgi-router.emperor")

_ATTRIB: Final = 0x4
_CLOSE_WRITE: Final = 0x8
_MOVED: Final = 0x40 | 0x80
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_ONLYDIR: Final = 0x01000000
_MASK: Final = _ATTRIB | _CLOSE_WRITE | _MOVED | _CREATE | _DELETE | _ONLYDIR
_READ: Final = 65_536


class ChangeNotice:
    """Notice of changes; where the kernel has none, a look at intervals has to do.

    Args:
        directories: that are watched.
    """

    def __init__(self, directories: Iterable[str]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            log.info("no inotify (%s): files are looked at in intervals only", _error())
            return
        for directory in directories:
            if libc.inotify_add_watch(self._descriptor, os.fsencode(directory), _MASK) < 0:
                log.info("%s is looked at in intervals only: %s", directory, _error())

    def fileno(self) -> int:
        """Return the descriptor to wait for; -1: there is none."""
        return self._descriptor

    def clear(self) -> None:
        """Take what it says."""
        try:
            while os.read(self._descriptor, _READ):
                pass
        except OSError:
            pass

    def close(self) -> None:
        """Watch no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _error() -> str:
    return os.strerror(ctypes.get_errno())
