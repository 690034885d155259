"""Relay pump: one direction of a relay, through a shared buffer or, once it is bulk, a pipe in the kernel (splice)."""

import errno
from typing import Final

from uwsgi_router.router.core.failure import without_traceback
from uwsgi_router.router.net.fiber import Fiber
from uwsgi_router.router.net.link import Link, LinkOwner
from uwsgi_router.router.net.pipe import Pipe, PipePool
from uwsgi_router.router.net.poller import SHARE
from uwsgi_router.router.proxy.directions import Upload
from uwsgi_router.router.proxy.pump import BUFFERING, PASSING, SPLICING

#: Bytes in full reads after which a direction is bulk.
BULK: Final = 1024 * 1024
# Of what is encrypted too: then this process has to look at the bytes.
_NEVER: Final = -1
#: Such sockets can't be spliced (or not by this user): they are copied.
_NO_SPLICE: Final = frozenset({errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP})


class RelaySettings:
    """Settings of a router's relays, and what they share.

    Args:
        buffer_size: bytes read at once.
        timeout: see below.
        client_timeout: see below.
        backend_timeout: see below.
        keepalive: see below.
        xclient: see below.
        pipes: see below.
        bulk: see below.

    Attributes:
        bulk: bytes in full reads after which a direction is spliced.
        buffer: for what is read; its bytes are sent, or copied, before anybody else reads.
        timeout: seconds without a byte in either direction, or in which an end takes none of what waits for it; 0: any.
        client_timeout: seconds without a byte from the client, whatever the node sends; 0: any.
        backend_timeout: the same of the node.
        keepalive: seconds of silence after which the kernel probes a TCP peer; 0: never.
        xclient: nodes are SMTP servers that are told the client's address.
        pipes: for directions that are bulk.
    """

    __slots__ = (
        "_relays",
        "backend_timeout",
        "buffer",
        "bulk",
        "client_timeout",
        "keepalive",
        "pipes",
        "timeout",
        "xclient",
    )

    def __init__(
        self,
        buffer_size: int,
        *,
        timeout: float,
        client_timeout: float,
        backend_timeout: float,
        keepalive: int,
        xclient: bool,
        pipes: PipePool,
        bulk: int = BULK,
    ) -> None:
        self.buffer = memoryview(bytearray(buffer_size))
        self.timeout = timeout
        self.client_timeout = client_timeout
        self.backend_timeout = backend_timeout
        self.keepalive = keepalive
        self.xclient = xclient
        self.pipes = pipes
        self.bulk = bulk
        self._relays = 0

    def begin(self) -> None:
        """Note that a relay begins."""
        self._relays += 1

    def end(self) -> None:
        """Note that one has ended; without any no pipe is kept."""
        self._relays -= 1
        if not self._relays:
            self.pipes.close_unused()


class RelayPump(Upload):
    """Pump of one direction of a relay.

    Until it has a target it is the pump of a client that waits for a node. Then it is PASSING: what is read goes out at
    once, and what the target does not take is copied. After a megabyte in full reads it is SPLICING: bytes go
    through a pipe, and as long as that holds any the source is paused. When the source has nothing more the pipe is
    given back, and the direction is PASSING again, which an end or an error always finds it in.

    Attributes:
        moved: when a byte last came in, or went out of the backlog, on the loop's clock.
        settings: of the router.
    """

    __slots__ = ("_bulk", "_pipe", "_to", "moved", "settings")

    def __init__(
        self, source: Link, fiber: Fiber, settings: RelaySettings, buffer_limit: int = 0
    ) -> None:
        Upload.__init__(self, source, fiber, len(settings.buffer), buffer_limit)
        self.settings = settings
        self.moved = fiber.poller.now
        self._to: Link | None = None
        self._pipe: Pipe | None = None
        # Bytes in full reads, one after the other.
        self._bulk = 0

    # --- what the relay calls ---

    def pass_to(self, target: Link) -> None:
        """Send the buffered bytes, and from now on everything, to ``target``."""
        self._to = target
        if not (self.source.plain and target.plain):
            self._bulk = _NEVER
        self.attach(target)

    @property
    def unsent(self) -> int:
        """Bytes that were read and that the target's kernel has not taken."""
        held = 0 if self._pipe is None else self._pipe.held
        return held + (0 if self._to is None else self._to.backlog)

    def leave(self) -> None:
        """End: nothing is passed on any more."""
        self._give_back()
        self._to = None
        self.stop()

    # --- what links tell ---

    def source_broke(self) -> None:
        """Let the relay decide; without a target the client is gone."""
        self.source.pause()
        if self.state is BUFFERING:
            self.fiber.lost()
        else:
            self.fiber.wake()

    def room(self) -> None:
        """Go on: the target takes bytes again, or the last one of its backlog went out."""
        if self._pipe is not None and self._pipe.held:
            self._empty(self._pipe)
        elif self.ended:
            self.fiber.wake()

    def target_lost(self) -> None:
        """Read no more: the target takes nothing any more."""
        self._give_back()
        self.stop()
        self.target_broke()

    def readable(self) -> None:
        """Read once, or splice once."""
        target = self._to
        if target is None or self.target is None:
            Upload.readable(self)
            return
        if self._bulk >= self.settings.bulk and not target.backlog:
            if self._pipe is None:
                self._pipe = self.settings.pipes.take()
            if self._pipe is not None:
                self.state = SPLICING
                self._fill(self._pipe, target)
                return
            self._bulk = 0
        self._copy(target)

    # --- PASSING ---

    def _copy(self, target: Link) -> None:
        source, buffer = self.source, self.settings.buffer
        try:
            size = source.recv_into(buffer)
        except OSError as exc:
            self._broke(exc)
            return
        if size < 0:
            return
        if not size:
            self._eof()
            return
        self.moved = self.fiber.poller.now
        self.count += size
        if size >= SHARE:
            if self._bulk >= 0:
                bulk = self.settings.bulk
                self._bulk += size
                if self._bulk >= bulk > self._bulk - size:
                    # Unlike reads and writes, splice can't be told call by call that it must not wait.
                    source.never_block()
                    target.never_block()
        elif self._bulk > 0:
            self._bulk = 0
        elif source.heavy is not None:
            # The second small read: it needs no more than its share any longer.
            source.set_light()
        try:
            target.write_view(buffer[:size])
        except OSError:
            self.target_lost()
            return
        if target.backlog > self.high:
            source.pause()
            target.on_low = self._go_on

    # --- SPLICING ---

    def _fill(self, pipe: Pipe, target: Link) -> None:
        """Take what the source has into the pipe, which is empty, and pass it on."""
        source = self.source
        try:
            size = pipe.fill(source.fileno())
        except BlockingIOError:
            # Others may use the pipe. Bytes that can only be read (urgent data is in the way) are.
            self._give_back()
            self._copy(target)
            return
        except OSError as exc:
            self._give_back()
            if exc.errno in _NO_SPLICE:
                self._bulk = _NEVER
            else:
                self._broke(exc)
            return
        if not size:
            self._give_back()
            self._eof()
            return
        source.note_read(size)
        self.count += size
        if size < SHARE:
            # Not bulk any more: a small message is copied as fast.
            self._bulk = 0
        self._empty(pipe)

    def _empty(self, pipe: Pipe) -> None:
        """Give the target what it takes; the source waits until it has taken all."""
        source, target = self.source, self._to
        assert target is not None
        self.moved = self.fiber.poller.now
        try:
            while pipe.held:
                target.note_written(pipe.empty(target.fileno()))
        except BlockingIOError:
            source.pause()
            target.watch_room()
            return
        except OSError as exc:
            if exc.errno not in _NO_SPLICE:
                if isinstance(exc, ConnectionResetError):
                    target.broken = without_traceback(exc)
                self.target_lost()
                return
            self._bulk = _NEVER
            self._write(pipe.read())
        if self._bulk < self.settings.bulk:
            self._give_back()
        if not self.ended and self.target is not None and not target.backlog > self.high:
            source.resume()

    def _give_back(self) -> None:
        """Be PASSING again, without a pipe."""
        pipe = self._pipe
        if pipe is not None:
            self._pipe = None
            self.settings.pipes.give_back(pipe)
            if self.state is SPLICING:
                self.state = PASSING


class RelayEnd(LinkOwner):
    """Owner of one end's link while a relay runs: tells the pump that writes to it.

    Args:
        pump: writes to the link.
    """

    __slots__ = ("_pump",)

    def __init__(self, pump: RelayPump) -> None:
        self._pump = pump

    def readable(self) -> None:
        """Do nothing: pumps read."""

    def touch(self) -> None:
        """Note that unsent bytes went out."""
        self._pump.moved = self._pump.fiber.poller.now

    def wake(self) -> None:
        """Let the pump go on: the last unsent byte went out, or there is room again."""
        self._pump.room()

    def link_broken(self, link: Link, error: OSError) -> None:  # noqa: ARG002
        """Stop the pump: the link takes nothing any more."""
        self._pump.target_lost()
