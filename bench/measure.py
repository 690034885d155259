"""Measurements: units, CPU time of a process tree, and wrk, which asks as fast as it can.

CPU time is ``/proc/PID/task/TID/schedstat``: nanoseconds on a CPU, as the scheduler counts them.
``/proc/PID/stat`` counts in ticks of 10 ms. Time that others take away (both cores are full in a
benchmark) is not in it.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.programs import MeasureError, find

_WRK_SCRIPT = """
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests":%d,"microseconds":%d,"failed":%d}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Unit:
    """Unit that is counted, and its cost.

    Attributes:
        one: its name: ``request``.
        many: the name of several.
        cost: what one costs is told in this: ``µs`` and ``s`` (of CPU), ``bytes`` (of memory).
        scale: how much of :attr:`Run.spent` (nanoseconds, bytes) makes one of ``cost``.
    """

    one: str
    many: str
    cost: str
    scale: float


REQUEST = Unit("request", "requests", "µs", 1e3)
GIGABYTE = Unit("GB", "GB", "s", 1e9)
ROUND_TRIP = Unit("round trip", "round trips", "µs", 1e3)
ANNOUNCE = Unit("announce", "announces", "µs", 1e3)
CHOICE = Unit("choice", "choices", "µs", 1e3)
CONNECTION = Unit("connection", "connections", "bytes", 1)


@dataclass(frozen=True, slots=True)
class Load:
    """Load: as fast as it goes by wrk, at a fixed rate by h2load.

    Attributes:
        connections: that wrk keeps open.
        script: Lua that is run by wrk besides ours; a function ``request`` makes each request.
        headers: request headers besides Host.
        targets: request targets that h2load goes through in turn; none: the one of the URL.
        amount: how many units one request is: 0.001 for 1 MB counted in GB.
        paced: whether latency at a fixed rate says anything.
    """

    connections: int = 16
    script: str = ""
    headers: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    amount: float = 1.0
    paced: bool = True


@dataclass(frozen=True, slots=True)
class Idle:
    """Idle connections, held open instead of requests (:mod:`bench.idle`).

    Attributes:
        connections: kept, each after one request, besides ``before`` others.
        before: open already when counting begins: what a process takes once is not counted.
    """

    connections: int = 8_000
    before: int = 1000


@dataclass(frozen=True, slots=True)
class Run:
    """Run as fast as it goes.

    Attributes:
        count: units that were done.
        failed: requests (announces, …) that were not: answered with 4xx or 5xx, errors of
            connections, announces that were not taken.
        seconds: how long it ran.
        spent: by the measured process tree on all of them: nanoseconds of CPU, or bytes.
    """

    count: float
    failed: int
    seconds: float
    spent: float


@dataclass(frozen=True, slots=True)
class Paced:
    """Run at a fixed rate.

    Attributes:
        rate: units a second that really were sent.
        failed: of these not answered well.
        latencies: microseconds, of each that was answered, in any order.
        each: nanoseconds of CPU that the measured process tree spent on one, 0 if nobody looked.
    """

    rate: float
    failed: int
    latencies: list[int]
    each: float = 0.0


@dataclass(frozen=True, slots=True)
class Setup:
    """Setup: a chain that is up; load goes in at a URL, and one process tree in it is measured.

    Attributes:
        name: what differs, for the table: ``uwsgi-router (uvloop)``.
        group: setups of one group are compared: ``TCP node``. They have one unit.
        url: where to send requests.
        pid: root of the measured process tree.
        unit: what is counted.
        load: what to send, if not what the scenario sends.
        reference: the others of the group are compared with this one; without any, with the first.
        run: measures in another way than by requests to ``url``, for about so many seconds.
        paced: measures latency in another way, at so many units a second for so many seconds.
        alternating: differs by a few per cent from the others of its group, which all alternate:
            they have many short runs, each beside one of the reference
            (:class:`bench.rounds.Rounds`).
    """

    name: str
    group: str
    url: str
    pid: int
    unit: Unit = REQUEST
    load: Load | None = None
    reference: bool = False
    run: Callable[[int], Run] | None = None
    paced: Callable[[int, int], Paced] | None = None
    alternating: bool = False


def cpu_time(root: int) -> int:
    """Return the nanoseconds that a process and its descendants have spent on a CPU.

    Raises:
        MeasureError: if the process is no more.
    """
    total = 0
    for pid in tree(root):
        tasks = Path(f"/proc/{pid}/task")
        try:
            for task in tasks.iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        except OSError:  # it ended meanwhile
            continue
    if not total:
        raise MeasureError(f"the measured process {root} has ended")
    return total


def ask(setup: Setup, load: Load, seconds: int, directory: Path) -> Run:
    """Send requests for so many seconds, whatever ``setup.run`` is.

    Raises:
        MissingError: without wrk.
        MeasureError: if wrk fails, or no request is answered.
    """
    command = [find("wrk"), "-t1", f"-c{load.connections}", f"-d{seconds}s"]
    for header in load.headers:
        command += ["-H", header]
    with tempfile.NamedTemporaryFile("w", suffix=".lua", dir=directory) as script:
        script.write(_WRK_SCRIPT + load.script)
        script.flush()
        command += ["-s", script.name, setup.url]
        before = cpu_time(setup.pid)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        spent = cpu_time(setup.pid) - before
    if done.returncode:
        raise MeasureError(f"wrk: {done.stderr.strip()}")
    numbers = json.loads(done.stdout.splitlines()[-1])
    if not numbers["requests"]:
        raise MeasureError("no request was answered")
    return Run(
        count=numbers["requests"] * load.amount,
        failed=numbers["failed"],
        seconds=numbers["microseconds"] / 1e6,
        spent=spent,
    )


def tree(root: int) -> list[int]:
    """Return a process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            # The command's name stands in brackets and may hold anything: count from its end.
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found
