"""Measuring: CPU time of a process tree, a load generator's numbers, and setups in turn.

CPU time is ``/proc/PID/task/TID/schedstat``: nanoseconds on a CPU, as the scheduler counts them.
``/proc/PID/stat`` counts in ticks of 10 ms. Time that others take away (both cores are full in a
benchmark) is not in it.
"""

import json
import os
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.programs import find

_WRK_SCRIPT = """
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests":%d,"microseconds":%d,"failed":%d,"p50":%d,"p99":%d}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk asks for.

    Attributes:
        connections: kept open.
        script: Lua that is run by wrk besides ours; a function ``request`` makes each request.
        headers: request headers besides Host.
    """

    connections: int = 16
    script: str = ""
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Idle:
    """What is held open instead of asking (:mod:`bench.idle`).

    Attributes:
        connections: kept, each after one request, besides ``before`` others.
        before: open already when counting begins: what a process takes once is not counted.
    """

    connections: int = 5000
    before: int = 1000


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the generator.

    Attributes:
        requests: answered.
        failed: of these not 2xx or 3xx, plus errors of connections.
        seconds: how long it ran.
        p50, p99: latency in microseconds.
        cpu: microseconds of CPU per request of the measured process tree.
    """

    requests: int
    failed: int
    seconds: float
    p50: int
    p99: int
    cpu: float


@dataclass(frozen=True, slots=True)
class Setup:
    """A chain that is up: load goes in at a URL, and one process tree in it is measured.

    Attributes:
        name: what differs, for the table: ``uwsgi-router (uvloop)``.
        group: setups of one group are compared: ``TCP node``.
        url: where to send requests.
        pid: root of the measured process tree.
        run: measures in another way than by requests to ``url``, for about so many seconds; what it
            counts stands where requests would.
    """

    name: str
    group: str
    url: str
    pid: int
    run: Callable[[int], Run] | None = None


@dataclass(slots=True)
class Result:
    """A setup and its runs."""

    setup: Setup
    runs: list[Run] = field(default_factory=list)

    @property
    def cpu(self) -> float:
        """Median of CPU per request, in microseconds."""
        return statistics.median(run.cpu for run in self.runs)

    @property
    def spread(self) -> tuple[float, float]:
        """Least and most CPU per request."""
        return min(run.cpu for run in self.runs), max(run.cpu for run in self.runs)

    @property
    def rate(self) -> float:
        """Median of requests per second."""
        return statistics.median(run.requests / run.seconds for run in self.runs)

    @property
    def p99(self) -> float:
        """Median of the 99th percentile of latency, in microseconds."""
        return statistics.median(run.p99 for run in self.runs)

    @property
    def failed(self) -> int:
        """Requests that failed in all runs together."""
        return sum(run.failed for run in self.runs)


def cpu_time(root: int) -> int:
    """Return the nanoseconds that a process and its descendants have spent on a CPU."""
    total = 0
    for pid in tree(root):
        tasks = Path(f"/proc/{pid}/task")
        try:
            for task in tasks.iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        except OSError:  # it ended meanwhile
            continue
    return total


def measure(
    setups: Sequence[Setup],
    load: Load,
    *,
    rounds: int,
    seconds: int,
    directory: Path,
    progress: Callable[[str], None],
) -> list[Result]:
    """Warm every setup up, then run them in turn (A B C, A B C, …).

    In turn, because a machine gets slower and faster over minutes (neighbours, clock rates): what
    one setup suffers all suffer.

    Args:
        setups: what to measure; all are up the whole time, idle but for their turns.
        load: what to send.
        rounds: measured runs of each.
        seconds: length of a run.
        directory: for scratch files.
        progress: told what goes on.
    """
    results = [Result(setup) for setup in setups]
    for setup in setups:
        _run(setup, load, max(1, seconds // 2), directory)
    for number in range(rounds):
        for result in results:
            run = _run(result.setup, load, seconds, directory)
            result.runs.append(run)
            progress(
                f"round {number + 1}/{rounds}  {result.setup.group:10}  {result.setup.name:32}"
                f"{run.cpu:8.1f} us/request"
            )
    return results


def _run(setup: Setup, load: Load, seconds: int, directory: Path) -> Run:
    return ask(setup, load, seconds, directory) if setup.run is None else setup.run(seconds)


def ask(setup: Setup, load: Load, seconds: int, directory: Path) -> Run:
    """Send requests for so many seconds, whatever ``setup.run`` is."""
    script = directory / "wrk.lua"
    script.write_text(_WRK_SCRIPT + load.script)
    command = [find("wrk"), "-t1", f"-c{load.connections}", f"-d{seconds}s", "-s", str(script)]
    for header in load.headers:
        command += ["-H", header]
    before = cpu_time(setup.pid)
    done = subprocess.run([*command, setup.url], capture_output=True, text=True, check=True)
    spent = cpu_time(setup.pid) - before
    numbers = json.loads(done.stdout.splitlines()[-1])
    if not numbers["requests"]:
        raise RuntimeError(f"{setup.group}, {setup.name}: no request was answered")
    return Run(
        requests=numbers["requests"],
        failed=numbers["failed"],
        seconds=numbers["microseconds"] / 1e6,
        p50=numbers["p50"],
        p99=numbers["p99"],
        cpu=spent / numbers["requests"] / 1000,
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
