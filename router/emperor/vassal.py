"""One vassal: its process, its pipe, what it writes and says; carries out what its machine decides."""

import logging
import os
import signal
import socket
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final, Protocol

from uwsgi_router.protocol.emperor import EXILE, EmperorByte, VassalByte
from uwsgi_router.router.config.model import EmperorConfig
from uwsgi_router.router.emperor.blacklist import Blacklist
from uwsgi_router.router.emperor.chronicle import Chronicle
from uwsgi_router.router.emperor.command import VassalLaunch
from uwsgi_router.router.emperor.machine import (
    After,
    VassalAction,
    VassalEvent,
    VassalMachine,
    VassalState,
    VassalTiming,
)
from uwsgi_router.router.emperor.on_demand import OnDemandSocket
from uwsgi_router.router.emperor.output import VassalOutput
from uwsgi_router.router.emperor.scribe import Scribe
from uwsgi_router.router.emperor.start import start_watched
from uwsgi_router.router.emperor.vassal_file import VassalFile, VassalRefused
from uwsgi_router.router.supervision.loop import SelectorLoop, Timer
from uwsgi_router.router.supervision.process import reap

log = logging.getLogger("uwsgi-router.emperor")

#: Bytes of a pipe that are read at once.
_READ: Final = 256
#: Lines that are told of a vassal that has ended.
LAST_LINES: Final = 3
_EVENTS: Final[Mapping[int, VassalEvent]] = {
    VassalByte.SPAWNED: VassalEvent.READY,
    VassalByte.ACCEPTING: VassalEvent.ACCEPTING,
    VassalByte.LOYAL: VassalEvent.LOYAL,
    VassalByte.HEARTBEAT: VassalEvent.HEARTBEAT,
    VassalByte.STOP: VassalEvent.REST,
}


def _rights(file: VassalFile) -> tuple[int, int, int]:
    """Return what decides who a tyrant's vassal is, and whether it is at all."""
    return file.uid, file.gid, file.linked_by


class VassalCourt(Protocol):
    """Court of an Emperor: what vassals need of it."""

    loop: SelectorLoop
    config: EmperorConfig
    blacklist: Blacklist

    def wall(self) -> float:
        """Return the wall clock, in seconds of the epoch."""

    def launch(self, file: VassalFile) -> VassalLaunch:
        """Return how the process of a vassal is started.

        Raises:
            VassalRefused: it can't be.
        """

    def write(self, data: bytes) -> None:
        """Write whole lines to the log."""

    def started(self, vassal: "Vassal") -> None:
        """Take that a vassal has a process."""

    def dead(self, vassal: "Vassal") -> None:
        """Take that a vassal's process has ended; it calls :meth:`Vassal.bury` soon."""

    def buried(self, vassal: "Vassal", pid: int) -> None:
        """Take that nothing is left of a vassal's process."""

    def forget(self, vassal: "Vassal") -> None:
        """Take that a vassal is gone for good."""


class Vassal:
    """Vassal of an Emperor.

    Args:
        file: its configuration.
        court: of the Emperor.
        on_demand: socket that starts it; None: it always runs.

    Attributes:
        file: see above; the newest that was seen.
        scribe: notes what happens.
        machine: its state.
        on_demand: see above.
        output: what it writes.
        pid: of its process; -1: there is none.
    """

    def __init__(
        self, file: VassalFile, court: VassalCourt, on_demand: OnDemandSocket | None = None
    ) -> None:
        self._court = court
        self.file = file
        self.on_demand = on_demand
        self.scribe = Scribe(
            file.name,
            Chronicle(file.mtime, court.wall()),
            court.config,
            court.blacklist,
            court.wall,
        )
        timing = VassalTiming(court.config.curse_tolerance, court.config.required_heartbeat)
        now = court.loop.time()
        self.machine = VassalMachine(timing, now, on_demand=on_demand is not None)
        self.output = VassalOutput(court.loop, file.name, court.write)
        self.pid = -1
        self._pidfd = -1
        self._pipe: socket.socket | None = None
        self._timer: Timer | None = None

    def __repr__(self) -> str:
        return f"<Vassal {self.file.name} {self.machine.state.value} pid={self.pid}>"

    @property
    def name(self) -> str:
        """Its name."""
        return self.file.name

    @property
    def chronicle(self) -> Chronicle:
        """Its times, and how its last process has ended."""
        return self.scribe.chronicle

    # --- what happens to it ---

    def start(self) -> None:
        """Let its life begin."""
        if self.on_demand is not None:
            log.info("%s: started by the first connection to %s", self.name, self.on_demand.name)
        self._act()

    def tell(self, event: VassalEvent, *, mercy: float | None = None) -> None:
        """Tell its machine of an event, and carry out what follows."""
        before = self.machine.state
        actions = self.machine.tell(event, self._court.loop.time(), mercy=mercy)
        self.scribe.happened(event, before, self.machine.state)
        self._carry_out(actions)

    def seen(self, file: VassalFile) -> None:
        """Take what a monitor sees of its file."""
        before, self.file = self.file, file
        if self.machine.after is After.FORGET:
            self.tell(VassalEvent.APPEARED)
        if before.path != file.path:
            log.warning("%s: its file is %s now, instead of %s", self.name, file.path, before.path)
            self.tell(VassalEvent.REPLACE)
        elif self.machine.state is VassalState.REFUSED:
            if before != file:
                self.chronicle.modified = max(self.chronicle.modified, file.mtime)
                self.tell(VassalEvent.CHANGED)
        elif self._court.config.tyrant and _rights(before) != _rights(file):
            log.warning(
                "%s: its file has another owner: it is stopped, and started as him", self.name
            )
            self.tell(VassalEvent.REPLACE)
        elif file.mtime > self.chronicle.modified:
            self.chronicle.modified = file.mtime
            self.tell(VassalEvent.CHANGED)

    def _act(self) -> None:
        before = self.machine.state
        actions = self.machine.act(self._court.loop.time())
        self.scribe.acted(before, self.machine.state, self.pid)
        self._carry_out(actions)

    def _carry_out(self, actions: Iterable[VassalAction]) -> None:
        for action in actions:
            match action:
                case VassalAction.START:
                    self._start()
                case VassalAction.RELOAD:
                    self._reload()
                case VassalAction.STOP:
                    graceful = self._court.config.graceful_shutdown
                    self._send(EmperorByte.STOP_GRACEFULLY if graceful else EmperorByte.STOP)
                case VassalAction.KILL:
                    self._signal(signal.SIGKILL)
                case VassalAction.LISTEN:
                    assert self.on_demand is not None
                    self.on_demand.watch(self._court.loop, self._demanded)
                case VassalAction.FORGET:
                    self.close()
                    self._court.forget(self)
                    return
        if self.machine.state is not VassalState.ASLEEP:
            self._sleep_no_more()
        self._arm()

    def _arm(self) -> None:
        """Look again when something is due."""
        due = self.machine.due
        if self._timer is not None:
            if self._timer.when == due and not self._timer.cancelled:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._court.loop.call_later(due - self._court.loop.time(), self._act)
            self._timer.when = due

    # --- its process ---

    def _start(self) -> None:
        self._sleep_no_more()
        try:
            launch = self._court.launch(self.file)
        except VassalRefused as refused:
            self.scribe.could_not_start(str(refused))
            self.tell(VassalEvent.UNUSABLE)
            return
        try:
            stdin = None if self.on_demand is None else self.on_demand.fileno()
            pid, pidfd, pipe = start_watched(launch, stdin, self.output)
        except OSError as exc:
            self.scribe.could_not_start(f"no process can be made: {exc.strerror}")
            delay = self._court.blacklist.failed(self.name, self._court.wall())
            now = self._court.loop.time()
            self._carry_out(self.machine.tell(VassalEvent.CANNOT_START, now, delay=delay))
            return
        self.chronicle.began(self.file.mtime, self._court.wall())
        self._watch(pid, pidfd, pipe)
        log.info("%s: started, pid %d", self.name, pid)
        self._court.started(self)

    def _watch(self, pid: int, pidfd: int, pipe: socket.socket | None) -> None:
        self.pid, self._pidfd = pid, pidfd
        self._court.loop.add_reader(self._pidfd, self._dead)
        if pipe is None:
            return
        pipe.setblocking(False)
        self._pipe = pipe
        self._court.loop.add_reader(pipe.fileno(), self._hear)

    def _reload(self) -> None:
        self.chronicle.reloaded(self._court.wall())
        log.info("%s: told to reload", self.name)
        if not self._send(EmperorByte.RELOAD):
            self._pipe_closed()

    def _send(self, byte: EmperorByte) -> bool:
        if self._pipe is None:
            return False
        try:
            self._pipe.send(bytes([byte]))
        except BlockingIOError:
            # It reads nothing: it will not end, and is killed then.
            return True
        except OSError:
            return False
        return True

    def _hear(self) -> None:
        """Read what it says, a byte each."""
        assert self._pipe is not None
        try:
            data = self._pipe.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._pipe_closed()
        for byte in data:
            event = _EVENTS.get(byte)
            if event is not None:
                self.tell(event)

    def _pipe_closed(self) -> None:
        self._close_pipe()
        self.tell(VassalEvent.PIPE_CLOSED)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to its process, if that still is its own."""
        if self._pidfd >= 0:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except OSError as exc:
                text = "%s: pid %d can't be sent %s: %s"
                log.error(text, self.name, self.pid, number.name, exc.strerror)  # noqa: TRY400

    def _dead(self) -> None:
        self._court.loop.remove_reader(self._pidfd)
        self._court.dead(self)

    def bury(self) -> None:
        """Take the exit status of its process; all others of its session have been ended."""
        code = reap(self.pid)
        assert code is not None
        os.close(self._pidfd)
        if self._pipe is not None:
            # What it said last, but not that it has closed its pipe.
            self._last_words()
        self._close_pipe()
        self.output.take_rest()
        pid, self.pid, self._pidfd = self.pid, -1, -1
        now, wall = self._court.loop.time(), self._court.wall()
        state, failed = self.machine.state, self.machine.failed or code == EXILE
        delay = 0.0
        if failed:
            delay = self._court.blacklist.failed(self.name, wall)
        if self.on_demand is not None:
            self.on_demand.ended(served=self.machine.loyal)
        self.scribe.ended(pid, code, state, self.output.last(LAST_LINES))
        actions = self.machine.tell(VassalEvent.ENDED, now, delay=delay)
        self.chronicle.ended(wall, wall + delay if self.machine.next_start is not None else 0.0)
        if delay and self.machine.next_start is not None:
            self.scribe.delayed(delay)
        self._court.buried(self, pid)
        self._carry_out(actions)

    def _last_words(self) -> None:
        assert self._pipe is not None
        self._court.loop.remove_reader(self._pipe.fileno())
        try:
            data = self._pipe.recv(_READ)
        except OSError:
            return
        for byte in data:
            if byte == VassalByte.LOYAL:
                self.tell(VassalEvent.LOYAL)

    # --- what it waits for ---

    def _demanded(self) -> None:
        self.tell(VassalEvent.DEMAND)

    def _sleep_no_more(self) -> None:
        if self.on_demand is not None:
            self.on_demand.unwatch()

    # --- over an exec ---

    def state(self) -> tuple[Mapping[str, Any], list[int]]:
        """Return what makes it again, as JSON has it, and its descriptors."""
        outputs = self.output.descriptors()
        pipe = -1 if self._pipe is None else self._pipe.fileno()
        on_demand = None if self.on_demand is None else self.on_demand.state()
        machine = self.machine
        saved = {
            "file": asdict(self.file),
            "chronicle": asdict(self.chronicle),
            "lines": self.output.state(),
            "outputs": outputs,
            "state": machine.state.value,
            "after": machine.after.value,
            "ready": machine.ready,
            "accepting": machine.accepting,
            "loyal": machine.loyal,
            "delay": max(0.0, (machine.next_start or 0.0) - self._court.loop.time()),
            "pid": self.pid,
            "pipe": pipe,
            "on_demand": on_demand,
        }
        kept = [*outputs, *([pipe] if pipe >= 0 else [])]
        if self.on_demand is not None:
            kept.append(self.on_demand.fileno())
        return saved, kept

    def go_on(self, pid: int, pipe: socket.socket | None) -> None:
        """Go on with a process that was started before an exec; -1: there is none."""
        if pid > 1:
            self._watch(pid, os.pidfd_open(pid), pipe)
        if self.machine.state is VassalState.ASLEEP:
            assert self.on_demand is not None
            self.on_demand.watch(self._court.loop, self._demanded)
        self._arm()

    # --- its end ---

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            self._court.loop.remove_reader(self._pipe.fileno())
            self._pipe.close()
            self._pipe = None

    def close(self) -> None:
        """Let go of what it has: it is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._close_pipe()
        self._sleep_no_more()
        if self.on_demand is not None:
            self.on_demand.close()
