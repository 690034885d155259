"""CPU per request, of user space and of the kernel.

The sum is the scheduler's (``/proc/PID/task/TID/schedstat``, nanoseconds). How it is divided says
``/proc/PID/stat``, which may count in ticks of 10 ms: only long runs give a share that is worth
something.
"""

import statistics
from dataclasses import dataclass
from pathlib import Path

from bench.measure import cpu_time
from tools.anatomy.chains import Running

#: Seconds of CPU that the router has to spend: 200 ticks.
ENOUGH = 2.0
_BATCH = 1600


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time of one request, in microseconds.

    Attributes:
        each: of batches of requests, in the order in which they ran; at least one.
        share: of it in user space, from 0 to 1.
    """

    each: list[float]
    share: float

    @property
    def both(self) -> float:
        """Median."""
        return statistics.median(self.each)

    @property
    def user(self) -> float:
        """In user space."""
        return self.both * self.share

    @property
    def kernel(self) -> float:
        """In the kernel."""
        return self.both - self.user


def measure(chain: Running, enough: float = ENOUGH, batch: int = _BATCH) -> Cpu:
    """Ask until the router has spent enough.

    Args:
        chain: with a plain router.
        enough: seconds.
        batch: requests that are measured together.

    Raises:
        MeasureError: if requests are not answered.
    """
    pid = chain.router.pid
    user, kernel = _ticks(pid)
    began = spent = cpu_time(pid)
    each = []
    while spent - began < enough * 1e9:
        before = spent
        chain.clients.ask(batch)
        spent = cpu_time(pid)
        each.append((spent - before) / 1e3 / batch)
    user_after, kernel_after = _ticks(pid)
    user, kernel = user_after - user, kernel_after - kernel
    return Cpu(each, user / max(1, user + kernel))


def _ticks(pid: int) -> tuple[int, int]:
    """Return utime and stime."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    # The command's name stands in brackets and may hold anything: count from its end.
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])
