"""Requests that wait for a node of their key to announce itself (``*-hold``)."""

from typing import Protocol


class Waiting(Protocol):
    """A held session."""

    def wake(self) -> None:
        """Look again."""


class Hold:
    """The held requests of one router, bounded in number and bytes.

    Args:
        max_requests: that may wait at once.
        max_bytes: that their heads and what they may have sent of their bodies may take.
    """

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._waiting: dict[Waiting, int] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, session: Waiting, size: int) -> bool:
        """Let a request of ``size`` bytes wait; False if there is no room."""
        if len(self._waiting) >= self._max_requests or self._bytes + size > self._max_bytes:
            return False
        self._waiting[session] = size
        self._bytes += size
        return True

    def leave(self, session: Waiting) -> None:
        """The request goes on, or is gone."""
        self._bytes -= self._waiting.pop(session)

    def node_came(self) -> None:
        """Some node was added or came back: everybody looks again."""
        for session in list(self._waiting):
            session.wake()
