"""What came out: a table for people, JSON for comparing runs, with the facts about the machine."""

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.idle import Held
from bench.measure import Result
from bench.programs import ROOT, MissingError, find, first_line


def table(results: Sequence[Result]) -> str:
    """Return the table: CPU per request, its spread, throughput, latency, failures."""
    heads = ("CPU/request", "min - max", "of the first", "requests/s", "p99", "failed")
    widths = (11, 15, 12, 10, 8, 6)
    lines = [
        "  ".join(
            (" " * 44, *(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True)))
        )
    ]
    for group in dict.fromkeys(result.setup.group for result in results):
        first = next(result for result in results if result.setup.group == group)
        for result in results:
            if result.setup.group == group:
                least, most = result.spread
                lines.append(
                    f"{group:10}  {result.setup.name:32}  {result.cpu:8.1f} us  "
                    f"{f'{least:.1f} - {most:.1f}':>15}  {result.cpu / first.cpu:12.2f}  {result.rate:10.0f}  "
                    f"{result.p99 / 1000:5.1f} ms  {result.failed:6}"
                )
    return "\n".join(lines)


def write(path: Path, scenario: str, results: Sequence[Result]) -> None:
    """Write everything that was measured, and where, to a JSON file."""
    _write(
        path,
        scenario,
        [
            {
                "group": result.setup.group,
                "name": result.setup.name,
                "cpu_us_per_request": round(result.cpu, 2),
                "failed": result.failed,
                "runs": [asdict(run) for run in result.runs],
            }
            for result in results
        ],
    )


def idle_table(results: Sequence[Held]) -> str:
    """Return the table: bytes for each connection that is kept."""
    return "\n".join(
        f"{held.setup.group:10}  {held.setup.name:32}  {held.each:8.0f} bytes" for held in results
    )


def write_idle(path: Path, scenario: str, results: Sequence[Held]) -> None:
    """Write what connections took to a JSON file."""
    _write(
        path,
        scenario,
        [
            {
                "group": held.setup.group,
                "name": held.setup.name,
                "connections": held.connections,
                "bytes": held.memory,
            }
            for held in results
        ],
    )


def _write(path: Path, scenario: str, results: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "scenario": scenario,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "machine": machine(),
        "results": results,
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def machine() -> dict[str, object]:
    """Return what a number depends on besides the code."""
    cpu = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "uvloop": _version("uvloop"),
        "commit": first_line(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]),
        "wrk": _first_line("wrk", "-v"),
        "nginx": _first_line("nginx", "-v"),
        "haproxy": _first_line("haproxy", "-v"),
        "uwsgi": _first_line("uwsgi", "--version"),
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _first_line(program: str, option: str) -> str:
    try:
        return first_line([find(program), option])
    except MissingError:
        return ""
