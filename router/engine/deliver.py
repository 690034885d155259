"""The end of a request: the last byte of the answer, or an explanation of why there is none."""

import socket
from http import HTTPStatus
from typing import TYPE_CHECKING

from router.engine.flow import Download
from router.failure import ClientGone, Failure, TimedOut
from router.net.link import HIGH, Link
from router.request import Request

if TYPE_CHECKING:
    from router.engine.session import Session

# After an answer that came before the upload's end: how long we read on, so that the client is not reset before it has
# read the answer (as nginx's lingering_timeout and lingering_time).
LINGER_IDLE = 5.0
LINGER_TOTAL = 30.0


async def deliver(session: "Session", request: Request, download: Download) -> None:
    """See to it that the client gets the last byte of an answer.

    Raises:
        Failure: the answer is not complete, or the client does not take it.
    """
    assert session.upload is not None
    session.answered = True
    config, client = session.gateway.config, session.client
    uploaded = session.upload.count >= request.content_length
    session.arm("delivery", config.timeout, sliding=True)
    try:
        while client.backlog:
            await session.pause()
    except TimedOut:
        raise _client_stalled(session) from None
    # A node that leaves any byte of a body unread resets by closing; that says nothing about its answer.
    if download.error is not None and not session.upload.count:
        raise Failure(
            HTTPStatus.BAD_GATEWAY,
            "reset",
            f"{download.node.name} reset its connection after {download.count} bytes of its answer",
        )
    if not uploaded:
        await _linger(session)


def stalled(session: "Session", download: Download, upstream: Link) -> Failure:
    """Return who let an exchange stall: the client, if it does not read, or owes a body that the node would take."""
    assert session.upload is not None
    assert session.request is not None
    if session.client.backlog:
        return _client_stalled(session)
    missing = session.request.content_length - session.upload.count
    config, name = session.gateway.config, session.gateway.name
    if missing > 0 and not upstream.backlog and not download.count:
        return Failure(
            HTTPStatus.REQUEST_TIMEOUT,
            "body-timeout",
            f"the client stalled inside its body, {missing} bytes are missing",
            f"{name}-timeout={config.timeout:g}",
        )
    return Failure(
        HTTPStatus.GATEWAY_TIMEOUT,
        "stalled" if download.count else "no-answer-in-time",
        f"{download.node.name} sent no byte for {config.timeout:g} s, {download.count} bytes came before",
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
    gateway, client, upload, request = (
        session.gateway,
        session.client,
        session.upload,
        session.request,
    )
    gateway.failed(session, failure)
    if session.answered:
        # Part of an answer has gone out: an orderly end would make it pass for the whole.
        client.reset()
        return
    if gateway.config.errors == "close" or client.closed:
        return
    try:
        client.write(gateway.front.answer(failure, session.id))
        session.arm("error", LINGER_IDLE)
        while client.backlog:
            await session.pause()
    except (OSError, ClientGone, TimedOut):
        return
    if upload is None or (request is not None and upload.count < request.content_length):
        await _linger(session)


async def _linger(session: "Session") -> None:
    """Read on for a while: closing with unread bytes would reset the client before it has read its answer."""
    client, loop = session.client, session.loop
    try:
        client.sock.shutdown(socket.SHUT_WR)
        until = loop.time() + LINGER_TOTAL
        client.read_with(session.wake)
        session.arm("linger", LINGER_IDLE, sliding=True)
        while loop.time() < until and await session.receive(HIGH):
            pass
    except (OSError, ClientGone, TimedOut):
        pass
