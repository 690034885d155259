"""Attempts and retries of a request whose first node failed or was busy: bookkeeping without I/O.

Each live node once, or at most ``max_retries`` + 1 nodes; then each fallback once; nodes that were only busy once more
after a while.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.reasons import Reason
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.subscriptions.node import Node


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """Routing policy of a router: forwarder, fallback nodes, limit of retries.

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


class Unable:
    """Protocols in which a request can't be said, and why not."""

    __slots__ = ("_back_of", "backs", "refusal")

    def __init__(
        self, backs: Sequence[Back], back_of: Callable[[Node], Back], refusal: Failure
    ) -> None:
        self.backs = backs
        self._back_of = back_of
        self.refusal = refusal

    def is_of(self, node: Node) -> bool:
        """Return True for a node that speaks one of them."""
        return self._back_of(node) in self.backs


class PassedOver:
    """Nodes that are not chosen: those that were tried, and all whose protocol can't say the request."""

    __slots__ = ("_tried", "_unable")

    def __init__(self, tried: Sequence[Node], unable: Unable) -> None:
        self._tried = tried
        self._unable = unable

    def __contains__(self, node: object) -> bool:
        return node in self._tried or (isinstance(node, Node) and self._unable.is_of(node))

    def __iter__(self) -> Iterator[Node]:
        return iter(self._tried)

    def __len__(self) -> int:
        # Never 0, which would mean that all may be chosen.
        return len(self._tried) + 1


class Attempts:
    """Attempts of one request: nodes tried, busy or full, and the last error.

    Args:
        request: to be answered.
        policy: of the request's site.
        forwarder: the policy's, for this request.

    Attributes:
        tried: nodes that are not chosen again.
        made: number of nodes that failed, without busy ones.
        connects_failed: how many of them could not be connected.
        unable: protocols in which the request can't be said; None: it was said in each that was tried.
        last_error: text of the last failure, for the log.
        cause: reason of the last failure.
        busy_until: end of the wait for busy nodes, on the loop's clock; 0: none yet; likewise ``hold_until`` and
            ``queued_until``.
        timed_out: a connect was not answered.
        only_busy: all nodes have been busy for too long; none is down.
        over_budget: so many requests go to further nodes already that this one does not.
        last_node: name of the node that failed last.
        owner: forwarder that gave the last node.
        full: nodes at their connection limit, with their forwarders.
    """

    __slots__ = (
        "_busy",
        "_forwarder",
        "_policy",
        "_request",
        "_waited_for",
        "busy_until",
        "cause",
        "connects_failed",
        "full",
        "hold_until",
        "last_error",
        "last_node",
        "made",
        "only_busy",
        "over_budget",
        "owner",
        "queued_until",
        "timed_out",
        "tried",
        "unable",
    )

    def __init__(self, request: Request, policy: RoutingPolicy, forwarder: Forwarder) -> None:
        self._request = request
        self._policy = policy
        self._forwarder = forwarder
        # Most requests need none of these.
        self.tried: Sequence[Node] = ()
        self._busy: Sequence[Node] = ()
        self.full: Sequence[tuple[Node, Forwarder]] = ()
        self._waited_for: Sequence[Node] = ()
        self.unable: Unable | None = None
        self.made = self.connects_failed = 0
        self.last_error = ""
        self.cause = reasons.CONNECT
        self.last_node = ""
        self.timed_out = False
        self.only_busy = False
        self.over_budget = False
        self.busy_until = self.hold_until = self.queued_until = 0.0
        self.owner = forwarder

    @property
    def passed_over(self) -> Collection[Node]:
        """The nodes that are not chosen."""
        return self.tried if self.unable is None else PassedOver(self.tried, self.unable)

    @property
    def may_go_on(self) -> bool:
        """False if ``max_retries`` or the budget of retries keeps the request from further nodes."""
        if self.over_budget:
            return False
        return self._policy.max_retries is None or self.made <= self._policy.max_retries

    def next(self, now: float) -> Node | None:
        """Return the next node, a fallback too; None if none is left."""
        return self.next_of_forwarder(now) or self.next_fallback(now)

    def next_of_forwarder(self, now: float) -> Node | None:
        """Return the forwarder's next node, if another may be tried."""
        if not self.may_go_on:
            return None
        self.owner = self._forwarder
        return self._forwarder.choose(self._request, self.passed_over, now)

    def next_fallback(self, now: float) -> Node | None:
        """Return the next fallback: after a failure, or for any key that has nodes; for others only if asked for."""
        policy = self._policy
        if self._busy or self.full or self.over_budget:
            return None
        if not (
            self.made or policy.fallback_on_no_key or self._forwarder.has_nodes(self._request, now)
        ):
            return None
        self.owner = policy.fallback
        return policy.fallback.choose(self._request, self.passed_over, now)

    def failed(
        self, node: Node, error: str, *, cause: Reason = reasons.CONNECT, timed_out: bool = False
    ) -> None:
        """Record that ``node`` could not be connected, or did not answer: it is not chosen again."""
        self.tried = (*self.tried, node)
        self.made += 1
        if cause is reasons.CONNECT:
            self.connects_failed += 1
        self.last_error = error
        self.cause = cause
        self.last_node = node.name
        self.only_busy = False
        self.timed_out = self.timed_out or timed_out

    def next_instead(self, node: Node, error: str, now: float) -> Node | None:
        """Return the node to ask instead of ``node``, which begins no answer; None: there is none, nothing changes."""
        before = self.tried, self.made
        # What the choice depends on, as if it had failed.
        self.tried, self.made = (*self.tried, node), self.made + 1
        other = self.next(now)
        self.tried, self.made = before
        if other is not None:
            self.failed(node, error, cause=reasons.NO_ANSWER_IN_TIME)
        return other

    def busy(self, node: Node, error: str) -> None:
        """Record that ``node`` takes no connection just now (backlog full): others first, then this one again."""
        self.tried = (*self.tried, node)
        self._busy = (*self._busy, node)
        self._wait_for(node)
        self.last_error = error
        self.last_node = node.name

    def has_no_connection(self, node: Node) -> None:
        """Record that ``node`` is at its connection limit: others first, then the first with a free connection."""
        self.tried = (*self.tried, node)
        self.full = (*self.full, (node, self.owner))
        self._wait_for(node)

    def _wait_for(self, node: Node) -> None:
        if node not in self._waited_for:
            self._waited_for = (*self._waited_for, node)

    def was_waited_for(self, node: Node) -> bool:
        """Return True if ``node`` was busy or full before: to look at it again is no further try."""
        return node in self._waited_for

    def cannot_say(self, back: Back, refusal: Failure, back_of: Callable[[Node], Back]) -> None:
        """Record that no node that speaks ``back``'s protocol can be told the request: only others are chosen."""
        backs = () if self.unable is None else self.unable.backs
        self.unable = Unable((*backs, back), back_of, refusal)

    def freed(self, node: Node) -> None:
        """Record that one of ``node``'s connections is free, and reserved for this request."""
        # One that has come since was not found full.
        owners = (owner for full, owner in self.full if full.group is node.group)
        self.owner = next(owners, self._forwarder)
        self.again()

    @property
    def waits_for_busy(self) -> bool:
        """True if trying again after a moment may help."""
        return bool(self._busy)

    def again(self) -> None:
        """Let the busy nodes, and those without a free connection, be chosen again."""
        passed_over = [*self._busy, *(node for node, _owner in self.full)]
        self.tried = [node for node in self.tried if node not in passed_over]
        self._busy = self.full = ()

    def give_up_busy(self) -> None:
        """Count the busy nodes as failed: they have been waited for long enough."""
        if self._busy:
            self.only_busy = not self.made
            self.made += len(self._busy)
            self.connects_failed += len(self._busy)
            self._busy = ()

    @property
    def stopped_by_limit(self) -> bool:
        """True if ``max_retries`` or the budget keeps the request from further nodes: then none is to be waited for."""
        return self.over_budget or (
            not self.may_go_on and self._forwarder.has_untried(self._request, self.passed_over)
        )

    def restart(self) -> None:
        """Let every node be tried again, for one has announced itself."""
        self.tried = self._busy = self.full = ()
        self.made = self.connects_failed = 0
        self.only_busy = self.timed_out = False
