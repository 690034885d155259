"""Which node a request goes to next, and waiting for one: busy ones, those without a free connection, those to come."""

from collections.abc import Awaitable
from http import HTTPStatus
from typing import TYPE_CHECKING

from uwsgi_router.router.core.failure import Failure, TimedOut
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.proxy.route import Attempts
from uwsgi_router.subscriptions.node import Node

if TYPE_CHECKING:
    from uwsgi_router.router.proxy.exchange import Session

# Between two tries of a node whose backlog is full.
BUSY_BACKOFF = 0.02


def choose(session: "Session", request: Request, attempts: Attempts) -> Node | Awaitable[Node]:
    """Return the node to try next, or an awaitable of it, which waits for busy and, if configured, for future ones.

    Raises (the awaitable does):
        Failure: if there is none.
        ClientGone: the client left meanwhile.
    """
    if session.connects_until:
        return _choose(session, request, attempts)
    found = attempts.next(session.loop.time())
    if isinstance(found, Node):
        attempts.chosen(found)
        return found
    return _choose(session, request, attempts, asked=True, found=found)


async def _choose(
    session: "Session",
    request: Request,
    attempts: Attempts,
    *,
    asked: bool = False,
    found: Node | Awaitable[Node | None] | None = None,
) -> Node:
    """See :func:`choose`; ``found`` is what the forwarder has said already if it was ``asked``."""
    gateway, config = session.gateway, session.gateway.config
    while True:
        now = session.loop.time()
        if session.connects_until and now >= session.connects_until:
            attempts.give_up_busy()
            raise gateway.no_node(request, attempts, out_of_time=True)
        if not asked:
            found = attempts.next(now)
        asked = False
        if found is not None and not isinstance(found, Node):
            found = await session.join(found)
            if found is None:
                # Only now it is known that the forwarder has none.
                found = attempts.next_fallback(session.loop.time())
                assert found is None or isinstance(found, Node)
        if found is not None:
            attempts.chosen(found)
            return found
        if attempts.full:
            granted = await _wait_for_connection(session, attempts)
            if granted is not None:
                return granted
            continue
        if attempts.waits_for_busy:
            if not session.busy_until:
                session.busy_until = now + config.connect_timeout
            session.arm("busy", config.connect_timeout)
            if now < session.busy_until:
                await session.sleep(BUSY_BACKOFF)
                session.check_client()
                attempts.again()
            else:
                attempts.give_up_busy()
            continue
        keys = gateway.awaited_keys(request)
        if attempts.only_busy or not keys or attempts.stopped_early:
            raise gateway.no_node(request, attempts)
        await _hold(session, request, attempts, keys)


async def _wait_for_connection(session: "Session", attempts: Attempts) -> Node | None:
    """Wait in line for a connection to one of the nodes that have none free.

    Returns:
        The node that has one for this request, or None if the nodes have to be looked at again.

    Raises:
        Failure: too many wait, or it took too long.
    """
    gateway, config, counters = session.gateway, session.gateway.config, session.gateway.counters
    nodes = [node for node, _owner in attempts.full]
    for node in nodes:
        # While others were tried it may have come to have one; who would tell us later?
        if gateway.upstreams.reserve(node, gateway.connection_limit(node)):
            session.granted = node
            attempts.freed(node)
            return node
    if counters.queueing >= config.backend_queue:
        raise Failure(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "queue-full",
            f"all connections to {nodes[-1].name} are in use and {counters.queueing} requests wait for one already",
            f"{gateway.name}-backend-queue={config.backend_queue}",
        )
    now = session.loop.time()
    limit = config.timeout if config.backend_queue_timeout is None else config.backend_queue_timeout
    if not session.queued_until:
        counters.queued += 1
        session.queued_until = now + limit
    session.arm("queue", session.queued_until - now)
    upstreams = gateway.upstreams
    upstreams.wait(session, nodes)
    counters.queueing += 1
    try:
        while session.granted is None and upstreams.is_waiting(session, nodes):
            await session.pause()
            session.check_client()
    except TimedOut:
        if session.granted is None:
            raise Failure(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "queue-expired",
                f"all connections to {nodes[-1].name} were in use for too long",
                f"{gateway.name}-backend-queue-timeout={limit:g}",
            ) from None
    finally:
        counters.queueing -= 1
        upstreams.leave(session, nodes)
    # The time spent in the queue is not the connect's.
    session.connects_until = 0.0
    if session.granted is None:
        attempts.again()
        return None
    attempts.freed(session.granted)
    return session.granted


async def _hold(
    session: "Session", request: Request, attempts: Attempts, keys: frozenset[bytes]
) -> None:
    """Wait until a node of the key announces itself."""
    gateway, config = session.gateway, session.gateway.config
    size = request.size + session.kept_of_body(request)
    if not gateway.hold.enter(session, size, keys):
        raise Failure(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "hold-full",
            f"no node is up and {len(gateway.hold)} requests wait for one already",
            f"{gateway.name}-hold-max={config.hold_max}",
        )
    counters = gateway.counters
    if not session.hold_until:
        counters.held += 1
        session.hold_until = session.loop.time() + config.hold
    session.arm("hold", session.hold_until - session.loop.time())
    counters.holding += 1
    try:
        await session.pause()
        session.check_client()
    except TimedOut:
        raise Failure(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "hold-expired",
            "no node announced itself in time",
            f"{gateway.name}-hold={config.hold:g}",
        ) from None
    finally:
        counters.holding -= 1
        gateway.hold.leave(session)
    attempts.restart()
    # The time spent waiting is not the new node's.
    session.connects_until = session.busy_until = 0.0
