"""Table of the sessions of an Emperor's vassals, in memory that the master shares with it.

The Emperor notes each vassal that it starts. When it has been killed, the master knows whom it has left.
"""

import mmap
import os
import struct
from typing import Final

_ENTRY: Final = struct.Struct("=q")
#: Vassals at once; of more of them, the master knows only so many.
PLACES: Final = 16_384
_SIZE: Final = _ENTRY.size * PLACES


class SessionTable:
    """Table of sessions, each named by the process id of its leader.

    Args:
        descriptor: of the shared memory; None: a new one.

    Attributes:
        descriptor: of the shared memory.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("sessions", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, _SIZE)
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _SIZE)

    @classmethod
    def restore(cls, descriptor: int | None) -> "SessionTable":
        """Return the one that was there before an exec; a new one if there was none."""
        if descriptor is not None:
            os.set_inheritable(descriptor, False)
        return cls(descriptor)

    def read(self) -> set[int]:
        """Return all that are noted."""
        return {pid for (pid,) in _ENTRY.iter_unpack(self._memory)} - {0}

    def note(self, pid: int) -> None:
        """Note a session, if there is room."""
        self._replace(0, pid)

    def forget(self, pid: int) -> None:
        """Take a session out."""
        self._replace(pid, 0)

    def clear(self) -> None:
        """Take all out."""
        self._memory[:] = bytes(_SIZE)

    def _replace(self, old: int, new: int) -> None:
        place = self._memory.find(_ENTRY.pack(old))
        # What is found may begin inside of an entry.
        while place >= 0 and place % _ENTRY.size:
            place = self._memory.find(_ENTRY.pack(old), place + 1)
        if place >= 0:
            _ENTRY.pack_into(self._memory, place, new)
