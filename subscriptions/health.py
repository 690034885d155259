"""How well nodes serve: what checks find out (active), and what becomes of requests (passive).

A node whose checks fail is *unhealthy* and never chosen, however often it announces itself: it said
itself that it can't serve. A node that failed several requests in a row *rests*: it is chosen after
all others that live, for a second, then for two, up to a minute; one answer ends that. A rest is
only a guess, so the nodes of a pool that all rest are used all the same.

Whoever asks nodes about their health reports it here; nothing here knows of sockets or logs.
"""

from collections.abc import Collection
from typing import Final

from uwsgi_router.protocol.subscription import Proto
from uwsgi_router.subscriptions.events import (
    Event,
    NodeAnswers,
    NodeHealthy,
    NodeRests,
    NodeUnhealthy,
)
from uwsgi_router.subscriptions.node import SubscribedNode

#: Seconds of the first rest; the next is twice as long.
FIRST_REST: Final = 1.0
LONGEST_REST: Final = 60.0
#: Why a node that has to pass a check first is not used yet.
UNCHECKED: Final = "it was not checked yet"


class Health:
    """The health of the nodes of one table.

    Args:
        max_fails: a node rests after so many failed requests in a row; 0: never.
        checked_first: nodes that speak one of these are used only once a check has succeeded.
    """

    __slots__ = ("_checked_first", "_max_fails", "_resting")

    def __init__(self, max_fails: int = 5, checked_first: Collection[Proto] = ()) -> None:
        self._max_fails = max_fails
        self._checked_first = checked_first
        self._resting: dict[SubscribedNode, float] = {}

    def __repr__(self) -> str:
        return f"<Health max_fails={self._max_fails} resting={len(self._resting)}>"

    # --- What the table tells ---

    def came(self, node: SubscribedNode) -> None:
        """A node announced itself that was not there, or not any more; it says what it speaks."""
        if node.proto in self._checked_first:
            self._set_failure(node, UNCHECKED)

    def known(self, node: SubscribedNode) -> None:
        """A node was used before the program's start: it is used until a check finds fault."""
        self._set_failure(node, "")

    def left(self, node: SubscribedNode) -> None:
        """A node is not in the table any more."""
        self._resting.pop(node, None)

    def sweep(self, now: float) -> None:
        """End the rests that have been long enough."""
        for node in [node for node, until in self._resting.items() if now >= until]:
            self._end_rest(node)

    # --- What checks find out ---

    def unhealthy(self, node: SubscribedNode, reason: str) -> list[Event]:
        """Enough checks of ``node`` failed in a row; ``reason`` is the last one's, in our words."""
        news = not node.check_failure or node.check_failure == UNCHECKED
        self._set_failure(node, reason)
        return [NodeUnhealthy(node.key, node, reason)] if news else []

    def healthy(self, node: SubscribedNode) -> list[Event]:
        """Enough checks of ``node`` succeeded in a row."""
        if not node.check_failure:
            return []
        self._set_failure(node, "")
        return [NodeHealthy(node.key, node)]

    @staticmethod
    def _set_failure(node: SubscribedNode, reason: str) -> None:
        if bool(node.check_failure) != bool(reason):
            node.standing_changed()
        node.check_failure = reason

    # --- What becomes of requests ---

    def request_failed(self, node: SubscribedNode, now: float) -> list[Event]:
        """``node`` took a request and did not answer it, or not in time, or not well."""
        if not self._max_fails or node.resting or node.removed:
            return []
        node.fails += 1
        if node.fails < self._max_fails:
            return []
        # Until it answers, each further failure is enough for the next rest.
        node.rest = min(2 * node.rest or FIRST_REST, LONGEST_REST)
        node.resting = True
        node.standing_changed()
        self._resting[node] = now + node.rest
        return [NodeRests(node.key, node, node.rest)]

    def request_answered(self, node: SubscribedNode) -> list[Event]:
        """``node`` answered a request."""
        if not node.fails:
            return []
        rested = node.rest > 0
        node.fails = 0
        node.rest = 0.0
        if node in self._resting:
            self._end_rest(node)
        return [NodeAnswers(node.key, node)] if rested else []

    def _end_rest(self, node: SubscribedNode) -> None:
        del self._resting[node]
        node.resting = False
        node.standing_changed()
