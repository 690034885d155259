"""Keys of vassals that are started on demand: files in a directory; their Emperor hears of requests by datagrams."""

import os
import socket
from collections.abc import Callable, Iterable

from uwsgi_router.protocol.emperor import ON_DEMAND, WANTED, file_name_of

# Keys whose last datagram is remembered.
_MOST = 4096


class OnDemandKeys:
    """Keys of on-demand vassals, as the Emperor beside this router has them.

    Args:
        directory: that both share.
        clock: seconds that don't jump.
        pause: seconds between two datagrams for a key.
    """

    def __init__(self, directory: str, clock: Callable[[], float], pause: float = 0.5) -> None:
        self._files = os.path.join(directory, ON_DEMAND)
        self._wanted = os.path.join(directory, WANTED)
        self._clock = clock
        self._pause = pause
        self._sock: socket.socket | None = None
        self._told: dict[bytes, float] = {}

    def has(self, keys: Iterable[bytes]) -> bool:
        """Return True if one of these keys is that of a vassal that may sleep."""
        return any(map(self._exists, keys))

    def wake(self, keys: Iterable[bytes]) -> bytes | None:
        """Have the vassal started that has one of these keys, if it sleeps; return the key, None if there is none."""
        for key in keys:
            if self._exists(key):
                self._tell(key)
                return key
        return None

    def _exists(self, key: bytes) -> bool:
        # A look-up in the kernel's cache of names, for requests without a node only.
        return os.path.exists(os.path.join(self._files, file_name_of(key)))

    def _tell(self, key: bytes) -> None:
        now = self._clock()
        if now - self._told.get(key, -self._pause) < self._pause:
            return
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[key] = now
        if self._sock is None:
            self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sock.setblocking(False)
        try:
            self._sock.sendto(key, self._wanted)
        except OSError:
            # The Emperor starts again just now: the next request tells it.
            del self._told[key]

    def close(self) -> None:
        """Close the socket."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
