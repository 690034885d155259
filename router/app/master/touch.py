"""Watch over files whose touch is a command (``touch-reload``, ``touch-logreopen``)."""

import os
from collections.abc import Callable, Sequence
from typing import Final

from uwsgi_router.router.supervision.loop import SelectorLoop, Timer

#: Seconds between two looks.
INTERVAL: Final = 1.0


class TouchWatch:
    """Watch over some files.

    Args:
        paths: of the files; absent ones are waited for.
        loop: has timers.
        touched: called with the path of one that was touched, or put in place.
        interval: seconds between two looks.
    """

    def __init__(
        self,
        paths: Sequence[str],
        loop: SelectorLoop,
        touched: Callable[[str], object],
        interval: float = INTERVAL,
    ) -> None:
        self._loop = loop
        self._touched = touched
        self._interval = interval
        self._stamps = {path: _stamp(path) for path in map(os.path.abspath, paths)}
        self._timer: Timer | None = None
        if self._stamps:
            self._timer = loop.call_later(interval, self._look)

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._interval, self._look)
        for path, before in list(self._stamps.items()):
            now = _stamp(path)
            # Whoever writes a file anew may have removed it for a moment.
            if now is not None and now != before:
                self._stamps[path] = now
                self._touched(path)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
