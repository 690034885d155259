"""Which node a request tries next: pure bookkeeping, no I/O.

Each live node once, or at most ``max_retries`` + 1 nodes; then each fallback once; nodes that were only busy once more
after a while. Source: DESIGN section 4 (Connecting, Sending again); what uWSGI does: routers-core sheet 1.6 to 1.8.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from uwsgi_router.router.core.request import Request
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.subscriptions.node import Node


@dataclass(frozen=True, slots=True)
class Plan:
    """What the attempts of all requests of a router have in common.

    Attributes:
        forwarder: finds the nodes.
        fallback: the nodes that stand in for those.
        max_retries: None: each live node once; N: at most N + 1 of them.
        fallback_on_no_key: fallbacks serve unknown keys too.
    """

    forwarder: Forwarder
    fallback: Forwarder
    max_retries: int | None
    fallback_on_no_key: bool


class Attempts:
    """The attempts of one request.

    Attributes:
        made: connects that failed or were not answered, busy ones not counted.
        last_error: what the last of them ended with, for the log.
        reason: short words for that, as in Failure.
        timed_out: one of them got no answer to its connect.
        only_busy: every node that there is has been busy for too long; none is down.
        last_node: whose error that was.
        node: the name of the node that was chosen last.
        owner: the forwarder that gave it.
        tries: how many nodes were chosen, busy ones each time.
        resent: the request was sent a second time.
        full: nodes that have as many connections as they may: one of theirs has to become free.
    """

    __slots__ = (
        "_busy",
        "_plan",
        "_request",
        "_tried",
        "full",
        "last_error",
        "last_node",
        "made",
        "node",
        "only_busy",
        "owner",
        "reason",
        "resent",
        "timed_out",
        "tries",
    )

    def __init__(self, request: Request, plan: Plan) -> None:
        self._request = request
        self._plan = plan
        # Most requests need none of these.
        self._tried: Sequence[Node] = ()
        self._busy: Sequence[Node] = ()
        self.full: Sequence[tuple[Node, Forwarder]] = ()
        self.made = 0
        self.last_error = ""
        self.reason = "connect"
        self.last_node = ""
        self.node = ""
        self.tries = 0
        self.timed_out = False
        self.only_busy = False
        self.resent = False
        self.owner = plan.forwarder

    def next(self, now: float) -> Node | Awaitable[Node | None] | None:
        """Return the next node to connect, an awaitable of it, or None if none is left."""
        plan = self._plan
        if plan.max_retries is None or self.made <= plan.max_retries:
            self.owner = plan.forwarder
            found = plan.forwarder.choose(self._request, self._tried, now)
            if found is not None:
                return found
        return self.next_fallback(now)

    def next_fallback(self, now: float) -> Node | Awaitable[Node | None] | None:
        """Return the next fallback: after a failure, or for any key that has nodes; for others only if asked for."""
        plan = self._plan
        if self._busy or self.full:
            return None
        if not (
            self.made or plan.fallback_on_no_key or plan.forwarder.has_nodes(self._request, now)
        ):
            return None
        self.owner = plan.fallback
        return plan.fallback.choose(self._request, self._tried, now)

    def chosen(self, node: Node) -> None:
        """``node`` is tried now."""
        self.node = node.name
        self.tries += 1

    def same_again(self, node: Node) -> None:
        """``node`` is to be tried a second time: only its kept connection was dead."""
        self.resent = True
        self.node = node.name

    def put_back(self) -> None:
        """The node that was chosen is not tried after all, or not yet."""
        self.tries -= 1

    def failed(
        self, node: Node, error: str, *, reason: str = "connect", timed_out: bool = False
    ) -> None:
        """``node`` could not be connected, or did not answer: not this one again."""
        self._tried = (*self._tried, node)
        self.made += 1
        self.last_error = error
        self.reason = reason
        self.last_node = node.name
        self.only_busy = False
        self.timed_out = self.timed_out or timed_out

    def busy(self, node: Node, error: str) -> None:
        """``node`` takes no connection just now: others first, then this one again."""
        self._tried = (*self._tried, node)
        self._busy = (*self._busy, node)
        self.last_error = error
        self.last_node = node.name

    def has_no_connection(self, node: Node) -> None:
        """``node`` has no connection free: others first, then the first that has."""
        self._tried = (*self._tried, node)
        self.full = (*self.full, (node, self.owner))

    def freed(self, node: Node) -> None:
        """One of ``node``'s connections is free, and is this request's."""
        self.owner = next(owner for full, owner in self.full if full is node)
        self.again()
        self.chosen(node)

    @property
    def waits_for_busy(self) -> bool:
        """True if trying again after a moment may help."""
        return bool(self._busy)

    def again(self) -> None:
        """Let the busy nodes, and those without a free connection, be chosen again."""
        passed_over = [*self._busy, *(node for node, _owner in self.full)]
        self._tried = [node for node in self._tried if node not in passed_over]
        self._busy = self.full = ()

    def give_up_busy(self) -> None:
        """The busy nodes have been waited for long enough: they count as failed."""
        if self._busy:
            self.only_busy = not self.made
            self.made += len(self._busy)
            self._busy = ()

    @property
    def stopped_early(self) -> bool:
        """True if only ``max_retries`` keeps the request from further nodes: then none is to be waited for."""
        return (
            self._plan.max_retries is not None
            and self.made > self._plan.max_retries
            and self._plan.forwarder.has_untried(self._request, self._tried)
        )

    def restart(self) -> None:
        """A node has announced itself: every node may be tried again."""
        self._tried = self._busy = self.full = ()
        self.made = 0
        self.only_busy = self.timed_out = False
