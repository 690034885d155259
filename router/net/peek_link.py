"""Link whose first bytes are looked at before it is decided who reads them."""

import select
import socket
from typing import Final

from uwsgi_router.router.net.link import Link
from uwsgi_router.router.net.poller import EDGE, READABLE
from uwsgi_router.router.net.read_end import Reader

#: Bytes of a record, at most.
RECORD: Final = 16_384
#: Records that are read and written at once.
MOST_RECORDS: Final = 4
#: What all links read into, records or what they look at; nothing is left there.
BUFFER: Final = memoryview(bytearray(MOST_RECORDS * RECORD))

_PEEK: Final = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)
_recv_into: Final = socket.SocketType.recv_into


class PeekLink(Link):
    """Link that can be looked into.

    The kernel keeps the bytes, so their being there is nothing new: the poller tells of each arrival, once.
    """

    __slots__ = ()

    def peek_with(self, reader: Reader) -> None:
        """Call ``reader`` when more bytes come, once :meth:`await_more` says that they are needed."""
        self._reader = reader
        self._paused = None

    def await_more(self) -> None:
        """Have the poller tell whenever more bytes have come, whether or not those before were taken."""
        self._watch(READABLE | EDGE)

    def peek(self, size: int) -> bytes | None:
        """Return the first bytes, at most ``size``, and leave them there; b"" at the peer's end, None: none are there.

        Of an encrypted connection they are as they come from the kernel.

        Raises:
            OSError: if the connection is broken.
        """
        try:
            # An encrypted socket's own would want to decrypt. For bytes of their own so much memory would be taken as
            # the largest hello needs, and given back, each time.
            count = _recv_into(self._sock, BUFFER, min(size, len(BUFFER)), _PEEK)
        except (BlockingIOError, InterruptedError):
            return None
        return bytes(BUFFER[:count])

    def peer_ended(self) -> bool:
        """Return True if nothing will follow what can be looked at."""
        poll = select.poll()
        poll.register(self._fd, select.POLLRDHUP)
        return bool(poll.poll(0))

    def end_peeking(self) -> None:
        """Call the reader from now on as long as there is something to read, if it is called at all yet."""
        if self._watched:
            self._watch(READABLE)
