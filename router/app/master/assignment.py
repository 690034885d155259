"""Assignment of a child: its role, its number, and the descriptors that it inherits; a value over one of these."""

import json
from dataclasses import asdict, dataclass

from uwsgi_router.router.supervision.memory_file import read_memory_file, write_memory_file


@dataclass(frozen=True, slots=True)
class Assignment:
    """Assignment of a child.

    Attributes:
        role: ``worker``, ``keeper``, ``jail``, ``emperor`` or ``prepare``.
        number: of the worker, or of the router for jails, from 0.
        generation: number of its configuration, from 1.
        slots: workers of this generation.
        channel: descriptor of its end of the channel to the master.
        configuration: descriptor of the configuration; -1: it is to be read.
        beats: descriptor of the shared heartbeats; -1: none.
        beat: number of its own heartbeat.
        takes_over: the table of announced nodes comes from the generation before.
        sessions: descriptor of the shared table of an Emperor's sessions; -1: none.
    """

    role: str
    number: int
    generation: int
    slots: int
    channel: int
    configuration: int = -1
    beats: int = -1
    beat: int = 0
    takes_over: bool = False
    sessions: int = -1

    @property
    def descriptors(self) -> list[int]:
        """Numbers of the descriptors that it inherits."""
        given = (self.channel, self.configuration, self.beats, self.sessions)
        return [one for one in given if one >= 0]

    def write(self) -> int:
        """Return the descriptor of a new memory file with it."""
        return write_memory_file("assignment", json.dumps(asdict(self)).encode())

    @classmethod
    def read(cls, descriptor: int) -> "Assignment":
        """Read what :meth:`write` has written."""
        return cls(**json.loads(read_memory_file(descriptor)))
