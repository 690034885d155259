"""HTTP request bodies: framing, size limit, 100-continue, minimum rate."""

from typing import Final

from uwsgi_router.protocol.http.body import Chunked, ChunkedEncoder, Counted, Identity, Recoder
from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core.failure import ClientGone
from uwsgi_router.router.fronts.http.pace import Pace
from uwsgi_router.router.fronts.http.request import HttpRequest
from uwsgi_router.router.fronts.http.settings import HttpSettings
from uwsgi_router.router.net.deadlines import Deadlines
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.body import Body
from uwsgi_router.router.proxy.context import SPOOL_MEMORY, Limits
from uwsgi_router.router.proxy.directions import Upload
from uwsgi_router.router.proxy.feeder import Feeder
from uwsgi_router.router.proxy.pump import BUFFERING
from uwsgi_router.router.proxy.spool import SpoolMemory

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpBody(Body):
    """Body of one HTTP request, or the bytes that may follow its head.

    Attributes:
        continued: the client has been told to send it.
        deadline: when its rate is looked at next, on the loop's clock.
    """

    __slots__ = (
        "_deadlines",
        "_http",
        "_pace",
        "_settings",
        "_slow",
        "continued",
        "deadline",
    )

    def __init__(
        self,
        request: HttpRequest,
        pump: Upload,
        limits: Limits,
        settings: HttpSettings,
        deadlines: Deadlines,
        pace: Pace,
    ) -> None:
        Body.__init__(self, request, pump, limits)
        self._http = request
        self._settings = settings
        self._deadlines = deadlines
        self._pace = pace
        self._slow = False
        self.continued = False
        self.deadline = 0.0

    # --- framing ---

    @property
    def collects(self) -> bool:
        """True with a body, unless bytes behind the head pass as they come."""
        return self.request.has_body and not self._settings.raw_body

    @property
    def complete(self) -> bool:
        """True if the whole body has come."""
        if self.endless:
            return self.pump.ended
        return not self.request.has_body or self.pump.complete

    @property
    def endless(self) -> bool:
        """True if bytes behind the head pass as they come."""
        return self._settings.raw_body or self.request.raw

    @property
    def cut_off(self) -> bool:
        """True if the client, which has ended, can't have sent its whole body; while it waits it lies in the pump."""
        pump, request = self.pump, self.request
        if pump.state is not BUFFERING or not request.has_body:
            return not self.complete
        if not request.chunked:
            return len(pump.buffered) < request.content_length
        # Without that it does not end. To read the chunks might take long; whoever reads them says what is wrong.
        return b"\r\n\r\n" not in pump.buffered

    @property
    def missing(self) -> str:
        """Description of what is missing of the body."""
        if self._slow:
            return f"fewer than http-body-rate={self._settings.body_rate} bytes a second came"
        return "the rest of it did not come"

    @property
    def untouched(self) -> bool:
        """True if nothing follows the head."""
        return not (self.endless or self.request.has_body)

    def follows(self, back: Back) -> bool:
        """Return True if the node gets more than the head: with ``http-raw-body`` perhaps more than the client says."""
        return self.request.has_body or (self._settings.raw_body and back.half_closes)

    def feeder(self, back: Back) -> Feeder | None:
        """Return a feeder that ends the upload with the body; chunks are written anew.

        With ``http-raw-body`` nothing ends one without a length. Nodes that speak HTTP could find a second request
        there: they get none of that.
        """
        request = self.request
        if request.raw or (
            self._settings.raw_body and back.half_closes and not request.content_length
        ):
            return None
        self.begin_pace()
        if request.chunked:
            return Recoder(Chunked(), ChunkedEncoder(), self._settings.body_limit)
        return Recoder(Counted(request.content_length), Identity())

    def collector(self) -> Feeder:
        """Return a feeder that takes the body out of its framing."""
        request = self.request
        decoder = Chunked() if request.chunked else Counted(request.content_length)
        return Recoder(decoder, Identity(), self._settings.body_limit)

    @property
    def memory(self) -> int:
        """Bytes kept in memory, as for post-buffering; 1 MiB if the body must be collected all the same."""
        return self._settings.post_buffering or SPOOL_MEMORY

    # --- 100-continue ---

    @property
    def awaits_continue(self) -> bool:
        """True if the client waits for a 100 and has not got it."""
        return self._http.head.expect_continue and not self.continued and self.spool is None

    def send_continue(self) -> None:
        """Send a 100 if the client waits for it, and has not begun to send all the same.

        Raises:
            ClientGone: the client is not there any more.
        """
        if self.awaits_continue and not self.pump.buffered:
            self.continued = True
            try:
                self.pump.source.write(_CONTINUE)
            except OSError:
                raise ClientGone from None

    def passes_continue(self) -> bool:
        """Return True if the client waits for the node's 100; it gets it once."""
        if not (self.request.has_body and self.awaits_continue):
            return False
        self.continued = True
        self.begin_pace()
        return True

    async def collect(self, memory: SpoolMemory) -> None:
        """Read the body whole, with a 100 for a client that waits for it."""
        self.send_continue()
        await Body.collect(self, memory)

    def send_to(self, link: Link, back: Back, *, opaque: bool) -> None:
        """Begin to send the body to a node, which may ask for it itself if it is one of HTTP."""
        Body.send_to(self, link, back, opaque=opaque)
        if opaque or (not back.sends_continue and self.follows(back)):
            self.send_continue()

    def leave(self) -> None:
        """End the attempt: nobody waits for the remaining bytes."""
        self.end_pace()
        Body.leave(self)

    # --- its rate ---

    def begin_pace(self) -> None:
        """Check the minimum rate from now on, if one is configured."""
        pace, pump = self._pace, self.pump
        pace.begin(pump.fiber.poller.now, pump.count)
        self.deadline = pace.until
        if pace.until:
            self._deadlines.add(self)

    def end_pace(self) -> None:
        """Require no rate any more."""
        if self._pace.until:
            self._pace.end()
            self._deadlines.discard(self)

    def expired(self) -> None:
        """Check the rate at the end of a window."""
        pace, pump = self._pace, self.pump
        now = pump.fiber.loop.time()
        if pump.complete or self.complete or self.spool is not None:
            self.end_pace()
            return
        waits = self.awaits_continue and pump.count == pace.count
        if waits or not pump.source.reading or self.node_is_behind:
            # Nobody can blame the client.
            pace.begin(now, pump.count)
        elif pace.too_slow(now, pump.count):
            self._slow = True
            self.end_pace()
            pump.fiber.expired()
            return
        self.deadline = pace.until
