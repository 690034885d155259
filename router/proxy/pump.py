"""Pumps: bytes moving one way, from a link to a link or spool, with backpressure."""

from abc import abstractmethod
from enum import Enum
from typing import ClassVar, Final

from uwsgi_router.protocol.http.errors import BodyError
from uwsgi_router.router.core.failure import without_traceback
from uwsgi_router.router.net.fiber import Fiber
from uwsgi_router.router.net.link import HIGH, Link
from uwsgi_router.router.net.poller import Resumable
from uwsgi_router.router.net.read_end import Reader
from uwsgi_router.router.proxy.feeder import Feeder
from uwsgi_router.router.proxy.spool import Spool

# Kept of what a client sends while no node is connected yet; then it waits, so that memory is bounded.
MAX_BUFFERED: Final = 64 * 1024
# So much even without a body: a WebSocket client may speak before its node is there.
MIN_BUFFERED: Final = 4096

# Bytes of a direction after which a full read of the default's size makes those that follow larger: a tenth less CPU
# per GB. Not from the beginning: whoever reads nothing has more unsent bytes by it.
_BULK: Final = 1024 * 1024
_READ: Final = 65_536
_LARGER: Final = 262_144


class PumpState(Enum):
    """State of a pump: what happens to bytes that it reads. The source may have ended in each of them."""

    BUFFERING = "buffering"
    """They are kept: there is no target yet, or not any more."""
    PASSING = "passing"
    """They go to the target."""
    SPLICING = "splicing"
    """They go to the target inside the kernel; only pumps of relays do that."""
    COMPLETE = "complete"
    """The message is whole and was passed on; what follows it is kept."""
    FAILED = "failed"
    """They were no such message; nothing more is read."""
    STOPPED = "stopped"
    """The target takes nothing any more; nothing more is read."""


BUFFERING: Final = PumpState.BUFFERING
PASSING: Final = PumpState.PASSING
SPLICING: Final = PumpState.SPLICING
COMPLETE: Final = PumpState.COMPLETE
FAILED: Final = PumpState.FAILED
STOPPED: Final = PumpState.STOPPED


class _Rest(Resumable):
    """Rest of what a pump has read, which its feeder takes in the turns that follow."""

    __slots__ = ("_feeder", "_pump")

    def __init__(self, pump: "Pump", feeder: Feeder) -> None:
        self._pump = pump
        self._feeder = feeder

    def resume(self) -> None:
        """Feed some of it."""
        self._pump.feed_more(self._feeder)


class Pump(Reader):
    """Pump: one direction; reads its source when the poller says so, writes to its target.

    Args:
        source: a link.
        fiber: woken when the owner has to look.
        chunk: bytes read at once.
        buffer_limit: see below.

    Attributes:
        state: what happens to bytes that are read.
        count: number of bytes from the source, those given to :meth:`start` included.
        buffered: bytes that were read and not passed on.
        buffer_limit: number of buffered bytes from which on the source is paused (backpressure).
        chunk: bytes read at once; more once it is bulk.
        high: number of unsent bytes of the target above which the source is paused (backpressure).
        ended: True after EOF or an error of the source.
        error: error of the source, or None.
        fault: error in the message's framing, or None.
    """

    __slots__ = (
        "_feeder",
        "buffer_limit",
        "buffered",
        "chunk",
        "count",
        "ended",
        "error",
        "fault",
        "fiber",
        "high",
        "source",
        "state",
        "target",
    )
    # Somebody reads what is kept: the fiber is woken by each read.
    wakes_when_buffering: ClassVar[bool] = False
    # The end is handled with the last bytes. (A client's wakes who waits for a node by then, and so comes by itself.)
    ends_with_last_read: ClassVar[bool] = False

    def __init__(self, source: Link, fiber: Fiber, chunk: int, buffer_limit: int = 0) -> None:
        self.source = source
        self.fiber = fiber
        self.target: Link | Spool | None = None
        self.state = BUFFERING
        self.chunk = chunk
        self._feeder: Feeder | None = None
        self.buffered = b""
        self.buffer_limit = buffer_limit
        self.high = HIGH
        self.count = 0
        self.ended = False
        self.error: OSError | None = None
        self.fault: BodyError | None = None

    def __repr__(self) -> str:
        state = f"{self.state.value}{' ended' if self.ended else ''}"
        return (
            f"<{type(self).__name__} {self.source!r} -> {self.target!r} {state} count={self.count}>"
        )

    @abstractmethod
    def source_ended(self) -> None:
        """Handle the end of the source, in good order."""

    @abstractmethod
    def source_broke(self) -> None:
        """Handle a reset of the source."""

    @abstractmethod
    def target_broke(self) -> None:
        """Handle a target that takes nothing any more; the pump has stopped."""

    # --- what the owner calls ---

    @property
    def complete(self) -> bool:
        """True once the message is complete, as the feeder says."""
        return self.state is COMPLETE

    @property
    def attached(self) -> bool:
        """True while bytes go on to a target."""
        return self.target is not None

    def start(self, buffered: bytes = b"") -> None:
        """Begin to read; ``buffered`` was read already."""
        if buffered:
            self.count += len(buffered)
            self.buffered += buffered
        self.source.read_with(self)
        if len(self.buffered) >= self.buffer_limit and self.state is BUFFERING:
            self.source.pause()

    def start_passing(self, target: Link) -> None:
        """Begin to read, and send everything to ``target`` as it comes."""
        self.target = target
        self.state = PASSING
        self.source.read_with(self)

    def attach(self, target: Link | Spool, feeder: Feeder | None = None) -> None:
        """Send the buffered bytes, and from now on everything up to the end of the message, to ``target``."""
        self.target = target
        self.state = PASSING
        self._feeder = feeder
        if self.buffered:
            data, self.buffered = self.buffered, b""
            self._pass_on(data)
            if not self.attached:
                # That was the whole message, or none.
                return
        if feeder is not None and feeder.more:
            # What follows, be it the end, has to wait.
            return
        if self.ended:
            if feeder is not None:
                self._feed_eof(feeder)
        elif not target.backlog > self.high:
            self.source.resume()

    def detach(self) -> None:
        """Buffer bytes from now on: the target is gone, another may follow."""
        self.target = None
        self._feeder = None
        if self.state is PASSING:
            self.state = BUFFERING

    def finish(self) -> None:
        """Mark the message as complete."""
        self.target = None
        self._feeder = None
        self.state = COMPLETE

    def expect(self) -> None:
        """Prepare for another message behind the one that was passed on."""
        self.state = BUFFERING
        if not self.ended and len(self.buffered) < self.buffer_limit:
            self.source.resume()

    def discard(self) -> None:
        """Forget the buffered bytes, as if they had not been read."""
        self.count -= len(self.buffered)
        self.buffered = b""

    def stop(self) -> None:
        """Read no more; what the source still sends stays where it is."""
        self.source.pause()
        self.detach()
        self.state = STOPPED

    # --- what the poller calls ---

    def readable(self) -> None:
        """Read once."""
        try:
            data = self.source.recv(self.chunk)
        except OSError as exc:
            self._broke(exc)
            return
        if data is None:
            return
        if not data:
            self._eof()
            return
        fiber, size = self.fiber, len(data)
        if fiber.slides:
            fiber.touch()
        self.count += size
        if size == _READ and self.count >= _BULK and self.chunk == _READ:
            self.chunk = _LARGER
        if self.target is not None:
            self._pass_on(data)
        else:
            self.buffered = data = self.buffered + data if self.buffered else data
            if len(data) >= self.buffer_limit:
                self.source.pause()
            if self.wakes_when_buffering:
                fiber.wake()
        source = self.source
        # If it is paused the end has to wait, too.
        if source.last and self.ends_with_last_read and size < self.chunk and source.reading:
            self._eof()

    def _pass_on(self, data: bytes) -> None:
        feeder = self._feeder
        if feeder is None:
            self._write(data)
            return
        try:
            data = feeder.feed(data)
        except BodyError as exc:
            self._fail(exc)
            return
        if data:
            self._write(data)
        if feeder.done:
            if self._feeder is feeder:
                self._completed(feeder)
        elif feeder.more and self._feeder is feeder:
            self.source.pause()
            self.source.set_heavy()
            target = self.target
            assert target is not None
            if not target.backlog > self.high:
                self.fiber.poller.resume_in_turn(_Rest(self, feeder))

    def feed_more(self, feeder: Feeder) -> None:
        """Pass on more of what was read before; called by the poller."""
        if self._feeder is not feeder:
            return
        self.fiber.touch()
        self._pass_on(b"")
        if self._feeder is not feeder or feeder.more:
            return
        target = self.target
        assert target is not None
        if self.ended:
            self._feed_eof(feeder)
        elif not target.backlog > self.high:
            self.source.resume()

    def _write(self, data: bytes) -> None:
        target = self.target
        assert target is not None
        try:
            target.write(data)
        except OSError:
            self.stop()
            self.target_broke()
            return
        if target.backlog > self.high:
            self.source.pause()
            target.on_low = self._go_on

    def _go_on(self) -> None:
        feeder = self._feeder
        if feeder is not None and feeder.more:
            self.fiber.poller.resume_in_turn(_Rest(self, feeder))
        elif not self.ended and self.target is not None:
            self.source.resume()

    def _completed(self, feeder: Feeder) -> None:
        """Keep the bytes that follow the message."""
        self.finish()
        self.source.set_light()
        if feeder.surplus:
            self.buffered = feeder.surplus
        if len(self.buffered) >= self.buffer_limit:
            self.source.pause()
        elif not self.ended:
            # It may have been waiting for a target that was slow to take the message.
            self.source.resume()
        self.fiber.wake()

    def _fail(self, fault: BodyError) -> None:
        self.stop()
        self.state = FAILED
        self.fault = without_traceback(fault)
        self.fiber.wake()

    def _feed_eof(self, feeder: Feeder) -> None:
        try:
            data = feeder.eof()
        except BodyError as exc:
            self._fail(exc)
            return
        if data:
            self._write(data)
        if feeder.done and self._feeder is feeder:
            self._completed(feeder)

    def _eof(self) -> None:
        if self.ended:
            return
        broken = self.source.broken
        if broken is not None:
            # A write has met the reset first.
            self._broke(broken)
            return
        self.ended = True
        self.source_ended()
        feeder = self._feeder
        if feeder is not None:
            self._feed_eof(feeder)
        self.fiber.wake()

    def _broke(self, error: OSError) -> None:
        if self.ended:
            return
        self.ended = True
        self.error = without_traceback(error)
        self.source_broke()
