"""The end of a request: the last byte of the answer, or an explanation of why there is none."""

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from uwsgi_router.router.core.failure import ClientGone, Failure, TimedOut
from uwsgi_router.router.net.link import HIGH, Link
from uwsgi_router.router.proxy.pump import Download
from uwsgi_router.subscriptions.node import Node

if TYPE_CHECKING:
    from uwsgi_router.router.proxy.exchange import Session

# After an answer that came before the upload's end: how long we read on, so that the client is not reset before it has
# read the answer (as nginx's lingering_timeout and lingering_time).
LINGER_IDLE = 5.0
LINGER_TOTAL = 30.0


def needs_delivery(session: "Session", download: Download) -> bool:
    """True if an answer's last byte has not just been sent, all being well, or something of the request is left."""
    return bool(
        session.client.backlog
        or session.spool is not None
        or download.error is not None
        or not session.uploaded
    )


async def deliver(session: "Session", download: Download) -> None:
    """See to it that the client gets the last byte of an answer.

    Raises:
        Failure: the answer is not complete, or the client does not take it.
    """
    client = session.client
    session.drop_spool()
    if client.backlog:
        session.arm("delivery", session.gateway.config.timeout, sliding=True)
        try:
            while client.backlog:
                await session.pause()
        except TimedOut:
            raise _client_stalled(session) from None
    # A node that leaves any byte of a body unread resets by closing; that says nothing about its answer.
    if download.error is not None and not download.complete and session.sent_only_its_head:
        raise Failure(
            HTTPStatus.BAD_GATEWAY,
            "reset",
            f"{download.node.name} reset its connection after {download.count} bytes of its answer",
        )
    if not session.uploaded:
        await linger(session)


def stalled(session: "Session", node: Node, upstream: Link, count: int) -> Failure:
    """Return who let an exchange stall: the client, if it does not read, or owes a body that the node would take.

    Args:
        session: whose exchange.
        node: the node.
        upstream: its connection.
        count: bytes of its answer that came.
    """
    if session.client.backlog:
        return _client_stalled(session)
    config, name = session.gateway.config, session.gateway.name
    if not session.uploaded and not upstream.backlog and not count:
        return body_stalled(session)
    return Failure(
        HTTPStatus.GATEWAY_TIMEOUT,
        "stalled" if count else "no-answer-in-time",
        f"{node.name} sent no byte for {config.timeout:g} s, {count} bytes came before",
        f"{name}-timeout={config.timeout:g}",
    )


def body_stalled(session: "Session") -> Failure:
    """Return that the client does not send the rest of its body."""
    config, name = session.gateway.config, session.gateway.name
    return Failure(
        HTTPStatus.REQUEST_TIMEOUT,
        "body-timeout",
        f"the client stalled inside its body, {session.missing}",
        f"{name}-timeout={config.timeout:g}",
    )


def _client_stalled(session: "Session") -> Failure:
    timeout = session.gateway.config.timeout
    return Failure(
        HTTPStatus.REQUEST_TIMEOUT,
        "client-stalled",
        f"the client read nothing for {timeout:g} s, {session.client.backlog} bytes of the answer were left",
        f"{session.gateway.name}-timeout={timeout:g}",
    )


async def report(session: "Session", failure: Failure) -> None:
    """Count and log a failure; answer it, if answers are wanted and possible."""
    gateway, client = session.gateway, session.client
    gateway.failed(session, failure)
    if session.said_goodbye:
        await linger(session)
        return
    if session.answered:
        # Part of an answer has gone out: an orderly end would make it pass for the whole.
        client.reset()
        return
    if gateway.config.errors == "close" or client.closed:
        return
    try:
        client.write(session.error_answer(failure))
        session.arm("error", LINGER_IDLE)
        while client.backlog:
            await session.pause()
    except (OSError, ClientGone, TimedOut):
        return
    except asyncio.CancelledError:
        # The router stops. The request was counted; what is left would only be waiting.
        client.close()
        return
    if not session.uploaded:
        await linger(session)


async def linger(session: "Session") -> None:
    """Read on for a while, then close: at once would reset the client before it has read its answer.

    The request has been served by now; so a router that stops only ends the waiting.
    """
    client, loop = session.client, session.loop
    try:
        client.write_eof()
        until = loop.time() + LINGER_TOTAL
        client.read_with(session.wake)
        session.arm("linger", LINGER_IDLE, sliding=True)
        while loop.time() < until and await session.receive(HIGH):
            pass
    except (OSError, ClientGone, TimedOut, asyncio.CancelledError):
        pass
    finally:
        client.close()
