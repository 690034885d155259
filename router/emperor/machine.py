"""State machine of one vassal: what is to be done, from what has happened and the time it is.

Nothing here starts, tells or ends a process. Whoever does tells of it with :meth:`VassalMachine.tell`, carries out the
actions that come back, and asks :meth:`VassalMachine.due` when to call :meth:`VassalMachine.act`.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


class VassalState(enum.Enum):
    """State of a vassal."""

    WAITING = "waiting"
    """No process; one starts in the next turn."""
    THROTTLED = "throttled"
    """No process; one starts when the delay of a vassal that fails is over."""
    ASLEEP = "asleep"
    """No process; a connection to its socket starts one."""
    STARTING = "starting"
    SERVING = "serving"
    """It has said that it takes requests."""
    RELOADING = "reloading"
    """It was told to reload, and has not said yet that it takes requests."""
    STOPPING = "stopping"
    """It was told to end, and is killed when its time is over."""
    CURSED = "cursed"
    """It has closed its pipe, and is killed if it does not end."""
    KILLED = "killed"
    HELD = "stopped"
    """No process; an operator has stopped it."""
    REFUSED = "refused"
    """No process; its file can't be run until it changes."""
    GONE = "gone"
    """Its file is gone, and so is its process."""


class VassalEvent(enum.Enum):
    """Event in the life of a vassal."""

    READY = "it has loaded its application"
    ACCEPTING = "it takes requests"
    LOYAL = "it has answered a request"
    HEARTBEAT = "it turns"
    REST = "it wants to be stopped"
    PIPE_CLOSED = "it has closed its pipe"
    ENDED = "its process has ended"
    CANNOT_START = "no process could be started"
    UNUSABLE = "its file can't be run"
    DEMAND = "somebody connects to its socket"
    CHANGED = "its file has changed"
    REMOVED = "its file is gone"
    APPEARED = "its file is there again"
    REPLACE = "it has to be another process: its file has another owner"
    RELOAD = "somebody wants it to reload"
    START = "an operator wants it to run"
    STOP = "an operator wants it not to run"
    RESET = "an operator forgives it"
    SHUTDOWN = "the Emperor ends"
    DUE = "its time is over"
    SILENT = "it has sent no heartbeat for too long"


class VassalAction(enum.Enum):
    """Action for whoever starts, tells and ends processes."""

    START = "start"
    RELOAD = "tell it to reload"
    STOP = "tell it to stop"
    KILL = "kill"
    LISTEN = "wait for a connection to its socket"
    FORGET = "forget"


class After(enum.Enum):
    """Consequence of the end of a vassal's process."""

    RUN = "another process"
    SLEEP = "none until somebody connects"
    HOLD = "none until an operator says so"
    FORGET = "nothing"


@dataclass(frozen=True, slots=True)
class VassalTiming:
    """Times of a vassal, in seconds."""

    tolerance: float = 30.0
    """For it to end by itself once it was told to, or has closed its pipe."""
    heartbeat: float = 30.0
    """Between two heartbeats, once it has sent one."""


@dataclass(frozen=True, slots=True)
class Row:
    """Row of the table: where an event leads in a state.

    Attributes:
        state: the next one.
        actions: to be carried out.
        after: what follows the end of the process from now on; None: as before.
        limited: the process has to end within the tolerance, counted from now.
    """

    state: VassalState
    actions: tuple[VassalAction, ...] = ()
    after: After | None = None
    limited: bool = False


_S, _E, _A = VassalState, VassalEvent, VassalAction
IDLE: Final = frozenset({_S.WAITING, _S.THROTTLED, _S.ASLEEP, _S.HELD, _S.REFUSED})
LIVING: Final = frozenset({_S.STARTING, _S.SERVING, _S.RELOADING})
DYING: Final = frozenset({_S.STOPPING, _S.CURSED, _S.KILLED})
RUNNING: Final = LIVING | DYING


def _table() -> Mapping[VassalState, Mapping[VassalEvent, Row]]:
    """Return the table; what is not in it changes nothing. The end of a process is decided by :class:`After`."""
    stop = (_A.STOP,)
    table: dict[VassalState, dict[VassalEvent, Row]] = {state: {} for state in _S}
    for state in IDLE:
        table[state] |= {
            _E.REMOVED: Row(_S.GONE, (_A.FORGET,)),
            _E.SHUTDOWN: Row(_S.GONE, (_A.FORGET,)),
            _E.STOP: Row(_S.HELD),
        }
    for state in (_S.THROTTLED, _S.REFUSED):
        for event in (_E.CHANGED, _E.RELOAD, _E.START, _E.REPLACE):
            table[state][event] = Row(_S.WAITING)
    table[_S.THROTTLED][_E.RESET] = Row(_S.WAITING)
    table[_S.HELD][_E.START] = Row(_S.WAITING)
    table[_S.ASLEEP] |= {
        _E.DEMAND: Row(_S.STARTING, (_A.START,), After.SLEEP),
        _E.START: Row(_S.STARTING, (_A.START,), After.SLEEP),
    }
    for state in LIVING:
        table[state] |= {
            _E.ACCEPTING: Row(_S.SERVING),
            _E.CHANGED: Row(_S.RELOADING, (_A.RELOAD,)),
            _E.RELOAD: Row(_S.RELOADING, (_A.RELOAD,)),
            _E.SILENT: Row(_S.RELOADING, (_A.RELOAD,)),
            _E.REST: Row(_S.STOPPING, stop, limited=True),
            _E.REPLACE: Row(_S.STOPPING, stop, limited=True),
            _E.STOP: Row(_S.STOPPING, stop, After.HOLD, limited=True),
            _E.REMOVED: Row(_S.STOPPING, stop, After.FORGET, limited=True),
            _E.SHUTDOWN: Row(_S.STOPPING, stop, After.FORGET, limited=True),
            _E.PIPE_CLOSED: Row(_S.CURSED, limited=True),
        }
    table[_S.STARTING] |= {
        _E.CANNOT_START: Row(_S.THROTTLED),
        _E.UNUSABLE: Row(_S.REFUSED),
    }
    for state in DYING:
        table[state] |= {
            _E.DUE: Row(_S.KILLED, (_A.KILL,), limited=True),
            _E.STOP: Row(state, (), After.HOLD),
            _E.REMOVED: Row(state, (), After.FORGET),
            _E.SHUTDOWN: Row(state, (), After.FORGET),
        }
    return table


TABLE: Final = _table()


class VassalMachine:
    """State machine of a vassal.

    Args:
        timing: see :class:`VassalTiming`.
        now: on any clock that goes forward; it is to start then.
        on_demand: a connection to its socket starts it.

    Attributes:
        state: see :class:`VassalState`.
        after: what follows the end of its process.
        ready: its process has said so since it was told to start or reload.
        accepting: likewise.
        loyal: its process has answered a request.
        on_demand: see above.
    """

    def __init__(self, timing: VassalTiming, now: float, *, on_demand: bool = False) -> None:
        self._timing = timing
        self.on_demand = on_demand
        self.state = VassalState.WAITING
        self.after = self._usual
        self.ready = self.accepting = self.loyal = False
        self._asked = False
        self._ending = False
        self._deadline: float | None = now
        self._beat: float | None = None
        self._silent = False

    def __repr__(self) -> str:
        return f"<VassalMachine {self.state.value} after={self.after.name}>"

    @property
    def _usual(self) -> After:
        return After.SLEEP if self.on_demand else After.RUN

    @property
    def running(self) -> bool:
        """True if there is a process."""
        return self.state in RUNNING

    @property
    def due(self) -> float | None:
        """Time at which :meth:`act` has something to do, if nothing happens before; None: never."""
        if self.state in LIVING:
            return self._beat
        return self._deadline

    @property
    def next_start(self) -> float | None:
        """Time of the next start, if it is known."""
        waits = self.state in (VassalState.WAITING, VassalState.THROTTLED)
        return self._deadline if waits else None

    @property
    def failed(self) -> bool:
        """True if the end of its process, now, would be a failure: it was not asked to end, and never answered."""
        return not (self.loyal or self._asked)

    # --- what happens ---

    def act(self, now: float) -> tuple[VassalAction, ...]:
        """Return what is to be done now."""
        due = self.due
        if due is None or now < due:
            return ()
        if self.state in LIVING:
            return self._silence(now)
        if self.state in DYING:
            return self.tell(VassalEvent.DUE, now)
        self._deadline = None
        if self.on_demand:
            self.state = VassalState.ASLEEP
            return (VassalAction.LISTEN,)
        return self._starting()

    def tell(
        self, event: VassalEvent, now: float, *, mercy: float | None = None, delay: float = 0.0
    ) -> tuple[VassalAction, ...]:
        """Note what has happened, and return what is to be done.

        Args:
            event: what.
            now: see the class.
            mercy: seconds that it has to end, with SHUTDOWN; None: the tolerance.
            delay: seconds until it may start again, if its process has ended, or can't start.
        """
        if event is VassalEvent.ENDED:
            return self._ended(now, delay)
        if event is VassalEvent.APPEARED or (event is VassalEvent.START and self.state in DYING):
            self._again()
            return ()
        row = TABLE[self.state].get(event)
        self._note(event, now)
        if row is None:
            return ()
        before, self.state = self.state, row.state
        if row.after is not None and not self._ending:
            self.after = row.after
        self._ending = self._ending or event is VassalEvent.SHUTDOWN
        if before in LIVING and row.state is VassalState.STOPPING:
            self._asked = True
        if row.limited:
            self._deadline = now + (self._timing.tolerance if mercy is None else mercy)
        elif event is VassalEvent.SHUTDOWN and mercy is not None and self.state in DYING:
            self._deadline = min(self._deadline or now, now + mercy)
        elif row.state is VassalState.THROTTLED:
            self._deadline = now + delay
        elif row.state is VassalState.WAITING:
            self._deadline = now
        elif row.state not in DYING:
            self._deadline = None
        if VassalAction.START in row.actions:
            return self._starting()
        if VassalAction.RELOAD in row.actions:
            self.ready = self.accepting = False
            if event is not VassalEvent.SILENT:
                self._expect(now)
        return row.actions

    def _note(self, event: VassalEvent, now: float) -> None:
        """Take what it says of itself."""
        if self.state not in RUNNING:
            return
        if event is VassalEvent.READY:
            self.ready = True
        elif event is VassalEvent.ACCEPTING:
            self.accepting = True
        elif event is VassalEvent.LOYAL:
            self.loyal = True
        elif event is VassalEvent.HEARTBEAT:
            self._beat, self._silent = now + self._timing.heartbeat, False

    def _expect(self, now: float) -> None:
        """Expect a heartbeat within the usual time, counted from now, if it sends any."""
        if self._beat is not None:
            self._beat, self._silent = now + self._timing.heartbeat, False

    def _silence(self, now: float) -> tuple[VassalAction, ...]:
        """Reload a vassal that sends no heartbeat any more; kill it after as long again."""
        if self._silent:
            self._beat = None
            self.state = VassalState.KILLED
            self._deadline = now + self._timing.tolerance
            return (VassalAction.KILL,)
        self._silent, self._beat = True, now + self._timing.heartbeat
        if self.state is VassalState.RELOADING:
            return ()
        return self.tell(VassalEvent.SILENT, now)

    def _again(self) -> None:
        """Let another process follow this one."""
        if self.state in DYING and not self._ending:
            self.after = self._usual

    def _starting(self) -> tuple[VassalAction, ...]:
        self.state, self.after, self._deadline = VassalState.STARTING, self._usual, None
        self.ready = self.accepting = self.loyal = self._asked = self._silent = False
        self._beat = None
        return (VassalAction.START,)

    def _ended(self, now: float, delay: float) -> tuple[VassalAction, ...]:
        if self.state not in RUNNING:
            return ()
        self.ready = self.accepting = False
        self._beat = self._deadline = None
        if self.after is After.FORGET:
            self.state = VassalState.GONE
            return (VassalAction.FORGET,)
        if self.after is After.HOLD:
            self.state = VassalState.HELD
            return ()
        if delay > 0:
            self.state, self._deadline = VassalState.THROTTLED, now + delay
            return ()
        if self.after is After.SLEEP:
            self.state = VassalState.ASLEEP
            return (VassalAction.LISTEN,)
        self.state, self._deadline = VassalState.WAITING, now
        return ()

    # --- over an exec ---

    def restore(
        self,
        state: VassalState,
        after: After,
        now: float,
        *,
        ready: bool,
        accepting: bool,
        loyal: bool,
        delay: float = 0.0,
    ) -> None:
        """Go on in a state that was left before an exec; times are counted anew.

        Args:
            state: as it was.
            after: likewise.
            now: see the class.
            ready: as it was.
            accepting: likewise.
            loyal: likewise.
            delay: seconds until the next start, if it waits for that.
        """
        self.state, self.after = state, after
        self.ready, self.accepting, self.loyal = ready, accepting, loyal
        self._asked = state is VassalState.STOPPING
        self._deadline = None
        if state in DYING:
            self._deadline = now + self._timing.tolerance
        elif state in (VassalState.WAITING, VassalState.THROTTLED):
            self._deadline = now + delay
