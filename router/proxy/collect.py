"""Collecting a whole request body before a node is bothered with it (``*-post-buffering``, chunked bodies)."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from uwsgi_router.router.core.failure import Failure, TimedOut
from uwsgi_router.router.proxy.answers.message import body_failure
from uwsgi_router.router.proxy.delivery import body_stalled
from uwsgi_router.router.proxy.pump import Feeder
from uwsgi_router.router.proxy.spool import Spool

if TYPE_CHECKING:
    from uwsgi_router.router.proxy.exchange import Session


async def collect(session: "Session", feeder: Feeder, memory_limit: int) -> Spool:
    """Read the body to its last byte.

    Args:
        session: whose upload has begun; it keeps what follows the body.
        feeder: takes the body out of its framing.
        memory_limit: larger bodies go to a file.

    Raises:
        ClientGone: the client left before that.
        Failure: it stalled, its body is malformed, or it can't be stored.
    """
    config, name, upload = session.gateway.config, session.gateway.name, session.upload
    assert upload is not None
    session.arm("body", config.timeout, sliding=True)
    spool = Spool(memory_limit, config.post_buffering_dir, session)
    try:
        upload.attach(spool, feeder)
        while True:
            if upload.fault is not None:
                raise body_failure(session, upload.fault)
            if spool.error is not None:
                raise Failure(
                    HTTPStatus.INSUFFICIENT_STORAGE,
                    "spool",
                    f"the body can't be stored: {spool.error.strerror}",
                    f"{name}-post-buffering-dir={config.post_buffering_dir or ''}",
                )
            if upload.complete:
                return spool
            session.check_client()
            await session.pause()
    except BaseException as exc:
        upload.detach()
        spool.close()
        if isinstance(exc, TimedOut):
            raise body_stalled(session) from None
        raise
