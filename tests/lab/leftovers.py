"""What another process has: descriptors, children, memory."""

import os
from dataclasses import dataclass
from pathlib import Path

from tests.lab.reloaded import children_of


@dataclass(frozen=True)
class Holdings:
    """What a process has now.

    Attributes:
        descriptors: where they lead, but for sockets' and other numbers.
        children: processes, those that have ended and were not reaped too.
        memory: bytes of its own.
    """

    descriptors: tuple[str, ...]
    children: tuple[int, ...]
    memory: int

    @classmethod
    def of(cls, pid: int) -> "Holdings":
        links = [
            os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")
        ]
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        (anonymous,) = (line.split()[1] for line in lines if line.startswith("Anonymous:"))
        return cls(
            tuple(sorted(link.partition("[")[0] for link in links)),
            tuple(children_of(pid)),
            int(anonymous) * 1024,
        )
