"""Connecting a session to a node, and sorting out what failures mean for the node (DESIGN section 4, Connecting)."""

import asyncio
import errno
from typing import TYPE_CHECKING

from protocol.address import InetAddress
from router.backs.uwsgi import request_head
from router.engine.attempts import Attempts
from router.failure import TimedOut
from router.net.connect import BUSY, SHORTAGE, Endpoint, begin, endpoint, outcome
from router.net.link import Link
from router.request import Request
from subscriptions.node import Node

if TYPE_CHECKING:
    from router.engine.session import Session

# A connect that has not been answered for so long is probably not going to be: others avoid the node meanwhile.
SLOW_CONNECT = 1.0
# The connection was made and broke before it took a byte: nothing is marked, and nothing was sent.
_BROKE = frozenset({errno.EPIPE, errno.ECONNRESET})


async def dial(session: "Session", request: Request, node: Node, attempts: Attempts) -> Link | None:
    """Connect to ``node`` and send it the head of ``request``.

    Returns:
        The connection, or None if there is none: then ``attempts`` knows, and so does the node's forwarder if it
        was the node's fault.

    Raises:
        ClientGone: the client left meanwhile.
    """
    gateway = session.gateway
    session.phase = "connect"
    if attempts.made:
        gateway.counters.retries += 1
    head = request_head(
        request, None if gateway.config.keep_modifiers else (node.modifier1, node.modifier2)
    )
    began = session.loop.time()
    if not session.connects_until:
        session.connects_until = began + gateway.config.timeout
    error: OSError | TimedOut | None = None
    node.connect_started()
    try:
        known = endpoint(node.address)
        for where in (known,) if known is not None else await _resolve(session, node):
            try:
                link = await _connect(session, node, where, head)
            except (OSError, TimedOut) as exc:
                error = exc
            else:
                node.connected()
                session.connect_time = session.loop.time() - began
                return link
    except OSError as exc:
        error = OSError(
            errno.EHOSTUNREACH, f"its name can't be resolved: {exc.strerror or 'no answer in time'}"
        )
    except BaseException:
        node.connect_abandoned()
        raise
    _failed(
        session, node, attempts, error or OSError(errno.EHOSTUNREACH, "the name has no address")
    )
    return None


async def _resolve(session: "Session", node: Node) -> list[Endpoint]:
    assert isinstance(node.address, InetAddress)
    resolver = session.gateway.resolver
    known = resolver.fresh(node.address)
    if known is not None:
        return known
    async with asyncio.timeout(session.gateway.config.connect_timeout):
        return await resolver.resolve(node.address)


async def _connect(session: "Session", node: Node, where: Endpoint, head: bytes) -> Link:
    """Return a connection that has taken ``head``.

    Raises:
        OSError: from the kernel.
        TimedOut: the connect was not answered in time.
    """
    sock, connected = begin(where, node.socket_owner)
    link = Link(session.gateway.poller, sock, session)
    try:
        sent = 0
        if not connected:
            # Over loopback the handshake was done inside the call; a first write tells so without a turn of the loop.
            try:
                sent = sock.send(head)
            except BlockingIOError:
                await _answered(session, link, node)
        if sent < len(head):
            link.write(head[sent:] if sent else head)
    except BaseException:
        link.close()
        raise
    node.rx += len(head)
    return link


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


def _failed(session: "Session", node: Node, attempts: Attempts, error: OSError | TimedOut) -> None:
    """Note a failed connect where it belongs: on the node, or only with this request."""
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
