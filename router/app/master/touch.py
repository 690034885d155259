"""Watch over files whose touch is a command (``touch-reload``, ``touch-logreopen``)."""

import os
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from uwsgi_router.router.supervision.loop import SelectorLoop, Timer

#: Seconds between two looks.
INTERVAL: Final = 1.0

#: Time of the last change, nanoseconds, and inode; None: the file is not there.
Stamp = tuple[int, int] | None
NOTHING_SEEN: Final[Mapping[str, Stamp]] = MappingProxyType({})


class TouchWatch:
    """Watch over some files.

    Args:
        paths: of the files; absent ones are waited for.
        loop: has timers.
        touched: called with the path of one that was touched, or put in place.
        stamps: of files that others have watched before, as they have seen them last.
        interval: seconds between two looks.

    Attributes:
        stamps: of the files, as they were seen last.
    """

    def __init__(
        self,
        paths: Sequence[str],
        loop: SelectorLoop,
        touched: Callable[[str], object],
        stamps: Mapping[str, Stamp] = NOTHING_SEEN,
        interval: float = INTERVAL,
    ) -> None:
        self._loop = loop
        self._touched = touched
        self._interval = interval
        absolute = map(os.path.abspath, paths)
        self.stamps = {path: stamps[path] if path in stamps else _stamp(path) for path in absolute}
        self._timer: Timer | None = None
        if self.stamps:
            self._timer = loop.call_later(interval, self._look)

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._interval, self._look)
        for path, before in list(self.stamps.items()):
            now = _stamp(path)
            # Whoever writes a file anew may have removed it for a moment.
            if now is not None and now != before:
                self.stamps[path] = now
                self._touched(path)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
