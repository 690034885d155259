"""Micro benchmark results: read from pyperf's JSON without pyperf, and shown as a table."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.programs import ROOT

DIRECTORY = ROOT / "build" / "bench" / "micro"


@dataclass(frozen=True, slots=True)
class Timed:
    """Result of one micro benchmark.

    Attributes:
        name: of the benchmark.
        values: nanoseconds, each from a run of many; at least one.
    """

    name: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        """In nanoseconds."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """Least and most, in nanoseconds."""
        return min(self.values), max(self.values)


def load(directory: Path = DIRECTORY, names: Iterable[str] | None = None) -> list[Timed]:
    """Read results.

    Args:
        directory: where they are, as ``NAME.json``.
        names: which to read, in this order; None: all that are there, by name.
    """
    if names is None:
        names = sorted(path.stem for path in directory.glob("*.json"))
    return [read(directory / f"{name}.json") for name in names]


def read(path: Path) -> Timed:
    """Read the result of one benchmark."""
    (benchmark,) = json.loads(path.read_text())["benchmarks"]
    values = [value * 1e9 for run in benchmark["runs"] for value in run.get("values", ())]
    return Timed(path.stem, values)


def markdown(results: Sequence[Timed]) -> str:
    """Return a table: nanoseconds of each operation, and between which values they were."""
    lines = ["| operation | ns | min | max |", "|---|--:|--:|--:|"]
    for timed in results:
        least, most = timed.spread
        lines.append(f"| {timed.name} | {timed.median:.0f} | {least:.0f} | {most:.0f} |")
    return "\n".join(lines)
