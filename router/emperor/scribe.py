"""Scribe of a vassal: writes its chronicle, and the lines of the log that say what has become of it."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from uwsgi_router.router.config.model import EmperorConfig
from uwsgi_router.router.emperor.blacklist import Blacklist
from uwsgi_router.router.emperor.chronicle import Chronicle
from uwsgi_router.router.emperor.machine import DYING, RUNNING, VassalEvent, VassalState
from uwsgi_router.router.supervision.process import cause_of

log = logging.getLogger("uwsgi-router.emperor")

_KILLED_AS: Final = {
    VassalState.CURSED: "it closed its pipe and did not end",
    VassalState.STOPPING: "it was told to stop and did not end",
    VassalState.KILLED: "it still does not end",
}


class Scribe:
    """Scribe of a vassal.

    Args:
        name: of the vassal.
        chronicle: see below.
        config: of the Emperor.
        blacklist: forgives who answers.
        wall: the wall clock.

    Attributes:
        chronicle: of the vassal.
    """

    def __init__(
        self,
        name: str,
        chronicle: Chronicle,
        config: EmperorConfig,
        blacklist: Blacklist,
        wall: Callable[[], float],
    ) -> None:
        self._name = name
        self.chronicle = chronicle
        self._config = config
        self._blacklist = blacklist
        self._wall = wall

    def happened(self, event: VassalEvent, before: VassalState, state: VassalState) -> None:
        """Note what has happened.

        Args:
            event: what.
            before: state until then.
            state: since then.
        """
        wall, chronicle = self._wall(), self.chronicle
        match event:
            case VassalEvent.READY:
                chronicle.last_ready = wall
                log.info("%s: spawned", self._name)
            case VassalEvent.ACCEPTING:
                chronicle.last_accepting = wall
                if before is not VassalState.SERVING:
                    log.info("%s: ready to accept requests", self._name)
            case VassalEvent.LOYAL:
                chronicle.last_loyal = wall
                if self._blacklist.forgive(self._name):
                    log.info("%s: loyal again", self._name)
            case VassalEvent.HEARTBEAT:
                chronicle.last_heartbeat = wall
            case VassalEvent.RESET:
                self._blacklist.forgive(self._name)
            case VassalEvent.PIPE_CLOSED if state is VassalState.CURSED:
                log.info("%s has closed its pipe", self._name)
        if state is not before and state is VassalState.STOPPING:
            log.info("%s: told to stop: %s", self._name, event.value)
        self._note_curse(before, state, wall)

    def acted(self, before: VassalState, state: VassalState, pid: int) -> None:
        """Note what was done because of the time.

        Args:
            before: state until then.
            state: since then.
            pid: of its process.
        """
        if before is VassalState.WAITING:
            return
        if state is VassalState.KILLED:
            why = _KILLED_AS.get(before, "it sent no heartbeat, and did not reload")
            log.error("%s (pid %d) is killed: %s", self._name, pid, why)
        elif state is VassalState.RELOADING and before is not state:
            seconds = self._config.required_heartbeat
            log.error("%s sent no heartbeat within %g s: told to reload", self._name, seconds)
        self._note_curse(before, state, self._wall())

    def _note_curse(self, before: VassalState, state: VassalState, wall: float) -> None:
        if state in DYING:
            if state is not before:
                self.chronicle.cursed = wall
        elif state in RUNNING:
            self.chronicle.cursed = 0.0

    def could_not_start(self, why: str) -> None:
        """Note that it has no process."""
        self.chronicle.last_end, self.chronicle.last_lines = why, []
        log.error("%s: not started: %s", self._name, why)

    def ended(self, pid: int, code: int, state: VassalState, lines: Sequence[str]) -> None:
        """Note how its process has ended, and what it wrote last unless its end was wanted.

        Args:
            pid: of the process.
            code: exit status; negative: the signal.
            state: in which it was.
            lines: that it wrote last.
        """
        why = cause_of(code)
        self.chronicle.last_end, self.chronicle.last_lines = why, list(lines)
        if state is VassalState.STOPPING and code == 0:
            log.info("%s (pid %d) has stopped: %s", self._name, pid, why)
            return
        wrote = f"it wrote last: {' | '.join(lines)}" if lines else "it wrote nothing"
        if state is VassalState.KILLED:
            why += ", sent by the Emperor"
        log.error("%s (pid %d) has ended: %s; %s", self._name, pid, why, wrote)

    def delayed(self, delay: float) -> None:
        """Say that it has to wait, once it has failed several times."""
        entry = self._blacklist.entry(self._name)
        if entry is not None and entry.attempts >= 2:
            most = ", the longest delay there is" if self._blacklist.at_most(self._name) else ""
            text = "%s has failed %d times before it answered a request: next start in %.3g s%s"
            log.warning(text, self._name, entry.attempts + 1, delay, most)
