"""Supervisor of applications as a vassal: what its Emperor is told, and what it says."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from uwsgi_router.router.app.master.emperor import Emperor
from uwsgi_router.subscriptions.application.supervisor import RolloutRefused, Supervision

log = logging.getLogger("uwsgi-router.emperor")

# Seconds of a whole stop: an Emperor kills after 30 by default.
_STOP: Final = 25.0


class _Readers:
    """Descriptors that the supervisor's loop waits for."""

    def __init__(self, supervision: Supervision) -> None:
        self._supervision = supervision

    def add_reader(self, descriptor: int, callback: Callable[[], object]) -> None:
        """Have a function called when a descriptor can be read."""

        def ready() -> None:
            callback()

        self._supervision.watch(descriptor, ready)

    def remove_reader(self, descriptor: int) -> None:
        """End that."""
        self._supervision.unwatch(descriptor)


class EmperorLink:
    """Link to the Emperor; a part of the supervisor's loop.

    Args:
        descriptor: of the Emperor's pipe.
        heartbeat: seconds within which the Emperor hears that the loop turns; 0.0: it does not.
        counted: a router counts requests; otherwise the Emperor hears of loyalty once copies serve.
        idle: seconds without a request after which the Emperor is asked to let it sleep; 0.0: never.
        clock: seconds that don't jump.
    """

    _emperor: Emperor
    _supervision: Supervision

    def __init__(
        self,
        descriptor: int,
        heartbeat: float,
        *,
        counted: bool,
        idle: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._descriptor = descriptor
        self._heartbeat = heartbeat
        self._counted = counted
        self._idle = idle if counted else 0.0
        self._clock = clock
        self._requests = -1
        self._busy_at = 0.0
        self._awaited: set[tuple[str, int]] = set()
        self._failed = False

    def start(self, supervision: Supervision) -> None:
        """Tell the Emperor that it was started, and obey."""
        self._supervision = supervision
        self._emperor = Emperor(
            _Readers(supervision),
            self._descriptor,
            stop=self._stop,
            finish=self._stop,
            reload=self._reload,
        )
        self._emperor.spawned()
        supervision.listen(self._rollout_ended)
        supervision.look(self._look)

    def serves(self) -> None:
        """Tell the Emperor that requests are answered."""
        self._emperor.accepting()

    def close(self) -> None:
        """Let go of the Emperor."""
        self._emperor.close()

    def _stop(self) -> None:
        """Stop; nothing is lost for it, unless the Emperor is gone or says so twice."""
        gone = self._emperor.descriptor < 0
        self._supervision.stop(hurry=gone or self._supervision.stopping, within=_STOP)

    def _reload(self, who: str) -> None:
        log.info("%s says reload", who)
        try:
            generations = self._supervision.begin_rollout(hangup=True)
        except RolloutRefused as exc:
            log.error("no reload, everything goes on as before: %s", exc)  # noqa: TRY400 - one line
            return
        self._failed = self._failed and bool(self._awaited)
        self._awaited |= set(generations.items())

    def _rollout_ended(
        self, name: str, generation: int, reason: str | None, _lines: Sequence[str]
    ) -> None:
        if (name, generation) not in self._awaited:
            return
        self._awaited.discard((name, generation))
        self._failed |= reason is not None
        if not (self._awaited or self._failed or self._supervision.stopping):
            self._emperor.accepting()

    def _look(self) -> None:
        shells = self._supervision.applications.values()
        if any(s.has_answered if self._counted else s.machine.has_served for s in shells):
            self._emperor.answered()
        if self._heartbeat:
            self._emperor.beat()
        if self._idle and self._is_idle():
            log.info("no request for %g s", self._idle)
            self._busy_at = self._clock()
            self._emperor.rest()

    def _is_idle(self) -> bool:
        """Return True if there was no request for so long."""
        shells = self._supervision.applications.values()
        requests, running = (
            sum(figures) for figures in zip(*(s.traffic for s in shells), strict=True)
        )
        now = self._clock()
        if running or requests != self._requests or not all(s.machine.has_served for s in shells):
            self._requests, self._busy_at = requests, now
        return now - self._busy_at >= self._idle
