"""What another process has: descriptors, children, memory."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lab.processes import children_of
from tests.lab.waiting import wait_until


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
        links = []
        for number in os.listdir(f"/proc/{pid}/fd"):
            try:
                links.append(os.readlink(f"/proc/{pid}/fd/{number}"))
            except FileNotFoundError:  # closed meanwhile
                continue
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        (anonymous,) = (line.split()[1] for line in lines if line.startswith("Anonymous:"))
        return cls(
            tuple(sorted(link.partition("[")[0] for link in links)),
            tuple(children_of(pid)),
            int(anonymous) * 1024,
        )


def leaves_nothing_behind(pid: int, drop: Callable[[int], None]) -> None:
    """See that a process has nothing of a thousand sessions.

    Args:
        pid: of the process.
        drop: opens and drops so many sessions, and waits until the process knows that they have ended.
    """
    drop(200)
    before = Holdings.of(pid)
    drop(1000)
    # The last to ask for the statistics may still be there, and may have been there before.
    wait_until(
        lambda: not Counter(Holdings.of(pid).descriptors) - Counter(before.descriptors),
        "all are closed",
    )
    after = Holdings.of(pid)
    assert after.children == before.children == ()
    assert after.memory - before.memory < 400_000


def zombies() -> list[str]:
    """Children of ours that nobody has waited for."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if (state, parent) == ("Z", str(os.getpid())):
            found.append(name)
    return found
