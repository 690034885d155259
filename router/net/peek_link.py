"""Link whose first bytes are looked at before it is decided who reads them."""

import select
import socket

from uwsgi_router.router.net.link import Link
from uwsgi_router.router.net.poller import EDGE, READABLE
from uwsgi_router.router.net.read_end import Reader


class PeekLink(Link):
    """Link that can be looked into.

    The kernel keeps the bytes, so their being there is nothing new: the poller tells of each arrival, once.
    """

    __slots__ = ()

    def peek_with(self, reader: Reader) -> None:
        """Call ``reader`` whenever more bytes have come, whether or not those before were taken."""
        self._reader = reader
        self._paused = None
        self._watch(READABLE | EDGE)

    def peek(self, size: int) -> bytes | None:
        """Return the first bytes, at most ``size``, and leave them there; b"" at the peer's end, None: none are there.

        Of an encrypted connection they are as they come from the kernel.

        Raises:
            OSError: if the connection is broken.
        """
        try:
            # An encrypted socket's own would want to decrypt.
            return socket.SocketType.recv(self._sock, size, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return None

    def peer_ended(self) -> bool:
        """Return True if nothing will follow what can be looked at."""
        poll = select.poll()
        poll.register(self._fd, select.POLLRDHUP)
        return bool(poll.poll(0))

    def end_peeking(self) -> None:
        """Call the reader from now on as long as there is something to read."""
        self._watch(READABLE)
