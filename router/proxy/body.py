"""Request bodies on their way to nodes: streamed, spooled, or replayed; half-close and aborts."""

from uwsgi_router.protocol.http.body import Identity, Recoder, UntilEof
from uwsgi_router.protocol.http.errors import BodyError, BodyTooLarge, Truncated
from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import ClientGone, Failure, TimedOut
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.net.fiber import Phase
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.context import SPOOL_MEMORY, Limits
from uwsgi_router.router.proxy.directions import Upload
from uwsgi_router.router.proxy.feeder import Feeder
from uwsgi_router.router.proxy.pump import MAX_BUFFERED, MIN_BUFFERED
from uwsgi_router.router.proxy.spool import Replay, Spool, SpoolMemory


class Body:
    """Body of one request: here all that the client sends, to its end.

    Fronts whose requests have bodies that end make subclasses of their own.

    Args:
        request: to be answered.
        pump: reads the client; buffers what came behind the head.
        limits: of the site.

    Attributes:
        pump: from the client.
        empty: the request ends with its head.
        spool: the body, if it was collected.
        sending: an attempt is under way that :meth:`advance` has to look after.
    """

    __slots__ = (
        "_end_told",
        "_feeder",
        "_half_closes",
        "_limits",
        "_link",
        "_replay",
        "_to_attach",
        "empty",
        "pump",
        "request",
        "sending",
        "spool",
    )

    def __init__(self, request: Request, pump: Upload, limits: Limits) -> None:
        self.request = request
        self.pump = pump
        self.empty = False
        self._limits = limits
        self.spool: Spool | None = None
        self._link: Link | None = None
        self._replay: Replay | None = None
        self._feeder: Feeder | None = None
        self._to_attach = self._half_closes = self._end_told = self.sending = False

    # --- what the client's protocol decides ---

    @property
    def collects(self) -> bool:
        """True if post-buffering applies: the body is collected before a node is chosen."""
        return False

    @property
    def complete(self) -> bool:
        """True if the client has sent the whole request."""
        return self.pump.ended

    @property
    def endless(self) -> bool:
        """True if only the end of the client's connection ends it: no other request follows, to the node neither."""
        return True

    @property
    def missing(self) -> str:
        """Description of what the client still owes, for the log."""
        return "it has not ended"

    @property
    def untouched(self) -> bool:
        """True if no byte behind the head was passed to a node, or ever will be."""
        return not self.pump.count

    def follows(self, back: Back) -> bool:  # noqa: ARG002
        """Return True if the node is to get more than the head."""
        return True

    def feeder(self, back: Back) -> Feeder | None:  # noqa: ARG002
        """Return what re-frames the body for the node; None: bytes pass as they come."""
        return None

    def collector(self) -> Feeder:
        """Return what takes the body out of its framing."""
        return Recoder(UntilEof(), Identity())

    @property
    def memory(self) -> int:
        """Bytes of a collected body that stay in memory, if there is room; larger ones go to a file."""
        return SPOOL_MEMORY

    def passes_continue(self) -> bool:
        """Return True if the client waits for a 100, which the node has just sent."""
        return False

    def read_client(self) -> None:
        """Read the client from now on, if that was put off."""

    def end(self) -> None:
        """Note that the request has ended."""

    def begin_pace(self) -> None:
        """Require a minimum rate of the client from now on, if one is configured."""

    def end_pace(self) -> None:
        """Require no rate any more; the phases' deadlines still apply."""

    # --- collecting ---

    async def collect(self, memory: SpoolMemory) -> None:
        """Read the body whole into a spool, so that its length is known; sets ``spool``.

        Args:
            memory: of all bodies of the site.

        Raises:
            ClientGone: the client left before that.
            Failure: it stalled, its body is malformed, or it can't be stored.
        """
        limits, pump, fiber = self._limits, self.pump, self.pump.fiber
        fiber.arm(Phase.BODY, limits.timeout, sliding=True)
        self.begin_pace()
        spool = Spool(memory, self.memory, limits.post_buffering_dir, fiber)
        try:
            pump.attach(spool, self.collector())
            self._check_collected(spool)
            while not pump.complete:
                self.check_client()
                await fiber.pause()
                self._check_collected(spool)
        except BaseException as exc:
            pump.detach()
            spool.close()
            if isinstance(exc, TimedOut):
                raise self.stalled() from None
            raise
        finally:
            self.end_pace()
        self.spool = spool

    def _check_collected(self, spool: Spool) -> None:
        """Check that the body is well-formed, and could be stored so far.

        Raises:
            Failure: if not.
            ClientGone: the client left inside it.
        """
        if self.pump.fault is not None:
            raise self.failure(self.pump.fault)
        if spool.error is not None:
            raise Failure(
                reasons.SPOOL,
                f"the body can't be stored: {spool.error.strerror}",
                self._limits.post_buffering_dir or "",
                option="post-buffering-dir",
            )

    # --- sending ---

    def send_to(self, link: Link, back: Back, *, opaque: bool) -> None:
        """Begin to send the body to a node.

        Args:
            link: the node's.
            back: what it speaks.
            opaque: bytes behind the body pass too.
        """
        self._link = link
        self.sending = True
        self._half_closes = opaque or back.half_closes
        self._end_told = False
        self._replay = None
        if self.spool is not None:
            self._replay = Replay(self.spool, link, self.pump.fiber)
            self._replay.resume()
            self._to_attach = opaque
        else:
            self._to_attach = opaque or self.follows(back)
        if self._to_attach:
            self._feeder = self.feeder(back)
        if back.packets and not (link.plain or (self._to_attach and self._feeder is None)):
            # Behind a body whose end it knows such a node does not read, and so never the close_notify. The kernel
            # resets what is closed with bytes unread, and the end of the answer would be lost.
            self._half_closes = False

    def advance(self) -> None:
        """Attach the body once a replay is done, forward a half-close, raise errors of the body.

        Raises:
            Failure: the body is none, or can't be read.
            ClientGone: the client left.
        """
        pump, link, replay = self.pump, self._link, self._replay
        assert link is not None
        if replay is not None and replay.error is not None:
            text = f"the stored body can't be read: {replay.error.strerror}"
            raise Failure(reasons.SPOOL, text)
        sent = replay is None or replay.done
        if sent and self._to_attach:
            self._to_attach = False
            pump.attach(link, self._feeder)
        if pump.fault is not None:
            raise self.failure(pump.fault)
        if pump.ended and not self._end_told:
            self.check_client()
            if sent:
                self._end_told = True
                if self._half_closes:
                    half_close(link)

    @property
    def unsent(self) -> bool:
        """True while the node has not been given all of a collected body."""
        return self._replay is not None and not self._replay.done

    def leave(self) -> None:
        """End the attempt: the node gets no more; another may."""
        if self.sending:
            self.sending = False
            self._link = None
            if self.pump.target is not None:
                self.pump.detach()

    def close(self) -> None:
        """Free the spool."""
        if self.spool is not None:
            self.spool.close()
            self.spool = None

    # --- the client ---

    @property
    def cut_off(self) -> bool:
        """True if the client, which has ended, can't have sent its whole body."""
        return not self.complete

    def check_client(self) -> None:
        """Raise ClientGone if the client has ended inside its body, or has ended at all if so configured.

        Raises:
            ClientGone: if so.
        """
        if self.pump.ended and (self._limits.abort_on_eof or self.cut_off):
            raise ClientGone

    @property
    def kept(self) -> int:
        """Bytes of the body that may lie in memory while the request waits."""
        if self.spool is not None:
            return self.spool.in_memory + MIN_BUFFERED
        length = self.request.content_length
        if length <= self._limits.post_buffering:
            return length + MIN_BUFFERED
        return buffer_limit(length)

    @property
    def node_is_behind(self) -> bool:
        """True if the node does not even take what has come."""
        return self._link is not None and self._link.backlog > 0

    def stalled(self) -> Failure:
        """Return the failure of a client that does not send all of its body."""
        text = f"the client stalled inside its body, {self.missing}"
        return Failure(reasons.BODY_TIMEOUT, text, self._limits.timeout)

    def failure(self, fault: BodyError) -> Failure | ClientGone:
        """Return the failure of a refused body, or ClientGone if the client left inside it."""
        if isinstance(fault, Truncated):
            return ClientGone()
        if isinstance(fault, BodyTooLarge):
            return Failure(reasons.BODY_TOO_LARGE, str(fault))
        return Failure(reasons.BAD_BODY, f"the client's body is malformed: {fault}")


class NoBody(Body):
    """Body of a request that ends with its head."""

    __slots__ = ()

    def __init__(self, request: Request, pump: Upload, limits: Limits) -> None:
        # Of what Body.__init__ sets as much as is used before :meth:`send_to`: this is done for every request.
        self.request = request
        self.pump = pump
        self.empty = True
        self._limits = limits
        self.spool = None
        self._link = None
        self.sending = False

    @property
    def complete(self) -> bool:
        """Always."""
        return True

    @property
    def endless(self) -> bool:
        """Never."""
        return False

    @property
    def missing(self) -> str:
        """Nothing."""
        return "nothing is missing"

    @property
    def untouched(self) -> bool:
        """Always: there is nothing to touch."""
        return True

    def follows(self, back: Back) -> bool:  # noqa: ARG002
        """Return False."""
        return False


def buffer_limit(length: int) -> int:
    """Return how many bytes behind a head are buffered while no node is connected, for a body of this length."""
    return max(MIN_BUFFERED, min(length, MAX_BUFFERED))


def half_close(link: Link) -> None:
    """Half-close the node's connection: the client has sent all it will."""
    try:
        link.write_eof()
    except OSError:
        pass  # The node is gone; reading from it tells how.
