"""Heartbeats: memory that the master shares with its children, where each says that its loop turns, and its numbers."""

import mmap
import os
import struct
from dataclasses import dataclass
from typing import Final

_BEAT: Final = struct.Struct("=dQQQ")
_SIZE: Final = 64
#: Children at once, all generations together.
PLACES: Final = 1024


@dataclass(frozen=True, slots=True)
class Beat:
    """Heartbeat of a child.

    Attributes:
        at: when its loop turned, on the monotonic clock in seconds; 0.0: not yet.
        connections: of clients, open now.
        running: requests that are being served.
        requests: since it started.
    """

    at: float = 0.0
    connections: int = 0
    running: int = 0
    requests: int = 0


class Beats:
    """Heartbeats of all children.

    Args:
        descriptor: of the shared memory; None: a new one.

    Attributes:
        descriptor: of the shared memory.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("heartbeats", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, _SIZE * PLACES)
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _SIZE * PLACES)

    def write(self, place: int, beat: Beat) -> None:
        """Write a child's heartbeat."""
        values = beat.at, beat.connections, beat.running, beat.requests
        _BEAT.pack_into(self._memory, place * _SIZE, *values)

    def read(self, place: int) -> Beat:
        """Read a child's heartbeat."""
        return Beat(*_BEAT.unpack_from(self._memory, place * _SIZE))

    def clear(self, place: int) -> None:
        """Make room for another child."""
        self.write(place, Beat())
