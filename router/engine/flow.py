"""Bytes moving one way, from one link to another."""

from router.net.link import HIGH, Link, Owner
from subscriptions.node import Node

# Kept of what a client sends while no node is connected yet; then it waits, so that memory is bounded.
MAX_EARLY = 64 * 1024
# So much even without a body: a WebSocket client may speak before its node is there.
MIN_EARLY = 4096


class Flow:
    """One direction of an exchange: reads from its source when the loop says so, writes to its target.

    Without a target it keeps what it reads, up to ``early_limit`` bytes, then lets the source wait.

    Attributes:
        count: bytes that came from the source, those given to :meth:`start` included.
        ended: True after EOF or an error.
        error: why reading failed, or None.
    """

    __slots__ = (
        "_chunk",
        "_early",
        "_early_limit",
        "_owner",
        "count",
        "ended",
        "error",
        "source",
        "target",
    )

    def __init__(self, source: Link, owner: Owner, chunk: int, *, early_limit: int = 0) -> None:
        self.source = source
        self.target: Link | None = None
        self._owner = owner
        self._chunk = chunk
        self._early = bytearray()
        self._early_limit = early_limit
        self.count = 0
        self.ended = False
        self.error: OSError | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.source!r} -> {self.target!r} count={self.count} ended={self.ended}>"

    def moved(self, size: int) -> None:
        """Count bytes that go to the target."""

    def source_ended(self) -> None:
        """Keep the loop from telling again and again that the source has ended."""
        self.source.pause()

    def start(self, early: bytes = b"") -> None:
        """Begin to read; ``early`` was read already."""
        if early:
            self.count += len(early)
            self._keep(early)
        self.source.read_with(self._readable)
        if len(self._early) >= self._early_limit and self.target is None:
            self.source.pause()

    def attach(self, target: Link) -> None:
        """Send what was kept, and from now on everything, to ``target``."""
        self.target = target
        if self._early:
            data = bytes(self._early)
            self._early.clear()
            self._pass_on(data)
        if not self.ended and not target.backlog > HIGH:
            self.source.resume()

    def detach(self) -> None:
        """Keep what comes from now on: the target is gone, another may follow."""
        self.target = None

    def stop(self) -> None:
        """Read no more; what the source still sends stays where it is."""
        self.source.pause()
        self.target = None
        self._early_limit = 0

    def _readable(self) -> None:
        try:
            data = self.source.sock.recv(self._chunk)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._end(exc)
            return
        if not data:
            self._end(None)
            return
        self._owner.touch()
        self.count += len(data)
        if self.target is None:
            self._keep(data)
        else:
            self._pass_on(data)

    def _keep(self, data: bytes) -> None:
        self._early += data
        if len(self._early) >= self._early_limit:
            self.source.pause()

    def _pass_on(self, data: bytes) -> None:
        target = self.target
        assert target is not None
        self.moved(len(data))
        try:
            target.write(data)
        except OSError as exc:
            self.stop()
            self._owner.link_broken(target, exc)
            return
        if target.backlog > HIGH:
            self.source.pause()
            target.on_low = self._go_on

    def _go_on(self) -> None:
        if not self.ended and self.target is not None:
            self.source.resume()

    def _end(self, error: OSError | None) -> None:
        if self.ended:
            return
        self.ended = True
        self.source_ended()
        self.error = error
        self._owner.wake()


class Upload(Flow):
    """From the client to a node; what the node is sent counts as its rx."""

    __slots__ = ("node",)

    node: Node

    def moved(self, size: int) -> None:
        """Count bytes written to the node."""
        self.node.rx += size


class Download(Flow):
    """From a node to the client; what is read from it counts as its tx."""

    __slots__ = ("node",)

    node: Node

    def moved(self, size: int) -> None:
        """Count bytes read from the node."""
        self.node.tx += size

    def source_ended(self) -> None:
        """Nothing to do: the session closes the node's connection at once, which costs a system call less."""
