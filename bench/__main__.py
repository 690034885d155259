"""``python -m bench [SCENARIO …] [--quick]``: measure, print a table, write JSON."""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import idle, report
from bench.measure import Idle, measure
from bench.programs import ROOT, MissingError, StartError
from bench.scenarios import SCENARIOS


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="CPU per request, memory per connection."
    )
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(SCENARIOS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="two short rounds: does it work?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=6, help="of each run")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="DIRECTORY",
        default=ROOT / "build" / "bench",
        help="of results",
    )
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 2, 2
    for name in options.scenario:
        if name not in SCENARIOS:
            parser.error(f"no scenario {name!r}; there are {', '.join(SCENARIOS)}")
    worst = 0
    for name in options.scenario or SCENARIOS:
        worst = max(worst, run(name, options.rounds, options.seconds, options.json))
    return worst


def run(name: str, rounds: int, seconds: int, results: Path) -> int:
    """Run one scenario; return the exit code: 1 if nothing was measured, or a request failed."""
    scenario = SCENARIOS[name]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        try:
            setups = scenario.start(stack, directory, tell)
        except (MissingError, StartError) as exc:
            missing = "missing " if isinstance(exc, MissingError) else ""
            tell(f"scenario {name} left out: {missing}{exc}")
            return 1
        if not setups:
            tell(f"scenario {name}: nothing to measure")
            return 1
        path = results / f"{name}.json"
        if isinstance(scenario.LOAD, Idle):
            held = idle.measure(setups, scenario.LOAD, progress=tell)
            print(f"\n{name}: {scenario.LOAD.connections} connections each\n")
            print(report.idle_table(held))
            report.write_idle(path, name, held)
            failed = False
        else:
            done = measure(
                setups,
                scenario.LOAD,
                rounds=rounds,
                seconds=seconds,
                directory=directory,
                progress=tell,
            )
            print(f"\n{name}: {rounds} rounds of {seconds} s each, in turn; medians\n")
            print(report.table(done))
            report.write(path, name, done)
            failed = any(result.failed for result in done)
    print(f"\nwritten: {path}")
    return int(failed)


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
