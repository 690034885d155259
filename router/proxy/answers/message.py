"""HTTP answers: the node's head, interim answers, the re-framed body, keepalive of the node's connection."""

from typing import Final

from uwsgi_router.protocol.http.body import Chunked, Counted, Decoder, Identity, Recoder, UntilEof
from uwsgi_router.protocol.http.errors import ResponseError, Truncated
from uwsgi_router.protocol.http.response import parse_response
from uwsgi_router.protocol.http.response_head import ResponseHead, body_length
from uwsgi_router.protocol.http.status import SWITCHING_PROTOCOLS
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import ClientGone, Failure, TimedOut
from uwsgi_router.router.net.fiber import Phase
from uwsgi_router.router.net.poller import SHARE
from uwsgi_router.router.proxy.answers.answer import Answer, SecondTry
from uwsgi_router.router.proxy.answers.tunnel import Tunnel
from uwsgi_router.router.proxy.open_answer import OpenAnswer

# Bytes that the head of an answer may have.
MAX_HEAD: Final = 65_536
# A node that says 1xx more often than that never gets to the point.
_MAX_INTERIM: Final = 32
# A node that names no time keeps its idle connections for longer than we do; one that names it closes them then.
_BEFORE_IT_CLOSES: Final = 0.5
_LONGEST_KEPT: Final = 60.0

_ANSWER: Final = Phase.ANSWER


class MessageAnswer(Answer):
    """Answer that is an HTTP response, or one in the form of CGI."""

    __slots__ = ()

    async def relay(self) -> None:
        """Pass the request's body on, and the answer back, each in the framing that its receiver understands."""
        client, download, back = self.client, self.download, self.back
        body, fiber, upload = client.body, download.fiber, client.body.pump
        second = self.second_try
        patience = self.site.limits.timeout if second is None else second.patience
        fiber.arm(_ANSWER, patience, sliding=True)
        download.start()
        if body.follows(back):
            body.send_to(self.link, back, opaque=False)
        interim = seen = 0
        try:
            while True:
                if body.sending or upload.ended:
                    self._advance()
                data = download.buffered
                if len(data) > seen:
                    if second is not None:
                        self._be_patient(second)
                    head = parse_response(data, cgi=back.answers_like_cgi, max_head=MAX_HEAD)
                    if head is None:
                        seen = len(data)
                    elif head.status >= 200:
                        download.buffered = data[head.size :]
                        length = body_length(head, self.request.method)
                        recoder = self._begin(head, length)
                        if recoder is not None:
                            await self._relay_body(head, recoder, length)
                        self._keep_or_close(head)
                        return
                    else:
                        download.buffered = data[head.size :]
                        if head.status == SWITCHING_PROTOCOLS:
                            await self._tunnel().relay(head)
                            return
                        seen = 0
                        interim = self._pass_interim(head, interim)
                        continue
                if download.ended:
                    self._check_end(interim)
                    return
                try:
                    await fiber.pause()
                except TimedOut:
                    # A 1xx is no part of an answer.
                    if not self.waits_on(fiber, download.count if download.buffered else 0):
                        return
        except (Truncated, ResponseError) as exc:
            raise self._bad_answer(exc) from exc

    def _bad_answer(self, error: Truncated | ResponseError) -> Failure:
        if isinstance(error, Truncated):
            text = f"{self.lease.node.name} sent no whole answer: {error}"
            return Failure(reasons.CUT_SHORT, text)
        if not self.download.buffered.startswith(b"HTTP/"):
            self.suspect("sends something else")
        text = f"{self.lease.node.name} sent no valid answer: {error}"
        return Failure(reasons.BAD_ANSWER, text)

    def _be_patient(self, second: SecondTry) -> None:
        """Ask no other node any more: this one has begun to answer."""
        second.route = None
        fiber = self.download.fiber
        fiber.slides = self.site.limits.timeout
        fiber.touch()

    # --- the request's body ---

    def _advance(self) -> None:
        """Advance the body, and check whether the client has ended."""
        body = self.client.body
        if not body.sending:
            if not body.pump.ended:
                return
            if self.request.may_switch(http=self.back.keeps_connections):
                # What came before the end goes before it: a tunnel passes both on, once it is open.
                body.check_client()
                return
            body.send_to(self.link, self.back, opaque=False)
        body.advance()

    # --- the answer ---

    def _tunnel(self) -> Tunnel:
        """Return the tunnel that a 101 opens.

        Raises:
            ResponseError: the node was not asked for one.
        """
        if not self.request.may_switch(http=self.back.keeps_connections):
            raise ResponseError("it switches protocols, and was not asked to")
        return Tunnel(self.site.limits, self.client, self.lease, self.link, self.download)

    def _pass_interim(self, head: ResponseHead, count: int) -> int:
        """Pass a 1xx on; return how many there have been, this one included.

        Raises:
            ResponseError: too many.
        """
        if count == _MAX_INTERIM:
            raise ResponseError("it sends one 1xx after the other")
        self.client.send_interim(head)
        return count + 1

    def _check_end(self, interim: int) -> None:
        """Check the end of a node's connection before a head: it is no answer, unless nothing at all came.

        Raises:
            Truncated: something came.
        """
        download = self.download
        if not download.buffered:
            if interim:
                raise Truncated("it ended after a 1xx")
            return
        if download.error is not None:
            how = download.error.strerror or str(download.error)
            raise Truncated(f"it reset the connection inside its head ({how})")
        raise Truncated(f"it ended after {len(download.buffered)} bytes, inside its head")

    def _begin(self, head: ResponseHead, length: int | None) -> Recoder | None:
        """Send the head, and the body if that has come: the usual case; otherwise return what re-frames it."""
        client, download = self.client, self.download
        data, encoder = client.answer_head(head, length)
        client.begun = True
        buffered = download.buffered
        if encoder is None and length is not None and len(buffered) >= length:
            download.finish()
            if length >= SHARE:
                # That was read in one piece: the connection may serve another request, which is small.
                self.link.set_light()
            download.buffered = buffered[length:]
            # As client.write() does, without the call.
            try:
                client.link.write(
                    data + (buffered if len(buffered) == length else buffered[:length])
                )
            except OSError:
                raise ClientGone from None
            return None
        client.write(data)
        download.buffer_limit = 0
        download.high = max(download.high, client.buffering(head))
        recoder = Recoder(_decoder(head, length), encoder or Identity())
        download.attach(client.link, recoder)
        return recoder

    async def _relay_body(self, head: ResponseHead, recoder: Recoder, length: int | None) -> None:
        """Send the rest of the answer to the client, to its last byte.

        Args:
            head: of the answer.
            recoder: re-frames it.
            length: of its body; None: its end tells, which is that of the connection if it is not chunked.

        Raises:
            Failure: the node's message ended too early, or is none.
        """
        client, download, fiber = self.client, self.download, self.download.fiber
        if length is None and not download.complete:
            running = client.connection.exchange
            assert running is not None
            running.open_answer = OpenAnswer(head, download, recoder, client.link)
        while not download.complete:
            if download.fault is not None or download.ended:
                if head.chunked or length is not None or not self._may_end_so:
                    raise self._cut_short()
                download.finish()
                client.write(recoder.eof())
                break
            self._advance()
            try:
                await fiber.pause()
            except TimedOut:
                raise self.stalled(download.count) from None
        if client.connection.exchange is not None:
            client.connection.exchange.open_answer = None

    @property
    def _may_end_so(self) -> bool:
        """True if a reset may be the end of an answer that no length ends.

        A node that leaves any byte of a body unread resets by closing: uWSGI does whenever an application ignores a
        body. (If it crashed instead: of a crash behind the last byte of the body there is no sign at all.)
        """
        return self.download.error is not None and not self.client.body.untouched

    def _cut_short(self) -> Failure:
        download = self.download
        how = "its body ended too early" if download.fault is None else str(download.fault)
        if download.error is not None:
            how = f"it reset its connection ({download.error.strerror or download.error})"
        text = f"{self.lease.node.name} did not complete its answer, {download.count} bytes came: {how}"
        ended = download.fault is None or isinstance(download.fault, Truncated)
        return Failure(reasons.CUT_SHORT if ended else reasons.BAD_ANSWER, text)

    # --- and after it ---

    def _keep_or_close(self, head: ResponseHead) -> None:
        """Keep the node's connection for another request, or leave it to be closed; decided here alone."""
        download, lease, body = self.download, self.lease, self.client.body
        if head.close:
            self.suspect_refusal(head)
            return
        if download.buffered:
            self.site.reporter.surplus(lease.node, len(download.buffered))
            return
        if (
            not lease.slot
            or download.ended
            or self.link.backlog
            or not (body.empty or (body.complete and not body.endless and not body.unsent))
        ):
            return
        seconds = self.site.limits.backend_keepalive
        if seconds and head.keep_alive is not None:
            seconds = min(head.keep_alive - _BEFORE_IT_CLOSES, _LONGEST_KEPT)
        if seconds > 0:
            lease.keep(seconds)


def _decoder(head: ResponseHead, length: int | None) -> Decoder:
    if length is not None:
        return Counted(length)
    return Chunked() if head.chunked else UntilEof()
