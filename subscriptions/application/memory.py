"""Memory of a session's processes: proportional set sizes, so that what they share is counted once."""

from uwsgi_router.subscriptions.application.program import session

_KIB = 1024


def memory_of(leader: int) -> int:
    """Return the bytes of memory that a session uses; where the kernel does not tell of shares, resident sizes."""
    return sum(map(_of_process, session(leader)))


def _of_process(pid: int) -> int:
    return _line(f"/proc/{pid}/smaps_rollup", "Pss:") or _line(f"/proc/{pid}/status", "VmRSS:")


def _line(path: str, name: str) -> int:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(name):
                    return int(line.split()[1]) * _KIB
    except OSError:
        pass
    return 0
