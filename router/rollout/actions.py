"""Actions of a rollout: what its machine wants done; each but the last one names a vassal."""

from dataclasses import dataclass
from typing import Literal

from uwsgi_router.router.rollout.views import SeenNode

Step = Literal[
    "waiting",
    "withdrawing",
    "reloading",
    "checking",
    "announcing",
    "returning",
    "reloaded",
    "failed",
    "untouched",
]
"""State of a vassal in a rollout; the last three are ends."""


@dataclass(frozen=True, slots=True)
class WithdrawVassal:
    """Action: take its nodes out of service; ``withdrawn`` follows once their requests have ended."""

    name: str


@dataclass(frozen=True, slots=True)
class RestoreVassal:
    """Action: its nodes are as they were before it was withdrawn; it was not touched."""

    name: str


@dataclass(frozen=True, slots=True)
class TouchVassal:
    """Action: its file gets this modification time, seconds, so that the Emperor reloads it."""

    name: str
    mtime: float


@dataclass(frozen=True, slots=True)
class CheckVassal:
    """Action: ask it directly, at the addresses of its nodes; ``checked`` follows.

    Attributes:
        name: of the vassal.
        nodes: that are asked, each with its key and protocol.
    """

    name: str
    nodes: tuple[SeenNode, ...]


@dataclass(frozen=True, slots=True)
class ReturnVassal:
    """Action: its nodes may have requests again."""

    name: str


@dataclass(frozen=True, slots=True)
class KeepOutVassal:
    """Action: it failed after it was touched: what was withdrawn of it stays so."""

    name: str


@dataclass(frozen=True, slots=True)
class ToldStep:
    """Action: tell people of a new state.

    Attributes:
        name: of the vassal.
        step: as it is now.
        why: of a failure, or what is special about it; "".
        timeout: it failed because its time was over.
    """

    name: str
    step: Step
    why: str = ""
    timeout: bool = False


RolloutAction = (
    WithdrawVassal
    | RestoreVassal
    | TouchVassal
    | CheckVassal
    | ReturnVassal
    | KeepOutVassal
    | ToldStep
)
