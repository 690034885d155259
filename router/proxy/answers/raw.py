"""An exchange in which nobody looks at the answer: bytes pass both ways until the node ends its connection."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core.failure import Failure, TimedOut
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.delivery import stalled
from uwsgi_router.router.proxy.pump import Download
from uwsgi_router.router.proxy.spool import Replay
from uwsgi_router.subscriptions.node import Node

if TYPE_CHECKING:
    from uwsgi_router.router.proxy.exchange import Session


async def exchange_bytes(
    session: "Session", request: Request, node: Node, back: Back, link: Link
) -> Download:
    """Relay both ways until the node has ended its answer.

    Raises:
        Failure: the node fell silent.
    """
    config, upload = session.gateway.config, session.upload
    assert upload is not None
    session.arm("answer", config.timeout, sliding=True)
    download = Download(link, session, config.buffer_size)
    download.node = node
    download.target = session.client
    download.start()
    replay = start_replay(session, link)
    feeder = session.upload_feeder(request, back)
    attached = eof_sent = False
    try:
        while not download.ended:
            if replay is not None:
                check_replay(replay)
            if not attached and (replay is None or replay.done):
                attached = True
                upload.attach(link, feeder)
            if attached and upload.ended and not eof_sent:
                session.check_client()
                eof_sent = True
                half_close(link)
            await session.pause()
    except TimedOut:
        session.answered = bool(download.count)
        raise stalled(session, node, link, download.count) from None
    finally:
        upload.detach()
        session.drop_upstream()
    session.answered = bool(download.count)
    return download


def start_replay(session: "Session", link: Link) -> Replay | None:
    """Begin to send a collected body; None if none was."""
    if session.spool is None:
        return None
    replay = Replay(session.spool, link, session)
    replay.go_on()
    return replay


def check_replay(replay: Replay) -> None:
    """Look whether a collected body can still be read.

    Raises:
        Failure: if not.
    """
    if replay.error is not None:
        raise Failure(
            HTTPStatus.INSUFFICIENT_STORAGE,
            "spool",
            f"the stored body can't be read: {replay.error.strerror}",
        )


def half_close(link: Link) -> None:
    """The client has said all it will: so has what it says to the node."""
    try:
        link.write_eof()
    except OSError:
        pass  # The node is gone; reading from it tells how.
