"""Results of a scenario: one JSON file with every run, written and read.

Files of different days can be compared, so they hold raw facts: what was counted, what was spent.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from bench.latency import PERCENTILES, percentile
from bench.measure import Paced, Run, Unit

#: A program that sends less than this part of the rate has not held it.
HELD = 0.95


@dataclass(frozen=True, slots=True)
class Pace:
    """Run at a fixed rate, without its thousands of latencies.

    Attributes:
        rate: requests a second that really were sent.
        failed: of these not answered well.
        percentiles: microseconds, one for each of :data:`bench.latency.PERCENTILES`.
        each: nanoseconds of CPU spent on one, 0 if nobody looked.
    """

    rate: float
    failed: int
    percentiles: tuple[int, ...]
    each: float = 0.0

    @classmethod
    def of(cls, paced: Paced) -> Self:
        """Return the short form."""
        ordered = sorted(paced.latencies)
        return cls(
            round(paced.rate, 1),
            paced.failed,
            tuple(int(percentile(ordered, percent)) for percent in PERCENTILES),
            round(paced.each, 1),
        )

    def at(self, percent: float) -> int:
        """Return the latency in microseconds at one of the percentiles."""
        return self.percentiles[PERCENTILES.index(percent)]


@dataclass(slots=True)
class Result:
    """Result of a program (a setup): its runs.

    Attributes:
        group, name, unit, reference: see :class:`bench.measure.Setup`.
        runs: as fast as it went.
        rate: the fixed rate that was asked for, 0: none.
        paces: the runs at this rate.
        paired: whether each run was made beside a run of the reference, in the same order.
    """

    group: str
    name: str
    unit: Unit
    reference: bool = False
    runs: list[Run] = field(default_factory=list)
    rate: int = 0
    paces: list[Pace] = field(default_factory=list)
    paired: bool = False

    @property
    def costs(self) -> list[float]:
        """Costs of a unit, of each run."""
        return [run.spent / max(run.count, 1e-9) / self.unit.scale for run in self.runs]

    @property
    def cost(self) -> float:
        """Median of the costs."""
        return statistics.median(self.costs)

    def ratios(self, other: "Result") -> list[float]:
        """Return the cost times that of ``other`` in the run beside it; of all runs that are pairs."""
        # One that failed later than the other has runs that are alone.
        return [mine / its for mine, its in zip(self.costs, other.costs, strict=False)]

    def ratio(self, other: "Result") -> float:
        """Return the cost times that of ``other``: of pairs the median, otherwise of the medians."""
        if self.paired and other.paired:
            return statistics.median(self.ratios(other))
        return self.cost / other.cost

    def quartiles(self, other: "Result") -> tuple[float, float]:
        """Return the quartiles between which half of the pairs' ratios is."""
        ratios = self.ratios(other)
        if len(ratios) < 2:
            return ratios[0], ratios[0]
        low, _median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return low, high

    @property
    def throughput(self) -> float:
        """Median of units a second; 0 if nothing was done in time, but held."""
        return statistics.median(run.count / run.seconds if run.seconds else 0 for run in self.runs)

    @property
    def failed(self) -> int:
        """Number of failures in all runs together."""
        return sum(run.failed for run in self.runs) + sum(pace.failed for pace in self.paces)

    @property
    def paced_cost(self) -> float:
        """Cost of a unit at the fixed rate: the median; 0 if it was not measured."""
        if not self.paces:
            return 0.0
        return statistics.median(pace.each for pace in self.paces) / self.unit.scale

    @property
    def held(self) -> bool:
        """Whether the fixed rate was really sent."""
        return all(pace.rate >= HELD * self.rate for pace in self.paces)

    @property
    def latencies(self) -> list[float]:
        """Microseconds at each of the percentiles: the median of the runs. Empty without runs."""
        if not self.paces:
            return []
        every = zip(*(pace.percentiles for pace in self.paces), strict=True)
        return [statistics.median(values) for values in every]

    def latency(self, percent: float) -> float:
        """Return the latency in microseconds at one of the percentiles."""
        return self.latencies[PERCENTILES.index(percent)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of a scenario that was run.

    Attributes:
        scenario: its name.
        finished: when, ISO 8601.
        repeat: the command that does it again.
        load: of the machine before, over 1, 5 and 15 minutes.
        machine: :func:`bench.machine.facts`.
        results: in the order of the setups.
        errors: what could not be measured, and why.
    """

    scenario: str
    finished: str
    repeat: str
    load: Sequence[float]
    machine: Mapping[str, str]
    results: Sequence[Result]
    errors: Sequence[str] = ()

    @property
    def failed(self) -> bool:
        """Whether something could not be measured, or a request failed."""
        return bool(self.errors) or any(result.failed for result in self.results)

    def find(self, group: str, name: str) -> Result | None:
        """Return the result of a program, None if it was not measured."""
        for result in self.results:
            if (result.group, result.name) == (group, name):
                return result
        return None

    @property
    def groups(self) -> dict[str, list[Result]]:
        """The results of each group."""
        found: dict[str, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.group, []).append(result)
        return found

    def write(self, path: Path) -> None:
        """Write it to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "scenario": self.scenario,
            "finished": self.finished,
            "repeat": self.repeat,
            "load": list(self.load),
            "machine": dict(self.machine),
            "errors": list(self.errors),
            "percentiles": list(PERCENTILES),
            "results": [_told(result) for result in self.results],
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it from a file.

        Raises:
            ValueError: if it is not one that this version writes.
        """
        try:
            content = json.loads(path.read_text())
            if content["percentiles"] != list(PERCENTILES):
                raise ValueError("other percentiles")
            return cls(
                content["scenario"],
                content["finished"],
                content["repeat"],
                content["load"],
                content["machine"],
                [_read(result) for result in content["results"]],
                content["errors"],
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise ValueError(
                f"{path} is not a result of this version; measure again ({exc!r})"
            ) from exc


def reference(results: Sequence[Result]) -> Result:
    """Return the result of a group that the others are compared with."""
    return next((result for result in results if result.reference), results[0])


def _told(result: Result) -> dict[str, object]:
    """Return a result with what people look for first: cost, throughput, three latencies."""
    return {
        "group": result.group,
        "name": result.name,
        "cost": round(result.cost, 3),
        "cost_of": f"{result.unit.cost} per {result.unit.one}",
        "throughput": round(result.throughput, 3),
        "failed": result.failed,
        "rate": result.rate,
        "reference": result.reference,
        "paired": result.paired,
        "unit": asdict(result.unit),
        "runs": [asdict(run) for run in result.runs],
        "paces": [asdict(pace) for pace in result.paces],
    }


def _read(told: dict[str, Any]) -> Result:
    return Result(
        told["group"],
        told["name"],
        Unit(**told["unit"]),
        told["reference"],
        [Run(**run) for run in told["runs"]],
        told["rate"],
        [
            Pace(pace["rate"], pace["failed"], tuple(pace["percentiles"]), pace["each"])
            for pace in told["paces"]
        ],
        told["paired"],
    )
