"""Sessions of processes (setsid(2)): who is in one, and the end of all that is left in it.

A process is only signalled through a pidfd, after a second look at its session: its number may be another one's then.
"""

import os
import signal
from collections.abc import Collection, Iterator
from typing import Final

# Passes over /proc: who forks while the others are killed is found by the next one.
_PASSES: Final = 10
_DEAD: Final = frozenset(b"ZXx")


def members(leaders: Collection[int]) -> Iterator[tuple[int, int]]:
    """Yield each living process of these sessions, and the leader of its session.

    Args:
        leaders: process ids of the leaders, which may have ended, but were not waited for.
    """
    for name in os.listdir("/proc"):
        if name.isdecimal():
            session = session_of(int(name))
            if session in leaders:
                yield int(name), session


def session_of(pid: int) -> int:
    """Return the session of a living process; -1: there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # Behind the name in parentheses: state, parent, process group, session.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return -1
    return -1 if fields[0][0] in _DEAD else int(fields[3])


def end_sessions(leaders: Collection[int], spared: Collection[int] = ()) -> int:
    """Kill all that is in some sessions; return how many processes that were.

    Args:
        leaders: of the sessions; 1 and less are none.
        spared: processes that are not killed.
    """
    wanted = {leader for leader in leaders if leader > 1}
    killed: set[int] = set()
    for _ in range(_PASSES):
        found = [
            (pid, session)
            for pid, session in (members(wanted) if wanted else ())
            if pid not in spared and pid > 1
        ]
        if not found:
            break
        for pid, session in found:
            if _kill(pid, session):
                killed.add(pid)
    return len(killed)


def _kill(pid: int, session: int) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if session_of(pid) != session:
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
