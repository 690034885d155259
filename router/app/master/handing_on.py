"""Handing on: the wait for old processes to leave their listeners, after which whoever connects gets a new one."""

from collections.abc import Callable, Iterable
from typing import Final

from uwsgi_router.router.app.master.generation import ChildProcess
from uwsgi_router.router.supervision.loop import SelectorLoop

# A process that does not turn leaves nothing, and is not waited for.
_PATIENCE: Final = 5.0


class HandingOn:
    """Wait for processes to say that they accept nothing more, or to end.

    Args:
        loop: has timers.
        children: that were told.
        done: called once.
    """

    def __init__(
        self,
        loop: SelectorLoop,
        children: Iterable[ChildProcess],
        done: Callable[[], object],
    ) -> None:
        self._waiting = set(children)
        self._done = done
        self._timer = loop.call_later(_PATIENCE if self._waiting else 0.0, self._finish)

    def left(self, child: ChildProcess) -> None:
        """Note that one has left its listeners, or has ended."""
        if child in self._waiting:
            self._waiting.remove(child)
            if not self._waiting:
                self._finish()

    def _finish(self) -> None:
        self._timer.cancel()
        self._waiting.clear()
        done, self._done = self._done, lambda: None
        done()
