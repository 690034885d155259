"""Service manager (systemd) of a master: what it is told at the turns of its life, and while it serves."""

import logging
from collections.abc import MutableMapping
from typing import Final

from uwsgi_router.router.app.master.fleet import Fleet
from uwsgi_router.router.app.master.harakiri import stuck_for
from uwsgi_router.router.net.activation import SystemdNotifier
from uwsgi_router.router.supervision.loop import SelectorLoop

log = logging.getLogger("uwsgi-router.systemd")

#: Seconds between two lines for ``systemctl status``.
STATUS: Final = 5.0


def watchdog_seconds(environ: MutableMapping[str, str], pid: int) -> float:
    """Take out of the environment how long the service manager waits for a sign of life; 0.0: it waits for none."""
    text, meant = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    if meant not in ("", str(pid)) or not (text.isascii() and text.isdigit()):
        return 0.0
    return int(text) / 1e6


class ServiceManager:
    """Service manager; nothing is said if there is none.

    Args:
        loop: waits.
        fleet: whose processes are told of.
        notifier: tells.
        watchdog: seconds within which a sign of life is expected; 0.0: none is.

    Attributes:
        watchdog: see above.
        notifier: see above.
    """

    def __init__(
        self,
        loop: SelectorLoop,
        fleet: Fleet,
        notifier: SystemdNotifier,
        watchdog: float,
    ) -> None:
        self._loop = loop
        self._fleet = fleet
        self.notifier = notifier
        self.watchdog = watchdog
        self._said = ""
        self._begun = False

    def serving(self) -> None:
        """Tell that it serves, after the start or a reload."""
        self._said = self._numbers()
        self.notifier.ready(self._said)
        if self.notifier.address is None or self._begun:
            return
        self._begun = True
        self._loop.call_later(STATUS, self._tell_numbers)
        if self.watchdog:
            self._bark()

    def _tell_numbers(self) -> None:
        self._loop.call_later(STATUS, self._tell_numbers)
        numbers = self._numbers()
        if numbers != self._said:
            self._said = numbers
            self.notifier.status(numbers)

    def _bark(self) -> None:
        """Give the sign of life, if the loops of all workers turn."""
        self._loop.call_later(self.watchdog / 3, self._bark)
        now = self._loop.time()
        beats = [self._fleet.beats.read(child.beat) for child in self._fleet.running()]
        if all(stuck_for(beat, now) < max(self.watchdog / 2, 2.0) for beat in beats):
            self.notifier.watchdog()

    def _numbers(self) -> str:
        """Return what serves, in numbers."""
        parts = []
        for child in self._fleet.running():
            if child.role == "emperor":
                count = self._fleet.beats.read(child.beat).connections
                parts.append(f"the Emperor is governing {count} vassal{'' if count == 1 else 's'}")
        workers = [child for child in self._fleet.running() if child.role == "worker"]
        beats = [self._fleet.beats.read(child.beat) for child in workers]
        connections = sum(beat.connections for beat in beats)
        running = sum(beat.running for beat in beats)
        processes = "worker" if len(workers) == 1 else "workers"
        if workers or not parts:
            text = f"serving: {len(workers)} {processes}, {connections} connections, {running} requests running"
            parts.insert(0, text)
        return "; ".join(parts)
