"""State of a copy: what it is doing, since when, and until when it may."""

import enum
from dataclasses import dataclass, field


class CopyState(enum.Enum):
    """State of a copy; ``str(value)`` is the word for it in ``status``."""

    STARTING = "starting"
    """It runs, and is not healthy and warm yet."""
    ANNOUNCED = "announced"
    """It is healthy, and the router does not have it yet."""
    SERVING = "serving"
    DRAINING = "draining"
    """It gets no new requests; those that it has may end."""
    STOPPING = "stopping"
    """It was told to end."""


#: States of copies that serve, or will.
LIVE = frozenset({CopyState.STARTING, CopyState.ANNOUNCED, CopyState.SERVING})


@dataclass(slots=True)
class AppCopy:
    """Copy of an application.

    Attributes:
        number: never given twice.
        generation: which rollout it is of.
        born: when it was started.
        state: what it is doing.
        served_from: when it began to serve; None: it has not.
        deadline: when its state has to end; None: never.
        check_at: when it is to be asked whether it is healthy; None: not now (or a check is under way).
        pause: seconds between the last two checks.
        trouble: what the last check found; "": nothing.
        fails: checks that failed in a row.
        stale: why it is to be replaced; "": it is not.
        most_requests: with so many it is to be replaced; 0: any number.
        most_bytes: likewise with so much memory.
        expires: when it is too old; None: never.
        killed: KILL was sent.
    """

    number: int
    generation: int
    born: float
    state: CopyState = CopyState.STARTING
    served_from: float | None = None
    deadline: float | None = None
    check_at: float | None = None
    pause: float = 0.0
    trouble: str = ""
    fails: int = 0
    stale: str = ""
    most_requests: int = 0
    most_bytes: int = 0
    expires: float | None = None
    killed: bool = field(default=False)

    @property
    def is_live(self) -> bool:
        """True if it serves, or will."""
        return self.state in LIVE

    @property
    def serves(self) -> bool:
        """True if it has requests from the router."""
        return self.state is CopyState.SERVING

    def served(self, now: float) -> float | None:
        """Return for how long it has served; None: it never did."""
        return None if self.served_from is None else now - self.served_from
