"""Collecting a whole request body before a node is bothered with it (``*-post-buffering``)."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from router.engine.spool import Spool
from router.failure import ClientGone, Failure, TimedOut
from router.request import Request

if TYPE_CHECKING:
    from router.engine.session import Session


async def collect(session: "Session", request: Request) -> Spool:
    """Read the body of ``request`` to its last byte.

    Raises:
        ClientGone: the client left before that.
        Failure: it stalled, or the body can't be stored.
    """
    config, name = session.gateway.config, session.gateway.name
    spool = None
    session.arm("body", config.timeout, sliding=True)
    try:
        spool = Spool(
            request.content_length, request.rest, config.post_buffering, config.post_buffering_dir
        )
        while spool.missing:
            data = await session.receive(min(config.buffer_size, spool.missing))
            if not data:
                raise ClientGone
            spool.add(data)
    except BaseException as exc:
        missing = request.content_length
        if spool is not None:
            missing = spool.missing
            spool.close()
        if isinstance(exc, TimedOut):
            raise Failure(
                HTTPStatus.REQUEST_TIMEOUT,
                "body-timeout",
                f"the client stalled inside its body, {missing} bytes are missing",
                f"{name}-timeout={config.timeout:g}",
            ) from None
        if isinstance(exc, OSError):
            raise Failure(
                HTTPStatus.INSUFFICIENT_STORAGE,
                "spool",
                f"the body can't be stored: {exc.strerror}",
                f"{name}-post-buffering-dir={config.post_buffering_dir or ''}",
            ) from exc
        raise
    return spool
