"""Connecting a session to a node, and sorting out what failures mean for the node (DESIGN section 4, Connecting)."""

import asyncio
import errno
from collections.abc import Awaitable
from time import monotonic
from typing import TYPE_CHECKING

from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.config.model import RouterConfig
from uwsgi_router.router.core.failure import TimedOut
from uwsgi_router.router.core.request import REPEATABLE_IF_KEPT, Request
from uwsgi_router.router.net.connect import BUSY, SHORTAGE, Endpoint, begin_bare, endpoint, outcome
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.proxy.route import Attempts
from uwsgi_router.router.proxy.upstream_pool import Upstreams
from uwsgi_router.subscriptions.node import Node

if TYPE_CHECKING:
    from uwsgi_router.router.proxy.exchange import Session

# A connect that has not been answered for so long is probably not going to be: others avoid the node meanwhile.
SLOW_CONNECT = 1.0
# A kept connection that was idle for longer may be closed just now: not for a request that can't be repeated.
STALE = 1.0
# The connection was made and broke before it took a byte: nothing is marked, and nothing was sent.
_BROKE = frozenset({errno.EPIPE, errno.ECONNRESET})


def dial(
    session: "Session",
    request: Request,
    node: Node,
    back: Back,
    attempts: Attempts,
    *,
    fresh: bool,
) -> Link | Awaitable[Link | None] | None:
    """Get a connection to ``node``, kept or new, and send it the head of ``request``.

    Args:
        session: gets the connection as its ``upstream``.
        request: whose head.
        node: where to.
        back: the node's protocol.
        attempts: hears of failures.
        fresh: not a kept one: the last had been closed.

    Returns:
        The connection, or None if there is none: then ``attempts`` knows, and so does the node's forwarder if it
        was the node's fault. An awaitable of either if that has to be waited for.

    Raises:
        ClientGone: the client left meanwhile (the awaitable does).
        Failure: the request can't be said in the node's protocol.
    """
    gateway = session.gateway
    session.phase = "connect"
    if attempts.made:
        gateway.counters.retries += 1
    head = back.request_head(request, node)
    session.head_size = len(head)
    session.reused = False
    if back.keeps_connections:
        limit, upstreams = gateway.connection_limit(node), gateway.upstreams
        if session.granted is node:
            session.granted = None
        elif not upstreams.reserve(node, limit):
            attempts.has_no_connection(node)
            session.drop_upstream()
            return None
        session.place = node
        if not (fresh or attempts.resent or request.raw):
            link = _kept(session, request, node, head, upstreams)
            if link is not None:
                return link
        upstreams.make_room(node, limit)
    return _dial(session, node, attempts, head)


def _kept(
    session: "Session", request: Request, node: Node, head: bytes, upstreams: Upstreams
) -> Link | None:
    """Return a kept connection that has taken ``head``, or None if there is none that may be used."""
    repeatable = request.method in REPEATABLE_IF_KEPT and not (
        request.content_length or request.chunked
    )
    while True:
        link = upstreams.take(node) if repeatable else upstreams.take_alive(node, STALE)
        if link is None:
            return None
        link.owned_by(session)
        try:
            link.write(head)
        except OSError:
            # It was closed before it took a byte: nothing was sent.
            link.close()
            continue
        node.used_again()
        session.upstream = link
        session.reused = True
        return link


def _dial(
    session: "Session", node: Node, attempts: Attempts, head: bytes
) -> Link | Awaitable[Link | None] | None:
    """Connect to ``node`` and send ``head``; None if that failed, which has been noted."""
    if not session.connects_until:
        session.connects_until = session.loop.time() + session.gateway.config.timeout
    session.dialled = monotonic()
    node.connect_started()
    where = endpoint(node.address)
    if where is None:
        return _dial_name(session, node, attempts, head)
    try:
        link, connected = _begin(session, node, where, head)
    except OSError as exc:
        _note(session, node, attempts, exc)
        return None
    if connected:
        return _connected(session, node, link)
    return _dial_slowly(session, node, attempts, link, head)


async def _dial_slowly(
    session: "Session", node: Node, attempts: Attempts, link: Link, head: bytes
) -> Link | None:
    """Wait until the connect is answered; see :func:`_dial`."""
    try:
        await _finish(session, link, node, head)
    except (OSError, TimedOut) as exc:
        _note(session, node, attempts, exc)
        return None
    except BaseException:
        node.connect_abandoned()
        raise
    return _connected(session, node, link)


async def _dial_name(
    session: "Session", node: Node, attempts: Attempts, head: bytes
) -> Link | None:
    """Try each address that the node's name has; see :func:`_dial`."""
    error: OSError | TimedOut = OSError(errno.EHOSTUNREACH, "the name has no address")
    try:
        for where in await _resolve(session, node):
            try:
                link, connected = _begin(session, node, where, head)
                if not connected:
                    await _finish(session, link, node, head)
            except (OSError, TimedOut) as refusal:
                error = refusal
            else:
                return _connected(session, node, link)
    except OSError as exc:
        error = OSError(
            errno.EHOSTUNREACH, f"its name can't be resolved: {exc.strerror or 'no answer in time'}"
        )
    except BaseException:
        node.connect_abandoned()
        raise
    _note(session, node, attempts, error)
    return None


def _connected(session: "Session", node: Node, link: Link) -> Link:
    node.connected()
    session.connect_time = monotonic() - session.dialled
    session.upstream = link
    return link


async def _resolve(session: "Session", node: Node) -> list[Endpoint]:
    assert isinstance(node.address, InetAddress)
    resolver = session.gateway.resolver
    known = resolver.fresh(node.address)
    if known is not None:
        return known
    return await session.join(_look_up(resolver, node.address, session.gateway.config))


async def _look_up(
    resolver: Resolver, address: InetAddress, config: RouterConfig
) -> list[Endpoint]:
    async with asyncio.timeout(config.connect_timeout):
        return await resolver.resolve(address)


def _begin(session: "Session", node: Node, where: Endpoint, head: bytes) -> tuple[Link, bool]:
    """Begin to connect; return the connection, and whether it is there and has taken ``head``.

    Raises:
        OSError: from the kernel.
    """
    sock, connected = begin_bare(where, node.socket_owner)
    link = Link(session.gateway.poller, sock, session, node)
    try:
        if connected:
            link.write(head)
            return link, True
        # Over loopback the handshake was done inside the call; a first write tells so without a turn of the loop.
        return link, link.write_first(head)
    except BaseException:
        link.close()
        raise


async def _finish(session: "Session", link: Link, node: Node, head: bytes) -> None:
    """Wait until ``link`` is connected, and send ``head``; otherwise close it.

    Raises:
        OSError: from the kernel.
        TimedOut: the connect was not answered in time.
    """
    try:
        await _answered(session, link, node)
        link.write(head)
    except BaseException:
        link.close()
        raise


async def _answered(session: "Session", link: Link, node: Node) -> None:
    """Wait until ``link`` is connected, and tell the node when that takes long.

    Raises:
        OSError: it was refused.
        TimedOut: it was not answered.
    """
    loop = session.loop
    limit = min(
        session.gateway.config.connect_timeout, max(session.connects_until - loop.time(), 0.0)
    )
    done = False

    def writable() -> None:
        nonlocal done
        done = True
        link.when_writable(None)
        session.wake()

    link.when_writable(writable)
    for seconds in (min(SLOW_CONNECT, limit), max(limit - SLOW_CONNECT, 0.0)):
        session.arm("connect", seconds)
        try:
            while not done:
                await session.pause()
                session.check_client()
            outcome(link.sock)
            return
        except TimedOut:
            node.connect_slow()
    raise TimedOut


def _note(session: "Session", node: Node, attempts: Attempts, error: OSError | TimedOut) -> None:
    """Note a failed connect where it belongs: on the node, or only with this request."""
    session.drop_upstream()
    gateway, owner = session.gateway, attempts.owner
    if isinstance(error, TimedOut):
        gateway.unable_to_connect(node, attempts.made, "timeout")
        owner.connect_failed(node, session.loop.time(), timed_out=True)
        attempts.failed(node, "timeout", timed_out=True)
        return
    text = error.strerror or str(error)
    if error.errno in BUSY or error.errno in SHORTAGE:
        node.connect_abandoned()
        attempts.busy(node, text)
        if error.errno in SHORTAGE:
            gateway.shortage(node, text)
        return
    gateway.unable_to_connect(node, attempts.made, text)
    if error.errno in _BROKE:
        node.connect_abandoned()
    else:
        owner.connect_failed(node, session.loop.time(), timed_out=False)
    attempts.failed(node, text)
