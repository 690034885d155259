"""Client side of one request: answers, failures, lingering close."""

import asyncio

from uwsgi_router.protocol.http.body import Encoder
from uwsgi_router.protocol.http.errors import BodyError, ResponseError
from uwsgi_router.protocol.http.response_head import ResponseHead
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import ClientGone, Failure, TimedOut
from uwsgi_router.router.net.fiber import Fiber, Phase
from uwsgi_router.router.net.link import HIGH, Link
from uwsgi_router.router.proxy.body import Body
from uwsgi_router.router.proxy.connection import LINGER_IDLE, LINGER_TOTAL, Connection
from uwsgi_router.router.proxy.context import Limits
from uwsgi_router.router.proxy.feeder import Feeder


class Client:
    """Client of an exchange: here one whose bytes are not parsed.

    Fronts whose clients speak a protocol make subclasses of their own.

    Args:
        connection: that the request came over.
        body: of the request.
        limits: of the site.

    Attributes:
        begun: the head of the answer, or part of it, has gone out.
        body: of the request.
        connection: that the request came over.
        link: the client's end of it.
        tunnel: the node's end of a tunnel, while it is open.
        close_sent: both ends of a tunnel were told why it ends, in its protocol's words (a Close frame).
    """

    __slots__ = ("_limits", "begun", "body", "close_sent", "connection", "link", "tunnel")

    def __init__(self, connection: Connection, body: Body, limits: Limits) -> None:
        self.connection = connection
        self.link: Link = connection.link
        self.body = body
        self._limits = limits
        self.begun = False
        self.tunnel: Link | None = None
        self.close_sent = False

    # --- what the client's protocol decides ---

    def answer_head(self, head: ResponseHead, length: int | None) -> tuple[bytes, Encoder | None]:
        """Return the head for the client, and how the body is encoded.

        Args:
            head: the node's.
            length: bytes of the body; None if only its end tells.

        Returns:
            The bytes, and the encoder; None if the body passes as it is.

        Raises:
            ResponseError: the client's protocol has no heads.
        """
        raise ResponseError(
            f"its client does not speak HTTP (status {head.status}, {length} bytes)"
        )

    def send_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx on, if the client is to see it.

        Raises:
            ClientGone: it is not there any more.
        """

    def buffering(self, head: ResponseHead) -> int:  # noqa: ARG002
        """Return how many bytes of an answer are taken from the node although the client reads slowly."""
        return 0

    def upgrade(self, head: ResponseHead) -> tuple[Feeder | None, Feeder | None]:  # noqa: ARG002
        """Return checkers for the bytes of a tunnel, to the node and to the client; None: unchecked.

        Raises:
            ResponseError: the node's 101 is no answer to the request.
        """
        return None, None

    @property
    def tunnel_timeout(self) -> float:
        """Seconds of silence that end a tunnel."""
        return self._limits.timeout

    def send_close(self, fault: BodyError | None, *, by_client: bool = False) -> None:
        """Send the last words of the tunnel's protocol to both ends, if it has any; sets ``close_sent``.

        Args:
            fault: which rule was broken; None: nothing moved for too long, or the router stops.
            by_client: by the client, not by the node.
        """

    def failure_answer(self, failure: Failure) -> bytes:  # noqa: ARG002
        """Return the answer that explains a failure; b"": none."""
        return b""

    # --- writing ---

    @property
    def fiber(self) -> Fiber:
        """Fiber that serves the request."""
        return self.connection.fiber

    def write(self, data: bytes) -> None:
        """Send bytes.

        Raises:
            ClientGone: the client is not there any more.
        """
        try:
            self.link.write(data)
        except OSError:
            raise ClientGone from None

    def write_eof(self) -> None:
        """Half-close, after the last unsent byte.

        Raises:
            ClientGone: the client is not there any more.
        """
        try:
            self.link.write_eof()
        except OSError:
            raise ClientGone from None

    # --- the end of a request ---

    async def finish(self) -> None:
        """Wait until the client has got the last byte of the answer.

        Raises:
            Failure: it does not take it.
            ClientGone: it left.
        """
        fiber, link, timeout = self.fiber, self.link, self._limits.timeout
        if link.backlog:
            fiber.arm(Phase.DELIVERY, timeout, sliding=True)
            try:
                while link.backlog:
                    await fiber.pause()
            except TimedOut:
                raise self.stalled() from None
            link.set_light()

    def stalled(self) -> Failure:
        """Return the failure of a client that does not take its answer."""
        timeout = self._limits.timeout
        text = f"the client read nothing for {timeout:g} s, {self.link.backlog} bytes of the answer were left"
        return Failure(reasons.CLIENT_STALLED, text, timeout)

    async def fail(self, failure: Failure) -> None:
        """Answer a request that failed, if answers are wanted and possible."""
        if self.close_sent:
            await self.linger()
        elif self.begun:
            # Part of an answer has gone out: an orderly end would make it pass for the whole.
            self.link.reset()
        elif self._limits.answers and not self.link.closed:
            answer = self.failure_answer(failure)
            await send_last(self.connection, answer, complete=self.body.complete)

    async def linger(self) -> None:
        """Read on for a while, then close: at once would reset the client before it has read its answer.

        The request has been served by now; so a router that stops only ends the waiting.
        """
        await linger(self.connection)


async def send_last(connection: Connection, answer: bytes, *, complete: bool) -> None:
    """Send a whole answer of ours, wait until the client has it, and linger.

    Args:
        connection: that is closed afterwards.
        answer: in the client's protocol; b"": none.
        complete: the client has sent all that it will: then there is nothing to linger for.
    """
    link, fiber = connection.link, connection.fiber
    if link.closed or not answer:
        return
    try:
        link.write(answer)
        fiber.arm(Phase.ERROR, LINGER_IDLE)
        while link.backlog:
            await fiber.pause()
    except (OSError, ClientGone, TimedOut):
        return
    except asyncio.CancelledError:
        # The router stops. The request was counted; what is left would only be waiting.
        link.close()
        return
    if not complete:
        await linger(connection)


async def linger(connection: Connection) -> None:
    """Half-close, read on for a while, then close (see :meth:`Client.linger`)."""
    link, fiber = connection.link, connection.fiber
    connection.discard()
    try:
        link.write_eof()
        until = fiber.loop.time() + LINGER_TOTAL
        link.read_with(connection)
        connections = connection.connections
        fiber.arm(Phase.LINGER, connections.linger_idle, sliding=not connections.stopping)
        while fiber.loop.time() < until:
            skipped = link.skip(HIGH)
            if skipped is None:
                await fiber.pause()
            elif skipped:
                connection.discarded += skipped
                fiber.touch()
                # It may send faster than we read.
                await fiber.give_way()
            else:
                break
    except (OSError, ClientGone, TimedOut, asyncio.CancelledError):
        pass
    finally:
        link.close()
