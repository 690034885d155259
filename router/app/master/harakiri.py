"""Harakiri: a worker whose event loop is stuck writes where it is into the log, is killed and started again."""

import logging
import signal
from typing import Final

from uwsgi_router.router.app.master.beats import Beat
from uwsgi_router.router.app.master.fleet import Fleet
from uwsgi_router.router.app.master.generation import ChildProcess
from uwsgi_router.router.supervision.loop import SelectorLoop
from uwsgi_router.router.supervision.machine import State

log = logging.getLogger("uwsgi-router.harakiri")

# For a process that was sent SIGABRT to write its stacks.
_LAST_WORDS: Final = 1.0


def stuck_for(beat: Beat, now: float) -> float:
    """Return the seconds since a loop has turned; 0.0 if it never has: it is being started."""
    return now - beat.at if beat.at else 0.0


class Harakiri:
    """Watch over the event loops of workers.

    Args:
        loop: waits.
        fleet: whose workers these are.
    """

    def __init__(self, loop: SelectorLoop, fleet: Fleet) -> None:
        self._loop = loop
        self._fleet = fleet
        self._told: set[int] = set()
        self._look_again()

    def _look_again(self) -> None:
        limits = [one.configuration.harakiri for one in self._fleet.generations]
        limit = min((limit for limit in limits if limit), default=0.0)
        # Without a limit, only to see whether a reload has brought one.
        self._loop.call_later(limit / 4 if limit else 1.0, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        for generation in self._fleet.generations:
            limit = generation.configuration.harakiri
            if not limit:
                continue
            for child in generation.running:
                if child.role == "worker" and child.program.machine.state is not State.STARTING:
                    self._look_at(child, limit, now)
        self._look_again()

    def _look_at(self, child: ChildProcess, limit: float, now: float) -> None:
        pid = child.program.pid
        seconds = stuck_for(self._fleet.beats.read(child.beat), now)
        if seconds <= limit + limit / 4 or pid in self._told:
            return
        self._told = {one.program.pid for one in self._fleet.running()} & self._told | {pid}
        log.error(
            "%s (pid %d) is stuck for %.1f s: where it is follows, and it is killed",
            *(child.program.name, pid, seconds),
        )
        # Its handler writes the stacks of all threads, whatever it is doing.
        child.program.signal(signal.SIGABRT)
        self._loop.call_later(_LAST_WORDS, self._insist, child, pid)

    def _insist(self, child: ChildProcess, pid: int) -> None:
        if child.program.pid == pid:
            child.program.kill()
