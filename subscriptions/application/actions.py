"""Actions that an application's state machine asks for; the shell carries them out and reports back."""

import logging
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartCopy:
    """Action: start copy ``number``; ``died`` or ``checked`` follows."""

    number: int


@dataclass(frozen=True, slots=True)
class CheckCopy:
    """Action: ask copy ``number`` once whether it is healthy (and ``warm`` it up); ``checked`` follows."""

    number: int
    warm: bool


@dataclass(frozen=True, slots=True)
class AnnounceCopy:
    """Action: announce copy ``number``, and go on doing so; ``announced`` follows once the router has it."""

    number: int


@dataclass(frozen=True, slots=True)
class WithdrawCopy:
    """Action: withdraw copy ``number``; ``drained`` follows once its requests have ended.

    Attributes:
        number: of the copy.
        requests: seconds that its requests have.
        streams: seconds that its event streams and WebSockets have.
    """

    number: int
    requests: float
    streams: float


@dataclass(frozen=True, slots=True)
class StopCopy:
    """Action: send copy ``number`` TERM, or with ``kill`` end its whole session at once; ``died`` follows."""

    number: int
    kill: bool = False


@dataclass(frozen=True, slots=True)
class ShowStacks:
    """Action: have copy ``number`` write its stacks."""

    number: int


@dataclass(frozen=True, slots=True)
class Say:
    """Action: log a line; ``number`` of the copy that it is about, or None."""

    text: str
    number: int | None = None
    level: int = logging.INFO


@dataclass(frozen=True, slots=True)
class RolloutEnded:
    """Action: tell whoever asked for a rollout how it ended.

    Attributes:
        generation: of the rollout.
        reason: why it failed; None: it succeeded.
        number: the copy that failed, or None.
        goes_back: copies are started by the plan from before it again.
    """

    generation: int
    reason: str | None = None
    number: int | None = None
    goes_back: bool = False


@dataclass(frozen=True, slots=True)
class AppEnded:
    """Action: all copies have ended, and none will be started; ``code`` is the exit code."""

    code: int


Action = (
    StartCopy
    | CheckCopy
    | AnnounceCopy
    | WithdrawCopy
    | StopCopy
    | ShowStacks
    | Say
    | RolloutEnded
    | AppEnded
)
