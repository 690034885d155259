"""State machine of one supervised program: what is to be done, from what happened and the time it is.

Nothing here starts or ends a process. Whoever does tells of it, and asks :meth:`ProgramMachine.due` when to look again.
"""

import enum
from dataclasses import dataclass

from uwsgi_router.subscriptions.application.backoff import RestartDelay


@dataclass(frozen=True, slots=True)
class RestartTiming:
    """Times of starts, restarts and ends, in seconds."""

    first: float = 0.5
    """Before the second restart in a row; doubled each time. The first is at once."""
    most: float = 30.0
    """Between two restarts at most."""
    steady: float = 60.0
    """After so long a run the next restart is the first again."""
    start: float | None = 60.0
    """For a program to get ready; then it is killed. None: any time."""
    stop: float = 10.0
    """For a program to end by itself, beyond the mercy that it was told of."""


class State(enum.Enum):
    """State of a program."""

    WAITING = "waiting"
    """No process; one starts when it is due."""
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    """It was told to end, and is killed when its time is over."""
    KILLED = "killed"
    """Its end is a matter of the kernel's."""
    ENDED = "ended"
    """No process, and none follows."""


class Action(enum.Enum):
    """Action for whoever starts and ends processes."""

    START = "start"
    KILL_UNREADY = "kill: it did not get ready"
    KILL_UNENDED = "kill: it did not end"


class ProgramMachine:
    """State machine of a program that is kept running.

    Args:
        timing: see :class:`RestartTiming`.
        now: when it is to start first, on any clock that goes forward.

    Attributes:
        state: see :class:`State`.
        was_ready: it has been ready since it was started first.
        restarts: how often it was started again.
    """

    def __init__(self, timing: RestartTiming, now: float) -> None:
        self._timing = timing
        self.state = State.WAITING
        self.was_ready = False
        self.restarts = 0
        self._deadline: float | None = now
        self._began = now
        self._delay = RestartDelay(timing.first, timing.most, timing.steady, at_once=1)

    @property
    def due(self) -> float | None:
        """Time at which :meth:`act` has something to do, if nothing happens before; None: never."""
        return self._deadline

    @property
    def running(self) -> bool:
        """True if there is a process."""
        return self.state not in (State.WAITING, State.ENDED)

    @property
    def stopping(self) -> bool:
        """True if it is not started again."""
        return self.state in (State.STOPPING, State.KILLED, State.ENDED)

    def act(self, now: float) -> Action | None:
        """Return what is to be done now."""
        if self._deadline is None or now < self._deadline:
            return None
        if self.state is State.WAITING:
            return Action.START
        if self.state is State.STARTING:
            return Action.KILL_UNREADY
        return Action.KILL_UNENDED

    # --- what has happened ---

    def started(self, now: float) -> None:
        """Note that a process was started."""
        self.state, self._began = State.STARTING, now
        start = self._timing.start
        self._deadline = None if start is None else now + start

    def adopted(self, *, ready: bool, now: float) -> None:
        """Note that there is a process already."""
        self.started(now)
        if ready:
            self.ready()

    def ready(self) -> None:
        """Note that it does its work."""
        if self.state is State.STARTING:
            self.state, self._deadline, self.was_ready = State.READY, None, True

    def stop(self, now: float, mercy: float = 0.0) -> None:
        """Note that it was told to end, or need not be started again.

        Args:
            now: see the module.
            mercy: seconds that it was given for what it is doing.
        """
        if not self.running:
            self.state, self._deadline = State.ENDED, None
        elif self.state is not State.KILLED:
            deadline = now + mercy + self._timing.stop
            if self.state is State.STOPPING and self._deadline is not None:
                deadline = min(deadline, self._deadline)
            self.state, self._deadline = State.STOPPING, deadline

    def stop_by(self, deadline: float | None) -> None:
        """Note that it was told to end by a program that we go on for.

        Args:
            deadline: :attr:`due` as it was there; None: it was killed.
        """
        if not self.running:
            self.state, self._deadline = State.ENDED, None
        else:
            self.state = State.KILLED if deadline is None else State.STOPPING
            self._deadline = deadline

    def killed(self, *, again: bool = True) -> None:
        """Note that it was sent SIGKILL.

        Args:
            again: it is started again, unless it was told to end before.
        """
        if self.state is State.STOPPING or not again:
            self.state = State.KILLED
        self._deadline = None

    def ended(self, now: float) -> float | None:
        """Note that its process has ended.

        Returns:
            Seconds until it starts again; None: it does not.
        """
        if self.state in (State.STOPPING, State.KILLED):
            self.state, self._deadline = State.ENDED, None
            return None
        delay = self._delay.ended(now, now - self._began)
        self.state, self._deadline = State.WAITING, now + delay
        self.restarts += 1
        return delay
