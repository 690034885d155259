"""Refusals of datagrams: a word for counting and grouping, and a sentence for people."""

from dataclasses import dataclass
from typing import Literal

Cause = Literal[
    "socket",  # reading failed
    "malformed",
    "rate",
    "network",
    "modifier",
    "router",  # the router itself was announced
    "credentials",
    "tenant",
    "own-address",
    "unsigned",
    "time",
    "replay",
    "key-file",
    "signature",
    "owner",
    "protocol",
    "full",
]


class Refused(ValueError):
    """Refusal: what a datagram asks for is not done; nothing has changed.

    Attributes:
        cause: one word of :data:`Cause`.
        reason: one sentence for the log (also ``str()``).
    """

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(reason)
        self.cause: Cause = cause
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Refusal:
    """Record of a datagram that was not obeyed.

    Attributes:
        sender: who sent it, as a log line names it.
        cause: the word.
        reason: the sentence.
        key: what it wanted to serve; None if it could not even be read.
        count: of datagrams that were not obeyed for the same cause.
    """

    sender: str
    cause: Cause
    reason: str
    key: bytes | None = None
    count: int = 1
