"""Outcomes as a run makes them, with figures that are easy to check."""

from collections.abc import Sequence

from bench.latency import PERCENTILES
from bench.measure import CONNECTION, REQUEST, Run, Unit
from bench.results import Outcome, Pace, Result

OURS, PLAIN = "uwsgi-router", "uwsgi-router (plain)"


def result(
    name: str,
    *costs: float,
    group: str = "HTTP node",
    unit: Unit = REQUEST,
    reference: bool = False,
    failed: int = 0,
) -> Result:
    """Return a result of runs of 1000 units a second that cost so much each."""
    runs = [Run(3000, failed, 3.0, cost * unit.scale * 3000) for cost in costs]
    return Result(group, name, unit, reference, runs)


def paced(measured: Result, rate: int, *, sent: float = 1.0, slower: int = 1) -> Result:
    """Add a run at a rate: p50 500 µs, p99 990, p99.9 999, times ``slower``; 40 µs of CPU."""
    measured.rate = rate
    percentiles = tuple(int(10 * percent * slower) for percent in PERCENTILES)
    measured.paces.append(Pace(rate * sent, 0, percentiles, 40_000))
    return measured


def outcome(*results: Result, scenario: str = "http", errors: Sequence[str] = ()) -> Outcome:
    machine = {"CPU": "abacus", "commit": "0123456789ab"}
    return Outcome(
        scenario,
        "2026-11-21T12:00:00+0000",
        f"python -m bench {scenario}",
        (0.5, 0.25, 0.125),
        machine,
        results,
        errors,
    )


def http() -> Outcome:
    """Return a scenario of two groups."""
    return outcome(
        paced(result(OURS, 30.0, 33.0, 36.0), 4700),
        paced(result("HAProxy", 19.0, 20.0, 22.0, reference=True), 4700),
        result(OURS, 10.0, group="UNIX node"),
    )


def idle() -> Outcome:
    return outcome(
        Result("HTTP node", OURS, CONNECTION, runs=[Run(10_000, 0, 0.0, 61_000_000)]),
        scenario="http-idle",
    )
