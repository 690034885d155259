"""An exchange of HTTP messages: the node's head is read, its body is re-framed, and both connections may be kept."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from protocol.http.body import (
    BodyError,
    BodyTooLarge,
    Chunked,
    Counted,
    Decoder,
    Identity,
    Recoder,
    Truncated,
    UntilEof,
)
from protocol.http.errors import ResponseError
from protocol.http.response import ResponseHead, body_length, parse_response
from router.backs.back import Back
from router.engine.deliver import stalled
from router.engine.flow import Answer
from router.engine.opaque import check_replay, half_close, start_replay
from router.engine.spool import Replay
from router.engine.tunnel import tunnel
from router.failure import ClientGone, Failure, TimedOut
from router.net.link import Link
from router.request import Request
from subscriptions.node import Node

if TYPE_CHECKING:
    from router.engine.session import Session

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
    answer.node = upload.node = node
    answer.start()
    exchange = _Exchange(session, request, node, back, link, answer)
    try:
        await exchange.run()
    except TimedOut:
        # A 1xx is no part of an answer.
        begun = session.answered or answer.early
        raise stalled(session, node, link, answer.count if begun else 0) from None
    except ResponseError as exc:
        raise Failure(
            HTTPStatus.BAD_GATEWAY, "bad-answer", f"{node.name} sent no valid answer: {exc}"
        ) from exc
    finally:
        node.tx += answer.count
        upload.detach()
        session.drop_upstream()
    return answer


class _Exchange:
    """One request at one node."""

    __slots__ = (
        "_answer",
        "_attached",
        "_back",
        "_eof_sent",
        "_link",
        "_node",
        "_replay",
        "_request",
        "_session",
    )

    def __init__(
        self,
        session: "Session",
        request: Request,
        node: Node,
        back: Back,
        link: Link,
        answer: Answer,
    ) -> None:
        self._session = session
        self._request = request
        self._node = node
        self._back = back
        self._link = link
        self._answer = answer
        self._attached = False
        self._eof_sent = False
        self._replay: Replay | None = None

    async def run(self) -> None:
        """Exchange the messages."""
        session, request = self._session, self._request
        if session.has_upload(request, self._back):
            self._begin_upload()
        else:
            self._attached = True
            if session.upload is not None and session.upload.ended:
                self._go_on()
        head = await self._read_head()
        if head is None:
            return
        if head.status == 101:
            await tunnel(session, request, head, self._answer, self._link)
            return
        await self._relay(head)
        self._keep_or_close(head)

    # --- the request's body ---

    def _begin_upload(self) -> None:
        session = self._session
        self._replay = start_replay(session, self._node, self._link)
        if not self._back.sends_continue:
            session.send_continue()
        self._go_on()

    def _go_on(self) -> None:
        """Look at what has become of the upload.

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
                upload.attach(self._link, session.upload_feeder(self._request, self._back))
        if upload.fault is not None:
            raise body_failure(session, upload.fault)
        if upload.ended and not self._eof_sent:
            session.check_client()
            self._eof_sent = True
            if self._back.half_closes and self._attached:
                half_close(self._link)

    # --- the answer's head ---

    async def _read_head(self) -> ResponseHead | None:
        """Return the final head (or 101), or None if the node ended without a byte; 1xx are passed on.

        Raises:
            ResponseError: the node's bytes are no answer.
        """
        session, answer = self._session, self._answer
        interim = seen = 0
        while True:
            data = answer.early
            if len(data) > seen:
                head = parse_response(data, cgi=self._back.answers_like_cgi, max_head=_MAX_HEAD)
                if head is None:
                    seen = len(data)
                elif head.status >= 200 or head.status == 101:
                    answer.early = data[head.size :]
                    return head
                else:
                    interim += 1
                    if interim > _MAX_INTERIM:
                        raise ResponseError("it sends one 1xx after the other")
                    answer.early = data[head.size :]
                    seen = 0
                    session.send_interim(head)
                    continue
            if answer.ended:
                if not answer.early:
                    if interim:
                        raise ResponseError("it ended after a 1xx")
                    return None
                if answer.error is not None:
                    how = answer.error.strerror or str(answer.error)
                    raise ResponseError(f"it reset the connection inside its head ({how})")
                raise ResponseError(f"it ended after {len(answer.early)} bytes, inside its head")
            await session.pause()
            self._go_on()

    # --- its body ---

    async def _relay(self, head: ResponseHead) -> None:
        """Send the answer to the client, to its last byte.

        Raises:
            Failure: the node's message ended too early, or is none.
        """
        session, answer = self._session, self._answer
        length = body_length(head, self._request.method)
        data, encoder = session.begin_answer(head, length)
        session.answered = True
        early = answer.take()
        if encoder is None and length is not None and len(early) >= length:
            # The usual case: head and body came at once, and go out at once.
            session.client.write(data + (early if len(early) == length else early[:length]))
            answer.early = early[length:]
            answer.complete = True
            return
        session.client.write(data)
        answer.early = early
        answer.early_limit = 0
        answer.high = max(answer.high, session.buffered_of(head))
        recoder = Recoder(_decoder(head, length), encoder or Identity())
        answer.attach(session.client, recoder)
        while not answer.complete:
            if answer.fault is not None or answer.ended:
                if length is not None or head.chunked or not self._may_end_so:
                    raise self._cut_short()
                answer.detach()
                session.client.write(recoder.eof())
                answer.complete = True
                return
            self._go_on()
            await session.pause()

    @property
    def _may_end_so(self) -> bool:
        """True if a reset may be the end of an answer that no length ends.

        A node that leaves any byte of a body unread resets by closing: uWSGI does whenever an application ignores a
        body. (If it crashed instead: of a crash behind the last byte of the body there is no sign at all.)
        """
        return self._answer.error is not None and not self._session.sent_only_its_head

    def _cut_short(self) -> Failure:
        answer = self._answer
        how = "its body ended too early" if answer.fault is None else str(answer.fault)
        if answer.error is not None:
            how = f"it reset its connection ({answer.error.strerror or answer.error})"
        return Failure(
            HTTPStatus.BAD_GATEWAY,
            "cut-short",
            f"{self._node.name} did not complete its answer, {answer.count} bytes came: {how}",
        )

    # --- and after it ---

    def _keep_or_close(self, head: ResponseHead) -> None:
        """The one place that decides whether the node's connection serves another request."""
        session, answer = self._session, self._answer
        if answer.early and not head.close:
            session.gateway.said_too_much(self._node, len(answer.early))
        if (
            session.place is None
            or head.close
            or answer.early
            or answer.ended
            or self._link.backlog
            or not session.uploaded
        ):
            return
        seconds = session.gateway.config.backend_keepalive
        if seconds and head.keep_alive is not None:
            seconds = min(head.keep_alive - _BEFORE_IT_CLOSES, _LONGEST_KEPT)
        if seconds > 0:
            session.keep_upstream(seconds)


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
