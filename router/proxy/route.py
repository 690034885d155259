"""Route: node selection for one request; waits if nodes are busy, full, or not announced yet."""

from typing import Final

from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure, TimedOut
from uwsgi_router.router.core.reasons import Reason
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.net.fiber import Fiber, Phase
from uwsgi_router.router.proxy.attempts import Attempts
from uwsgi_router.router.proxy.body import Body
from uwsgi_router.router.proxy.context import Context
from uwsgi_router.router.proxy.no_node import hold_expired, hold_full, no_node
from uwsgi_router.router.proxy.reminder import Reminder
from uwsgi_router.router.proxy.waiter import Waiter
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.subscriptions.node import Node

# Between two tries of a node whose backlog is full.
BUSY_BACKOFF: Final = 0.02


class Route(Waiter):
    """Route: the nodes that one request tries.

    Args:
        context: of the router.
        fiber: of the request.
        request: to be answered.
        body: of the request.

    Attributes:
        owner: the forwarder that gave the node.
        node: name of the node that was chosen last.
        tries: number of nodes chosen; one that was waited for counts once.
        resent: the request was sent a second time (retry).
        budgeted: it counts as a retry in the site's budget.
        connects_until: deadline for all its connects together, on the loop's clock; 0: none was begun.
    """

    __slots__ = (
        "_again",
        "_attempts",
        "_body",
        "_context",
        "_counted",
        "_fiber",
        "_forwarder",
        "_request",
        "budgeted",
        "connects_until",
        "node",
        "owner",
        "resent",
        "tries",
    )

    def __init__(self, context: Context, fiber: Fiber, request: Request, body: Body) -> None:
        # As Waiter.__init__ does: this is done for every request.
        self.granted = None
        self.notified = False
        self._context = context
        self._fiber = fiber
        self._request = request
        self._body = body
        self._forwarder: Forwarder = context.site.routing.forwarder.for_request(request)
        self.owner = self._forwarder
        # Most requests need none of these.
        self._attempts: Attempts | None = None
        self._again: Node | None = None
        self.connects_until = 0.0
        self.node = ""
        self.tries = self._counted = 0
        self.resent = self.budgeted = False

    def wake(self) -> None:
        """Wake the fiber: a node announced itself, or a connection became free."""
        self.notified = True
        self._fiber.wake()

    # --- the next node ---

    def next_nowait(self) -> Node | None:
        """Return the next node, if it is the first or the last one again; else :meth:`next` finds one."""
        again = self._again
        if again is not None:
            self._again = None
            return again
        if self._attempts is not None or self.connects_until:
            return None
        node = self._forwarder.choose(self._request, (), self._context.poller.now)
        if node is not None:
            self.node = node.name
            self.tries += 1
            return node
        return None

    def _begin_attempts(self) -> Attempts:
        return Attempts(self._request, self._context.site.routing, self._forwarder)

    async def next(self) -> Node:
        """Return the next node; wait if all are busy, at their connection limit, or, with hold, not announced yet.

        Raises:
            Failure: there is none.
            ClientGone: the client left meanwhile.
        """
        attempts = self._attempts
        # next_nowait() has just asked, and need not be repeated.
        asked = attempts is None and not self.connects_until
        if attempts is None:
            attempts = self._attempts = self._begin_attempts()
        site, loop, request = self._context.site, self._fiber.loop, self._request
        while True:
            now = loop.time()
            if self.connects_until and now >= self.connects_until:
                attempts.give_up_busy()
                raise self._none(attempts, out_of_time=True)
            if attempts.full and self._is_one_too_many(attempts.full[0][0]):
                # No need to look at all its siblings only to find that they are full, too.
                raise self._queue_full(attempts.full[0][0])
            node = None if asked else attempts.next_of_forwarder(now)
            asked = False
            if node is None and attempts.may_go_on and self._forwarder.must_search(request, now):
                node = await self._fiber.join(self._forwarder.search(request, attempts.passed_over))
                now = loop.time()
            if node is None:
                node = attempts.next_fallback(now)
            if node is not None:
                self._chosen(node, attempts.owner)
                return node
            if attempts.full:
                node = await self._wait_for_connection(attempts)
                if node is not None:
                    return node
            elif attempts.waits_for_busy:
                await self._wait_for_busy(attempts)
            else:
                keys = site.awaited_keys(request, now)
                unable = attempts.unable is not None and not attempts.made
                if attempts.only_busy or unable or not keys or attempts.stopped_by_limit:
                    raise self._none(attempts)
                await self._hold(attempts, keys)

    def _is_one_too_many(self, node: Node) -> bool:
        """Return True if requests wait for the group of ``node``, and there is no room for this one."""
        if not self._context.upstreams.waiting_for(node):
            return False
        return not self._context.site.queue.has_room_for(node.group)

    def _chosen(self, node: Node, owner: Forwarder) -> None:
        self.owner = owner
        self.node = node.name
        if self._attempts is None or not self._attempts.was_waited_for(node):
            self.tries += 1

    # --- waiting ---

    async def _wait_for_busy(self, attempts: Attempts) -> None:
        fiber, timeout = self._fiber, self._context.site.limits.connect_timeout
        now = fiber.loop.time()
        if not attempts.busy_until:
            attempts.busy_until = now + timeout
        fiber.arm(Phase.BUSY, timeout)
        if now < attempts.busy_until:
            await fiber.sleep(BUSY_BACKOFF)
            self._body.check_client()
            attempts.again()
        else:
            attempts.give_up_busy()

    async def _wait_for_connection(self, attempts: Attempts) -> Node | None:
        """Wait in the queue for a connection to one of the nodes at their connection limit.

        Returns:
            The node that has one for this request, or None if the nodes have to be looked at again.

        Raises:
            Failure: too many wait, or it took too long.
        """
        fiber, site, upstreams = self._fiber, self._context.site, self._context.upstreams
        limits, counters = site.limits, site.reporter.counters
        nodes = [node for node, _owner in attempts.full]
        room, group = site.queue, nodes[0].group
        self.notified = False
        upstreams.wait(self, nodes)
        at_once = self.granted
        if at_once is not None:
            upstreams.leave(self, nodes)
            return self._grant(at_once, attempts)
        if not room.enter(self, group):
            upstreams.leave(self, nodes)
            raise self._queue_full(nodes[-1])
        now = fiber.loop.time()
        if not attempts.queued_until:
            counters.queued += 1
            attempts.queued_until = now + limits.backend_queue_timeout
        fiber.arm(Phase.QUEUE, attempts.queued_until - now)
        counters.queueing += 1
        try:
            while self.granted is None and not self.notified:
                await fiber.pause()
                self._body.check_client()
        except TimedOut:
            if self.granted is None:
                text = f"all connections to {nodes[-1].name} were in use for too long"
                timeout = limits.backend_queue_timeout
                raise Failure(reasons.QUEUE_EXPIRED, text, timeout) from None
        finally:
            counters.queueing -= 1
            upstreams.leave(self, nodes)
            made_room = not room.leave(self, group)
        if self.granted is None and made_room:
            raise self._queue_full(nodes[-1])
        # The time spent in the queue is not the connect's.
        self.connects_until = 0.0
        granted = self.granted
        if granted is None:
            attempts.again()
            return None
        return self._grant(granted, attempts)

    def _grant(self, node: Node, attempts: Attempts) -> Node:
        self.granted = node
        attempts.freed(node)
        self._chosen(node, attempts.owner)
        # It was not chosen by its load.
        node.recount()
        return node

    def _queue_full(self, node: Node) -> Failure:
        site = self._context.site
        text = f"all connections to {node.name} are in use"
        text += f" and {len(site.queue)} requests wait for one already"
        return Failure(reasons.QUEUE_FULL, text, site.limits.backend_queue)

    def accepts(self, node: Node) -> bool:
        """Return True unless the node was tried in vain, or can't be told the request."""
        attempts = self._attempts
        if attempts is None or node not in attempts.passed_over:
            return True
        return any(full is node for full, _owner in attempts.full)

    def limit_of(self, node: Node) -> int | None:
        """Return how many connections the node may have."""
        return self._context.site.connection_limit(node)

    async def _hold(self, attempts: Attempts, keys: frozenset[bytes]) -> None:
        """Wait until a node of the key announces itself; without ``hold`` until the table is whole after a start."""
        fiber, site = self._fiber, self._context.site
        limits, counters = site.limits, site.reporter.counters
        now = fiber.loop.time()
        key = self._forwarder.announced_key(self._request, now)
        hold = site.settling if key is None else site.hold
        if not hold.enter(self, self._request.size + self._body.kept, keys, key):
            raise self._hold_full(attempts, len(hold))
        if not attempts.hold_until:
            counters.held += 1
            attempts.hold_until = (
                now + limits.hold if limits.hold else self._forwarder.settled_at(self._request, now)
            )
        fiber.arm(Phase.HOLD, attempts.hold_until - now)
        counters.holding += 1
        self.notified = False
        reminder = Reminder(fiber.loop, self._forwarder, self._request)
        try:
            # Bytes of the client wake the fiber, too: they bring no node.
            while not self.notified:
                await fiber.pause()
                self._body.check_client()
        except TimedOut:
            if not limits.hold:
                raise self._none(attempts) from None
            raise hold_expired(limits.hold) from None
        finally:
            counters.holding -= 1
            stays = hold.leave(self)
            reminder.close()
        if not stays:
            raise self._hold_full(attempts, len(hold))
        attempts.restart()
        # The time spent waiting is not the new node's.
        self.connects_until = attempts.busy_until = 0.0

    def _hold_full(self, attempts: Attempts, waiting: int) -> Failure:
        limits = self._context.site.limits
        return hold_full(limits.hold_max, waiting) if limits.hold else self._none(attempts)

    # --- what became of a node ---

    @property
    def failures(self) -> int:
        """Connects that failed or were not answered; those to a busy node once, when it was waited for in vain."""
        return 0 if self._attempts is None else self._attempts.connects_failed

    def begins_retry(self) -> bool:
        """Return True, once for each, if a connect has failed since the last call."""
        failures = self.failures
        if failures == self._counted:
            return False
        self._counted = failures
        return failures > 0

    def put_back(self) -> None:
        """Take the last choice back: the node is not tried after all."""
        self.tries -= 1
        if self._attempts is None:
            self._attempts = self._begin_attempts()

    def failed(
        self,
        node: Node,
        error: str,
        *,
        cause: Reason = reasons.CONNECT,
        timed_out: bool = False,
    ) -> None:
        """Record that ``node`` could not be connected, or did not answer: it is not chosen again.

        After a refusal, which cost nothing, and after the first connect that was not answered another node is always
        asked; after further ones only within the budget of retries.
        """
        attempts = self._history()
        again = timed_out and attempts.timed_out
        attempts.failed(node, error, cause=cause, timed_out=timed_out)
        if again and not self.may_retry():
            attempts.over_budget = True

    def may_retry(self) -> bool:
        """Count the request as a retry until it has ended; False if there are so many that it must not be one."""
        if not self.budgeted:
            self.budgeted = self._context.site.retries.take()
        return self.budgeted

    def busy(self, node: Node, error: str) -> None:
        """Record that ``node`` takes no connection just now: others first, then this one again."""
        self._history().busy(node, error)

    def cannot_say(self, back: Back, refusal: Failure) -> None:
        """Record that nodes of this protocol can't be told the request: others are asked; else this is its failure."""
        self._history().cannot_say(back, refusal, self._context.site.back_of)

    def full(self, node: Node) -> None:
        """Record that ``node`` is at its connection limit: others first, then the first with a free connection."""
        self._history().has_no_connection(node)

    def same_again(self, node: Node) -> None:
        """Let ``node`` be tried a second time, on a new connection: its kept one was closed."""
        self.resent = True
        self._again = node

    def sent_again(self) -> None:
        """Note that the request goes to another node, with all the time for connects again."""
        self.resent = True
        self.connects_until = 0.0
        if self._attempts is not None:
            self._attempts.busy_until = 0.0

    def move_on(self, node: Node, error: str) -> bool:
        """Choose another node for a request that ``node`` does not begin to answer; False if there is none."""
        attempts, now = self._history(), self._context.poller.now
        if not self.may_retry():
            return False
        other = attempts.next_instead(node, error, now)
        if other is None:
            self._end_retry()
            return False
        self.owner.request_failed(node, now)
        self.sent_again()
        self._chosen(other, attempts.owner)
        self._again = other
        return True

    def _history(self) -> Attempts:
        attempts = self._attempts
        if attempts is None:
            attempts = self._attempts = self._begin_attempts()
        # The node that failed was this one's.
        attempts.owner = self.owner
        return attempts

    def close(self) -> None:
        """Give back a connection that was reserved and not used, and the place in the budget of retries."""
        self._end_retry()
        granted = self.granted
        if granted is not None:
            self.granted = None
            self._context.upstreams.free(granted)

    def _end_retry(self) -> None:
        if self.budgeted:
            self.budgeted = False
            self._context.site.retries.give_back()

    def _none(self, attempts: Attempts, *, out_of_time: bool = False) -> Failure:
        site, now = self._context.site, self._fiber.loop.time()
        return no_node(site, self._request, self._forwarder, attempts, now, out_of_time=out_of_time)
