"""After 101 (Switching Protocols): bytes pass both ways, in a WebSocket or whatever both ends agreed on."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from uwsgi_router.protocol.http.response import ResponseHead
from uwsgi_router.router.core.failure import Failure, TimedOut
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.answers.raw import half_close
from uwsgi_router.router.proxy.delivery import linger
from uwsgi_router.router.proxy.pump import Answer

if TYPE_CHECKING:
    from uwsgi_router.router.proxy.exchange import Session

_CHECKED_AT_ONCE = 16_384


async def tunnel(
    session: "Session", request: Request, head: ResponseHead, answer: Answer, link: Link
) -> None:
    """Pass bytes both ways until both have ended, or nothing has moved for too long.

    Raises:
        ResponseError: the request did not ask for what the node switched to.
        Failure: one side broke the rules of the protocol, or the node reset its connection.
        ClientGone: the client reset its connection.
    """
    client, upload, config = session.client, session.upload, session.gateway.config
    assert upload is not None
    to_node, to_client = session.tunnel_feeders(request, head)
    data, _encoder = session.begin_answer(head, 0)
    session.answered = True
    client.write(data)
    session.arm("tunnel", session.tunnel_timeout, sliding=True)
    session.tunnelling = True
    if to_node is not None:
        # A frame may be two bytes long: checking a long read of them would keep everybody else waiting.
        upload.chunk = answer.chunk = min(answer.chunk, _CHECKED_AT_ONCE)
    answer.early_limit = 0
    answer.attach(client, to_client)
    upload.attach(link, to_node)
    told_node = told_client = timed_out = False
    try:
        while not ((answer.ended or answer.complete) and (upload.ended or upload.complete)):
            for flow in (upload, answer):
                if flow.fault is not None:
                    session.end_tunnel(flow.fault, by_client=flow is upload)
                    who = "the client" if flow is upload else answer.node.name
                    raise Failure(
                        HTTPStatus.BAD_GATEWAY,
                        "bad-frame",
                        f"{who} broke the WebSocket: {flow.fault}",
                    )
            if answer.error is not None:
                raise Failure(
                    HTTPStatus.BAD_GATEWAY, "reset", f"{answer.node.name} reset the tunnel"
                )
            if upload.ended and not told_node:
                told_node = True
                half_close(link)
            if answer.ended and not told_client:
                told_client = True
                # The client may still have something to say; not for ever.
                link.pause()
                client.write_eof()
                session.arm("tunnel-end", config.timeout, sliding=True)
            if (answer.ended or answer.complete) and upload.target is None:
                # Nobody is there to take what the client still says.
                await linger(session)
                break
            await session.pause()
    except TimedOut:
        session.end_tunnel(None)
        timed_out = True
    finally:
        session.tunnelling = False
        # Whatever ended it, no other request follows.
        answer.complete = True
    if timed_out and session.said_goodbye:
        await linger(session)
