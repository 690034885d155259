"""The end of a request: the last byte of the answer, or an explanation of why there is none."""

import socket
from http import HTTPStatus
from typing import TYPE_CHECKING

from router.engine.flow import Download
from router.failure import ClientGone, Failure, TimedOut
from router.net.link import HIGH
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
        raise Failure(
            HTTPStatus.REQUEST_TIMEOUT,
            "client-stalled",
            f"the client read nothing for {config.timeout:g} s, {client.backlog} bytes of the answer were left",
            f"{session.gateway.name}-timeout={config.timeout:g}",
        ) from None
    # A node that does not read a whole upload resets by closing; that says nothing about its answer.
    if download.error is not None and uploaded:
        raise Failure(
            HTTPStatus.BAD_GATEWAY,
            "reset",
            f"{download.node.name} reset its connection after {download.count} bytes of its answer",
        )
    if not uploaded:
        await _linger(session)


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
        while loop.time() < until:
            try:
                if not client.sock.recv(HIGH):
                    return
                session.touch()
            except BlockingIOError:
                await session.pause()
    except (OSError, ClientGone, TimedOut):
        pass
