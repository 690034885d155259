"""Commands of the operator beside signals: over fifos, by touching files, from an Emperor."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from uwsgi_router.router.app.master.fifo import CommandFifo
from uwsgi_router.router.app.master.touch import Stamp, TouchWatch
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.supervision.loop import SelectorLoop

log = logging.getLogger("uwsgi-router.master")


@dataclass(frozen=True, slots=True)
class Deeds:
    """Deeds of a master, each told who asks for it."""

    reload: Callable[[str], object]
    finish: Callable[[str], object]
    stop: Callable[[str], object]
    reopen: Callable[[str], object]
    status: Callable[[str], object]


class Commands:
    """Commands of a configuration.

    Args:
        loop: waits.
        deeds: what can be commanded.
    """

    def __init__(self, loop: SelectorLoop, deeds: Deeds) -> None:
        self._loop = loop
        self._deeds = deeds
        self._fifos: list[CommandFifo] = []
        self._touches: list[TouchWatch] = []

    def take(self, process: ProcessConfig) -> None:
        """Take the commands of a configuration, instead of another one's; none that is given meanwhile is lost."""
        # A fifo keeps letters only as long as somebody has it open.
        fifos, self._fifos = self._fifos, []
        touches, self._touches = self._touches, []
        stamps = {path: stamp for touch in touches for path, stamp in touch.stamps.items()}
        deeds = self._deeds
        letters = {
            "r": deeds.reload,
            "R": deeds.reload,
            "q": deeds.finish,
            "Q": deeds.stop,
            "l": deeds.reopen,
            "s": deeds.status,
        }
        for path in process.master_fifo:
            try:
                self._fifos.append(CommandFifo(path, self._loop, letters))
            except OSError as exc:
                log.error("master-fifo = %s: %s", path, exc.strerror)  # noqa: TRY400 - one line
        for paths, deed in (
            (process.touch_reload, deeds.reload),
            (process.touch_logreopen, deeds.reopen),
        ):
            self._touches.append(self._watch(paths, deed, stamps))
        _close(fifos, touches)

    def _watch(
        self, paths: tuple[str, ...], deed: Callable[[str], object], stamps: Mapping[str, Stamp]
    ) -> TouchWatch:
        return TouchWatch(paths, self._loop, lambda path: deed(f"{path} was touched"), stamps)

    def close(self) -> None:
        """Take no more."""
        _close(self._fifos, self._touches)
        self._fifos, self._touches = [], []


def _close(fifos: list[CommandFifo], touches: list[TouchWatch]) -> None:
    for fifo in fifos:
        fifo.close()
    for touch in touches:
        touch.close()
