"""An exchange of HTTP messages: the node's head is read, its body is re-framed, and both connections may be kept."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from uwsgi_router.protocol.http.body import Chunked, Counted, Decoder, Identity, Recoder, UntilEof
from uwsgi_router.protocol.http.errors import BodyError, BodyTooLarge, ResponseError, Truncated
from uwsgi_router.protocol.http.response import ResponseHead, body_length, parse_response
from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core.failure import ClientGone, Failure, TimedOut
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.answers.raw import check_replay, half_close, start_replay
from uwsgi_router.router.proxy.answers.tunnel import tunnel
from uwsgi_router.router.proxy.delivery import stalled
from uwsgi_router.router.proxy.pump import Answer
from uwsgi_router.router.proxy.spool import Replay
from uwsgi_router.subscriptions.node import Node

if TYPE_CHECKING:
    from uwsgi_router.router.proxy.exchange import Session

# Bytes that the head of an answer may have.
_MAX_HEAD = 65_536
# A node that says 1xx more often than that never gets to the point.
_MAX_INTERIM = 32
# A node that names no time keeps its idle connections for longer than we do; one that names it closes them then.
_BEFORE_IT_CLOSES = 0.5
_LONGEST_KEPT = 60.0


async def exchange_messages(
    session: "Session", request: Request, node: Node, back: Back, link: Link
) -> Answer:
    """Pass the request's body on, and the node's answer back, each in the framing that its receiver understands.

    Returns:
        The flow of the answer; ``session.answered`` tells whether there is one: if not, the node ended its connection
        without a byte.

    Raises:
        Failure: the node's answer is none, or none in time, or the client's body is none.
        ClientGone: the client left.
    """
    config, upload = session.gateway.config, session.upload
    assert upload is not None
    session.arm("answer", config.timeout, sliding=True)
    answer = Answer(link, session, config.buffer_size, early_limit=_MAX_HEAD + 1)
    answer.node = node
    answer.start()
    sending: _Sending | None = None
    interim = seen = 0
    try:
        if session.has_upload(request, back):
            sending = _Sending(session, request, back, link)
        while True:
            if sending is None and upload.ended:
                sending = _Sending(session, None, back, link)
            if sending is not None:
                sending.go_on()
            data = answer.early
            if len(data) > seen:
                head = parse_response(data, cgi=back.answers_like_cgi, max_head=_MAX_HEAD)
                if head is None:
                    seen = len(data)
                elif head.status >= 200:
                    answer.early = data[head.size :]
                    length = body_length(head, request.method)
                    recoder = _begin_answer(session, head, length, answer)
                    if recoder is not None:
                        rest = sending or _Sending(session, None, back, link)
                        endless = not head.chunked and length is None
                        await _relay(session, recoder, answer, rest, endless=endless)
                    _keep_or_close(session, head, answer, link)
                    return answer
                else:
                    answer.early = data[head.size :]
                    if head.status == HTTPStatus.SWITCHING_PROTOCOLS:
                        await tunnel(session, request, head, answer, link)
                        return answer
                    seen = 0
                    interim = _pass_interim(session, head, interim)
                    continue
            if answer.ended:
                _check_end(answer, interim)
                return answer
            await session.pause()
    except TimedOut:
        # A 1xx is no part of an answer.
        begun = session.answered or answer.early
        raise stalled(session, node, link, answer.count if begun else 0) from None
    except ResponseError as exc:
        raise Failure(
            HTTPStatus.BAD_GATEWAY, "bad-answer", f"{node.name} sent no valid answer: {exc}"
        ) from exc
    finally:
        if upload.target is not None:
            upload.detach()
        session.drop_upstream()


def _pass_interim(session: "Session", head: ResponseHead, count: int) -> int:
    """Pass a 1xx on; return how many there have been, this one included.

    Raises:
        ResponseError: too many.
    """
    if count == _MAX_INTERIM:
        raise ResponseError("it sends one 1xx after the other")
    session.send_interim(head)
    return count + 1


class _Sending:
    """The request's body on its way to the node, and the client's end of its connection.

    Args:
        session: whose.
        request: with a body, or None: then the head was all.
        back: what it speaks.
        link: its connection.
    """

    __slots__ = ("_attached", "_back", "_eof_sent", "_link", "_replay", "_request", "_session")

    def __init__(self, session: "Session", request: Request | None, back: Back, link: Link) -> None:
        self._session = session
        self._request = request
        self._back = back
        self._link = link
        self._eof_sent = False
        self._replay: Replay | None = None
        self._attached = request is None
        if request is not None:
            self._replay = start_replay(session, link)
            if not back.sends_continue:
                session.send_continue()

    def go_on(self) -> None:
        """Look at what has become of it.

        Raises:
            Failure: the body is none, or can't be read.
            ClientGone: the client left.
        """
        session, upload = self._session, self._session.upload
        assert upload is not None
        if self._replay is not None:
            check_replay(self._replay)
        if not self._attached and (self._replay is None or self._replay.done):
            self._attached = True
            if self._replay is None:
                assert self._request is not None
                upload.attach(self._link, session.upload_feeder(self._request, self._back))
        if upload.fault is not None:
            raise body_failure(session, upload.fault)
        if upload.ended and not self._eof_sent:
            session.check_client()
            self._eof_sent = True
            if self._back.half_closes and self._attached:
                half_close(self._link)


def _check_end(answer: Answer, interim: int) -> None:
    """The node's connection has ended, and no head has come; that is no answer, unless nothing at all came.

    Raises:
        ResponseError: something came.
    """
    if not answer.early:
        if interim:
            raise ResponseError("it ended after a 1xx")
        return
    if answer.error is not None:
        how = answer.error.strerror or str(answer.error)
        raise ResponseError(f"it reset the connection inside its head ({how})")
    raise ResponseError(f"it ended after {len(answer.early)} bytes, inside its head")


# --- the answer's body ---


def _begin_answer(
    session: "Session", head: ResponseHead, length: int | None, answer: Answer
) -> Recoder | None:
    """Send the answer's head, and its body if that has come: the usual case; otherwise return what re-frames it."""
    data, encoder = session.begin_answer(head, length)
    session.answered = True
    early = answer.early
    if encoder is None and length is not None and len(early) >= length:
        answer.complete = True
        if len(early) == length:
            answer.early = b""
            session.client.write(data + early)
        else:
            answer.early = early[length:]
            session.client.write(data + early[:length])
        return None
    session.client.write(data)
    answer.early_limit = 0
    answer.high = max(answer.high, session.buffered_of(head))
    recoder = Recoder(_decoder(head, length), encoder or Identity())
    answer.attach(session.client, recoder)
    return recoder


async def _relay(
    session: "Session", recoder: Recoder, answer: Answer, sending: _Sending, *, endless: bool
) -> None:
    """Send the rest of the answer to the client, to its last byte; ``endless``: only the connection's end tells which.

    Raises:
        Failure: the node's message ended too early, or is none.
    """
    while not answer.complete:
        if answer.fault is not None or answer.ended:
            if not (endless and _may_end_so(session, answer)):
                raise _cut_short(answer)
            answer.detach()
            session.client.write(recoder.eof())
            answer.complete = True
            return
        sending.go_on()
        await session.pause()


def _may_end_so(session: "Session", answer: Answer) -> bool:
    """True if a reset may be the end of an answer that no length ends.

    A node that leaves any byte of a body unread resets by closing: uWSGI does whenever an application ignores a
    body. (If it crashed instead: of a crash behind the last byte of the body there is no sign at all.)
    """
    return answer.error is not None and not session.sent_only_its_head


def _cut_short(answer: Answer) -> Failure:
    how = "its body ended too early" if answer.fault is None else str(answer.fault)
    if answer.error is not None:
        how = f"it reset its connection ({answer.error.strerror or answer.error})"
    return Failure(
        HTTPStatus.BAD_GATEWAY,
        "cut-short",
        f"{answer.node.name} did not complete its answer, {answer.count} bytes came: {how}",
    )


# --- and after it ---


def _keep_or_close(session: "Session", head: ResponseHead, answer: Answer, link: Link) -> None:
    """The one place that decides whether the node's connection serves another request."""
    if head.close:
        return
    if answer.early:
        session.gateway.said_too_much(answer.node, len(answer.early))
        return
    place, gateway = session.place, session.gateway
    if place is None or answer.ended or link.backlog or not session.uploaded:
        return
    seconds = gateway.config.backend_keepalive
    if seconds and head.keep_alive is not None:
        seconds = min(head.keep_alive - _BEFORE_IT_CLOSES, _LONGEST_KEPT)
    if seconds > 0:
        gateway.upstreams.keep(place, link, seconds)
        session.upstream = session.place = None


def _decoder(head: ResponseHead, length: int | None) -> Decoder:
    if length is not None:
        return Counted(length)
    return Chunked() if head.chunked else UntilEof()


def body_failure(session: "Session", fault: BodyError) -> Failure | ClientGone:
    """Return why a client's body is refused, or that the client left inside it."""
    if isinstance(fault, Truncated):
        return ClientGone()
    if isinstance(fault, BodyTooLarge):
        return Failure(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "body-too-large",
            str(fault),
            f"{session.gateway.name}-body-limit",
        )
    return Failure(HTTPStatus.BAD_REQUEST, "bad-body", f"the client's body is malformed: {fault}")
