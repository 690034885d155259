"""Latency at a fixed rate below saturation: rate, h2load's command, its log, percentiles.

h2load's clients (connections) each send at their own beat. Started together they would send in one
beat, all at once: what is measured then is how long a burst of as many requests takes. So they start
one after the other, spread over the beat, and only the time in which all of them send counts.

A client that still waits for an answer when its beat comes sends late, and its waiting before that
is not in the log. With 64 clients that takes an answer later than 64 requests' time.
"""

import math
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from bench.measure import Load, Paced, Setup, cpu_time
from bench.programs import MeasureError, find

#: Of the throughput of the slowest.
SHARE = 0.6
#: h2load's timers tick each 10 ms at most; a client that is to send more often sends in bursts.
MOST_PER_CLIENT = 80
#: But not more than requests a second.
LEAST_CLIENTS = 64
#: Of what a latency's distribution is told.
PERCENTILES = (
    *range(5, 95, 5), 95, 96, 97, 98, 99, 99.2, 99.4, 99.5, 99.6, 99.7, 99.8, 99.9,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Beat:
    """Beat of h2load's clients, which share a rate.

    Attributes:
        clients: connections.
        each: requests a second of each.
        apart: milliseconds between the starts of two clients.
    """

    clients: int
    each: float
    apart: int

    @property
    def start(self) -> float:
        """Seconds until all of them send."""
        return self.clients * self.apart / 1000


def rate_for(throughputs: Sequence[float]) -> int:
    """Return the rate for programs of these throughputs: SHARE of the least, two digits of it."""
    rate = SHARE * min(throughputs)
    if rate < 10:
        return max(1, int(rate))
    step: int = 10 ** (int(math.log10(rate)) - 1)
    return int(rate // step) * step


def beat(rate: int) -> Beat:
    """Return how many clients share this rate, and how far apart they start."""
    clients = max(min(LEAST_CLIENTS, rate), math.ceil(rate / MOST_PER_CLIENT))
    period = 1000 * clients / rate
    # Many clients start in several rounds of the beat: less would be apart than h2load can tell.
    times = range(3, max(15, 1000 // rate) + 1)
    apart = min(times, key=lambda apart: _largest_gap(clients, apart, period))
    return Beat(clients, rate / clients, apart)


def _largest_gap(clients: int, apart: int, period: float) -> float:
    """Return the longest time in a period in which nobody sends."""
    times = sorted(client * apart % period for client in range(clients))
    return max(b - a for a, b in zip(times, [*times[1:], times[0] + period], strict=True))


def h2load(setup: Setup, load: Load, rate: int, seconds: int, directory: Path) -> Paced:
    """Send so many requests a second for so many seconds.

    Raises:
        MissingError: without h2load.
        MeasureError: if h2load fails, or no request is answered.
    """
    split = beat(rate)
    log = directory / "h2load.log"
    log.unlink(missing_ok=True)
    command = [
        find("h2load"),
        "--h1",
        "-t1",
        f"-c{split.clients}",
        "-r1",
        f"--rate-period={split.apart}ms",
        f"--rps={split.each:.4f}",
        f"-n{math.ceil(rate * (seconds + split.start))}",
        f"--log-file={log}",
    ]
    for header in load.headers:
        command += ["-H", header]
    if load.targets:
        targets = directory / "targets"
        targets.write_text("".join(f"{target}\n" for target in load.targets))
        command += [f"--base-uri={_origin(setup.url)}", f"--input-file={targets}"]
    else:
        command.append(setup.url)
    limit = 3 * seconds + 30
    before = cpu_time(setup.pid)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        raise MeasureError(
            f"{rate} requests/s for {seconds} s were not answered in {limit} s"
        ) from None
    if done.returncode or not log.exists():
        raise MeasureError(f"h2load: {(done.stderr or done.stdout).strip()[-300:]}")
    spent = cpu_time(setup.pid) - before
    text = log.read_text()
    return replace(read_log(text, split.start, seconds), each=spent / max(1, text.count("\n")))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def read_log(text: str, start: float, seconds: float) -> Paced:
    """Return what was sent in so many seconds after the first so many.

    Args:
        text: lines of h2load's log: microseconds since the epoch at which a request was sent, its
            status (-1: none came), microseconds until the end of the answer; after tabs.
        start: seconds from the first request that do not count.
        seconds: that count.

    Raises:
        MeasureError: if there is no request in this time.
    """
    sent: list[tuple[int, int, int]] = []
    for line in text.splitlines():
        when, status, took = line.split("\t")[:3]
        sent.append((int(when), int(status), int(took)))
    first = min((when for when, _status, _took in sent), default=0) + start * 1e6
    counted = [row for row in sent if first <= row[0] < first + seconds * 1e6]
    latencies = [took for _when, status, took in counted if 200 <= status < 400]
    if not latencies:
        raise MeasureError(f"of {len(sent)} requests at a fixed rate none was answered")
    return Paced(len(counted) / seconds, len(counted) - len(latencies), latencies)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the least of some sorted values that so many percent of them do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
