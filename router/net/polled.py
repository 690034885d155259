"""Polled descriptor: registered with the poller as long as somebody wants events; its place among the heavy ones."""

from uwsgi_router.router.net.poller import Heavy, Pollable, Poller


class Polled(Pollable):
    """Descriptor that the poller watches.

    Args:
        poller: tells of readiness.
        fd: its number.

    Attributes:
        heavy: its place in the queue, if it uses more than its share of a turn; None: it does not.
        closed: its number may be somebody else's.
    """

    __slots__ = ("_fd", "_poller", "_watched", "closed", "heavy")

    def __init__(self, poller: Poller, fd: int) -> None:
        self._poller = poller
        self._fd = fd
        self._watched = 0
        self.heavy: Heavy | None = None
        self.closed = False

    def fileno(self) -> int:
        """Return the number of the socket, -1 if it is closed."""
        return -1 if self.closed else self._fd

    def _watch(self, events: int) -> None:
        # The number of a closed socket may belong to another one by now.
        if events == self._watched or self.closed:
            return
        if not self._watched:
            if self.heavy is None:
                self._poller.register(self._fd, self, events)
            else:
                self._poller.register_heavy(self._fd, self.heavy, events)
        elif events:
            self._poller.modify(self._fd, events)
        else:
            self._poller.unregister(self._fd)
        self._watched = events

    # --- its share of a turn ---

    def set_heavy(self) -> None:
        """Put this connection behind the others from now on: it has used its share of this turn."""
        if self.heavy is None and not self.closed:
            self.heavy = Heavy(self._poller, self)
            if self._watched:
                self._poller.set_heavy(self._fd, self.heavy, self._watched)

    def set_light(self) -> None:
        """Let this connection be one of all again: another request begins."""
        if self.heavy is not None:
            self.heavy.drop()
            self.heavy = None
            if self._watched:
                self._poller.set_light(self._fd, self, self._watched)

    def watch_again(self) -> None:
        """Have the poller tell of events again, of which a heavy link is told once."""
        if self._watched and self.heavy is not None:
            self._poller.modify(self._fd, self._watched)
