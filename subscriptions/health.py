"""Health of nodes: ejection after failed requests (passive), results of health checks (active).

A node whose checks fail is *unhealthy* and never chosen, however often it announces itself: it said
itself that it can't serve. A node that failed several requests in a row is *ejected*: it is chosen
after all others that live, for a second, then for two, up to a minute; one answer ends that. An
ejection is only a guess, so if all nodes of a pool are ejected they are used all the same.

Prober and forwarders report results here; nothing here knows of sockets or logs.
"""

from collections.abc import Collection
from typing import Final

from uwsgi_router.protocol.subscription import Proto
from uwsgi_router.subscriptions.events import (
    Event,
    NodeAnswers,
    NodeEjected,
    NodeHealthy,
    NodeUnhealthy,
)
from uwsgi_router.subscriptions.node import Node, SubscribedNode

#: Seconds of the first ejection; the next is twice as long.
FIRST_EJECTION: Final = 1.0
LONGEST_EJECTION: Final = 60.0
#: Why a node that has to pass a check first is not used yet.
UNCHECKED: Final = "it was not checked yet"


class Ejections:
    """Ejections of nodes that failed several requests in a row: each the longer, until the node answers.

    Args:
        max_fails: failed requests in a row after which a node is ejected; 0: never.
        first: seconds of the first ejection; the next is twice as long.
    """

    __slots__ = ("_first", "_max_fails", "_until")

    def __init__(self, max_fails: int = 5, first: float = FIRST_EJECTION) -> None:
        self._max_fails = max_fails
        self._first = first
        self._until: dict[Node, float] = {}

    def __len__(self) -> int:
        """Return how many nodes are ejected."""
        return len(self._until)

    def failed(self, node: Node, now: float) -> bool:
        """Record a request that ``node`` took and did not answer, or not in time, or not well; True: it is ejected."""
        if not self._max_fails or node.ejected:
            return False
        node.fails += 1
        if node.fails < self._max_fails:
            return False
        # Until it answers, each further failure is enough for the next ejection.
        node.ejection = min(2 * node.ejection or self._first, LONGEST_EJECTION)
        node.ejected = True
        node.rank_changed()
        self._until[node] = now + node.ejection
        return True

    def answered(self, node: Node) -> bool:
        """Record a request that ``node`` answered; True: it had been ejected."""
        was_ejected = node.ejection > 0
        node.fails = 0
        node.ejection = 0.0
        if node in self._until:
            self._readmit(node)
        return was_ejected

    def sweep(self, now: float) -> list[Node]:
        """End the ejections that are over; return their nodes."""
        over = [node for node, until in self._until.items() if now >= until]
        for node in over:
            self._readmit(node)
        return over

    def until(self, node: Node) -> float:
        """Return when the ejection of a node ends; 0: it is not ejected."""
        return self._until.get(node, 0.0)

    def adopt(self, node: Node, until: float) -> None:
        """Take over from another process whether a node is ejected, and until when; 0: it is not."""
        if until:
            self._until[node] = until
        else:
            self._until.pop(node, None)
        node.ejected = until > 0

    def forget(self, node: Node) -> None:
        """Forget a node that is not used any more."""
        self._until.pop(node, None)

    def _readmit(self, node: Node) -> None:
        del self._until[node]
        node.ejected = False
        node.rank_changed()


class Health:
    """Health of the nodes of one table.

    Args:
        max_fails: failed requests in a row after which a node is ejected; 0: never.
        checked_first: nodes that speak one of these are used only once a check has succeeded.
        first_ejection: seconds of the first ejection; the next is twice as long.
    """

    __slots__ = ("_checked_first", "_ejections")

    def __init__(
        self,
        max_fails: int = 5,
        checked_first: Collection[Proto] = (),
        first_ejection: float = FIRST_EJECTION,
    ) -> None:
        self._checked_first = checked_first
        self._ejections = Ejections(max_fails, first_ejection)

    def __repr__(self) -> str:
        return f"<Health ejected={len(self._ejections)}>"

    # --- Reports of the table ---

    def added(self, node: SubscribedNode) -> None:
        """Note a node that was not there, or not any more; its protocol is known."""
        if node.proto in self._checked_first:
            self._set_failure(node, UNCHECKED)

    def restored(self, node: SubscribedNode) -> None:
        """Note a node that was used before the program's start: it is used until a check fails."""
        self._set_failure(node, "")

    def removed(self, node: SubscribedNode) -> None:
        """Forget a node that is not in the table any more."""
        self._ejections.forget(node)

    def sweep(self, now: float) -> list[Node]:
        """End the ejections that are over; return their nodes."""
        return self._ejections.sweep(now)

    # --- Results of health checks ---

    def unhealthy(self, node: SubscribedNode, reason: str) -> list[Event]:
        """Record that enough checks of ``node`` failed in a row; ``reason`` is the last one's, in our words."""
        news = not node.check_failure or node.check_failure == UNCHECKED
        self._set_failure(node, reason)
        return [NodeUnhealthy(node.key, node, reason)] if news else []

    def healthy(self, node: SubscribedNode) -> list[Event]:
        """Record that enough checks of ``node`` succeeded in a row."""
        if not node.check_failure:
            return []
        self._set_failure(node, "")
        return [NodeHealthy(node.key, node)]

    @staticmethod
    def _set_failure(node: SubscribedNode, reason: str) -> None:
        if bool(node.check_failure) != bool(reason):
            node.rank_changed()
        node.check_failure = reason

    # --- Results of requests ---

    def request_failed(self, node: SubscribedNode, now: float) -> list[Event]:
        """Record a request that ``node`` took and did not answer, or not in time, or not well."""
        if node.removed or not self._ejections.failed(node, now):
            return []
        return [NodeEjected(node.key, node, node.ejection)]

    def request_answered(self, node: SubscribedNode) -> list[Event]:
        """Record a request that ``node`` answered."""
        if not node.fails:
            return []
        return [NodeAnswers(node.key, node)] if self._ejections.answered(node) else []
