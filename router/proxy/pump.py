"""Bytes moving one way, from one link to another, as they are or re-framed by a feeder."""

from collections.abc import Callable
from typing import ClassVar, Protocol

from uwsgi_router.protocol.http.errors import BodyError
from uwsgi_router.router.net.link import HIGH, Link, Owner
from uwsgi_router.subscriptions.node import Node

# Kept of what a client sends while no node is connected yet; then it waits, so that memory is bounded.
MAX_EARLY = 64 * 1024
# So much even without a body: a WebSocket client may speak before its node is there.
MIN_EARLY = 4096


class Feeder(Protocol):
    """Knows where a message ends and how the target wants it.

    Attributes:
        done: the message is complete.
    """

    done: bool

    @property
    def surplus(self) -> bytes:
        """What followed the message; valid when done."""

    def feed(self, data: bytes) -> bytes:
        """Return what the target is to be sent for the next bytes of the source.

        Raises:
            BodyError: they are no part of such a message.
        """

    def eof(self) -> bytes:
        """Return what the target is to be sent at the end of the source; sets ``done`` if that is a legal end.

        Raises:
            BodyError: the message is not complete.
        """


class FlowOwner(Owner, Protocol):
    """Who a flow reports to: a session.

    Attributes:
        slides: its deadline moves with every byte; then it wants to be touched.
    """

    slides: float

    def alarm(self) -> None:
        """Its source broke."""


class Target(Protocol):
    """Where a flow's bytes go: a link, or a spool.

    Attributes:
        backlog: bytes that it has taken and not passed on.
        on_low: called once when it has few of them again.
    """

    backlog: int
    on_low: Callable[[], None] | None

    def write(self, data: bytes) -> None:
        """Take ``data``.

        Raises:
            OSError: if that is impossible.
        """


class Flow:
    """One direction of an exchange: reads from its source when the loop says so, writes to its target.

    Without a target it keeps what it reads, up to ``early_limit`` bytes, then lets the source wait. With a feeder the
    flow ends with the message: what follows is kept again.

    Attributes:
        count: bytes that came from the source, those given to :meth:`start` included.
        early: bytes that were read and not passed on.
        early_limit: so many of them are kept.
        chunk: bytes read at once.
        high: unsent bytes of the target above which the source waits.
        ended: True after EOF or an error of the source.
        error: why reading failed, or None.
        complete: True once the feeder has said that the message is.
        fault: why what came is no such message, or None; the flow has stopped then.
    """

    __slots__ = (
        "_feeder",
        "_owner",
        "chunk",
        "complete",
        "count",
        "early",
        "early_limit",
        "ended",
        "error",
        "fault",
        "high",
        "source",
        "target",
    )
    # Somebody reads what is kept, and waits for more of it.
    _tells_of_kept: ClassVar[bool] = False

    def __init__(self, source: Link, owner: FlowOwner, chunk: int, *, early_limit: int = 0) -> None:
        self.source = source
        self.target: Target | None = None
        self._owner = owner
        self.chunk = chunk
        self._feeder: Feeder | None = None
        self.early = b""
        self.early_limit = early_limit
        self.high = HIGH
        self.count = 0
        self.ended = False
        self.error: OSError | None = None
        self.complete = False
        self.fault: BodyError | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.source!r} -> {self.target!r} count={self.count} ended={self.ended}>"

    def source_ended(self) -> None:
        """Keep the loop from telling again and again that the source has ended."""
        self.source.pause()

    def start(self, early: bytes = b"") -> None:
        """Begin to read; ``early`` was read already."""
        if early:
            self.count += len(early)
            self.early += early
        self.source.read_with(self._readable)
        if len(self.early) >= self.early_limit and self.target is None:
            self.source.pause()

    def attach(self, target: Target, feeder: Feeder | None = None) -> None:
        """Send what was kept, and from now on everything up to the end of the message, to ``target``."""
        self.target = target
        self._feeder = feeder
        self.complete = False
        if self.early:
            data, self.early = self.early, b""
            self._pass_on(data)
            if not self.attached:
                # That was the whole message, or none.
                return
        if self.ended:
            if self._feeder is not None:
                self._feed_eof()
        elif not target.backlog > self.high:
            self.source.resume()

    @property
    def attached(self) -> bool:
        """True while what is read goes on."""
        return self.target is not None

    def detach(self) -> None:
        """Keep what comes from now on: the target is gone, another may follow."""
        self.target = None
        self._feeder = None

    def stop(self) -> None:
        """Read no more; what the source still sends stays where it is."""
        self.source.pause()
        self.detach()
        self.early_limit = 0

    def take(self) -> bytes:
        """Return what was kept, and forget it."""
        data, self.early = self.early, b""
        return data

    def _readable(self) -> None:
        try:
            data = self.source.recv(self.chunk)
        except OSError as exc:
            self._end(exc)
            return
        if data is None:
            return
        if not data:
            self._end(None)
            return
        owner = self._owner
        if owner.slides:
            owner.touch()
        self.count += len(data)
        if self.target is None:
            self._keep(data)
        else:
            self._pass_on(data)

    def _keep(self, data: bytes) -> None:
        self.early = data = self.early + data if self.early else data
        if len(data) >= self.early_limit:
            self.source.pause()
        if self._tells_of_kept:
            self._owner.wake()

    def _pass_on(self, data: bytes) -> None:
        feeder = self._feeder
        if feeder is None:
            self._write(data)
            return
        try:
            data = feeder.feed(data)
        except BodyError as exc:
            self._stop_at(exc)
            return
        if data:
            self._write(data)
        if feeder.done and self._feeder is feeder:
            self._completed(feeder)

    def _write(self, data: bytes) -> None:
        target = self.target
        assert target is not None
        try:
            target.write(data)
        except OSError as exc:
            self.stop()
            assert isinstance(target, Link)
            self._owner.link_broken(target, exc)
            return
        if target.backlog > self.high:
            self.source.pause()
            target.on_low = self._go_on

    def _go_on(self) -> None:
        if not self.ended and self.target is not None:
            self.source.resume()

    def _completed(self, feeder: Feeder) -> None:
        """The message is whole: what follows is kept for whoever knows what it is."""
        self.detach()
        self.complete = True
        if feeder.surplus:
            self.early = feeder.surplus
        if len(self.early) >= self.early_limit:
            self.source.pause()
        elif not self.ended:
            # It may have been waiting for a target that was slow to take the message.
            self.source.resume()
        self._owner.wake()

    def _stop_at(self, fault: BodyError) -> None:
        self.stop()
        self.fault = fault
        self._owner.wake()

    def _feed_eof(self) -> None:
        feeder = self._feeder
        assert feeder is not None
        try:
            data = feeder.eof()
        except BodyError as exc:
            self._stop_at(exc)
            return
        if data:
            self._write(data)
        if feeder.done and self._feeder is feeder:
            self._completed(feeder)

    def _end(self, error: OSError | None) -> None:
        if self.ended:
            return
        self.ended = True
        self.source_ended()
        self.error = error
        if error is not None:
            self._owner.alarm()
            return
        if self._feeder is not None:
            self._feed_eof()
        self._owner.wake()


class Upload(Flow):
    """From the client to a node."""

    __slots__ = ()


class Requests(Upload):
    """What an HTTP client sends on one connection: heads, which are kept until they can be read, and bodies."""

    __slots__ = ()
    _tells_of_kept: ClassVar[bool] = True


class Download(Flow):
    """From a node to the client."""

    __slots__ = ("node",)

    node: Node

    def source_ended(self) -> None:
        """Nothing to do: the session closes the node's connection at once, which costs a system call less."""


class Answer(Download):
    """A node's answer that begins with a head: kept until it can be read."""

    __slots__ = ()
    _tells_of_kept: ClassVar[bool] = True
