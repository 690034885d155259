"""Accepting of clients by an Emperor, which goes on when descriptors ran out."""

import socket
from collections.abc import Callable
from typing import Final

from uwsgi_router.router.supervision.loop import SelectorLoop

#: Seconds until what has failed for want of a descriptor is tried again.
AGAIN: Final = 1.0


def accept_from(
    loop: SelectorLoop, listener: socket.socket, take: Callable[[socket.socket], object]
) -> None:
    """Have each client of a listening socket taken, until that is closed.

    Args:
        loop: waits.
        listener: non-blocking.
        take: is given each client's socket, which is its own from then on.
    """

    def accept() -> None:
        try:
            sock, _peer = listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:
            # No descriptor is free: who waits there would wake us again and again.
            loop.remove_reader(listener.fileno())
            loop.call_later(AGAIN, accept_from, loop, listener, take)
            return
        take(sock)

    if listener.fileno() >= 0:
        loop.add_reader(listener.fileno(), accept)
