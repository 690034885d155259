"""``python -m bench [SCENARIO …] [--quick] [--docs]``: measure, print tables, write JSON and the page."""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from bench import idle, machine, page, report
from bench.measure import Idle
from bench.programs import ROOT, MeasureError, MissingError, StartError
from bench.results import Outcome
from bench.rounds import Plan, Rounds
from bench.scenarios import SCENARIOS

RESULTS = ROOT / "build" / "bench"


def main() -> int:
    options = _options()
    plan = Plan.quick() if options.quick else Plan(options.rounds, options.seconds)
    results = options.json or (RESULTS / "quick" if options.quick else RESULTS)
    idle.raise_descriptors()
    began = time.monotonic()
    failed: list[str] = []
    measured = 0
    for name in options.scenario or SCENARIOS:
        path = results / f"{name}.json"
        path.unlink(missing_ok=True)  # no page may show what an earlier run found
        started = time.monotonic()
        try:
            outcome = run(name, plan, _repeat(name, options))
        except MissingError as exc:
            tell(f"scenario {name} left out: missing {exc}")
            continue
        except (StartError, MeasureError, OSError) as exc:
            tell(f"scenario {name} FAILED: {exc}")
            failed.append(name)
            continue
        except Exception:  # noqa: BLE001 - a mistake in one scenario must not cost the others
            traceback.print_exc()
            tell(f"scenario {name} FAILED")
            failed.append(name)
            continue
        print(f"\n{report.terminal(outcome)}\n", flush=True)
        outcome.write(path)
        tell(f"written: {path} after {time.monotonic() - started:.0f} s")
        measured += bool(outcome.results)
        if outcome.failed:
            failed.append(name)
    if options.docs:
        if not micro(results / page.MICRO, quick=options.quick):
            failed.append("micro")
        # A quick run shows that the page can be made, and leaves the documentation alone.
        page.make(results, results if options.quick else page.DOCS, tell)
    tell(f"{time.monotonic() - began:.0f} s; failed: {', '.join(failed) or 'none'}")
    if not measured:
        tell("nothing was measured")
    return int(bool(failed) or not measured)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="CPU per request, latency, memory per connection."
    )
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(SCENARIOS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="short runs: does it work?")
    parser.add_argument("--rounds", type=int, default=Plan().rounds, help="as fast as it goes")
    parser.add_argument("--seconds", type=int, default=Plan().seconds, help="of each of these runs")
    parser.add_argument(
        "--docs",
        action="store_true",
        help="measure single functions too, and fill docs/benchmarks.md with all results (--quick: a "
        "copy beside the results)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="DIRECTORY", help="for results; default: build/bench"
    )
    options = parser.parse_args()
    for name in options.scenario:
        if name not in SCENARIOS:
            parser.error(f"no scenario {name!r}; there are {', '.join(SCENARIOS)}")
    if min(options.rounds, options.seconds) < 1:
        parser.error("--rounds and --seconds are at least 1")
    return options


def _repeat(name: str, options: argparse.Namespace) -> str:
    how = (
        ["--quick"]
        if options.quick
        else ["--rounds", str(options.rounds), "--seconds", str(options.seconds)]
    )
    return shlex.join([".bench/venv/bin/python", "-m", "bench", name, *how])


def run(name: str, plan: Plan, repeat: str) -> Outcome:
    """Run one scenario.

    Raises:
        MissingError: if it needs a program that is not there.
        StartError: if something does not come up.
        MeasureError: if nothing of it can be measured.
    """
    scenario = SCENARIOS[name]
    tell(f"scenario {name}")
    load = os.getloadavg()
    errors: Sequence[str]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        setups = scenario.start(stack, directory, tell)
        if not setups:
            raise MeasureError("nothing to measure")
        if isinstance(scenario.LOAD, Idle):
            results, errors = idle.measure(setups, scenario.LOAD, plan.idle_part, progress=tell)
        else:
            rounds = Rounds(setups, scenario.LOAD, directory=directory, progress=tell)
            results, errors = rounds.measure(plan), rounds.errors
    return Outcome(name, machine.now(), repeat, load, machine.facts(), results, errors)


def micro(directory: Path, *, quick: bool) -> bool:
    """Measure single functions, as ``python -m bench.micro`` does.

    Args:
        directory: for results; what an earlier run found goes away.
        quick: only a few, once.

    Returns:
        False if that failed.
    """
    shutil.rmtree(directory, ignore_errors=True)
    if find_spec("pyperf") is None:
        tell("left out: single functions: missing pyperf (pip install '.[bench]')")
        return True
    tell("single functions")
    command = [sys.executable, "-m", "bench.micro", "--quiet", f"--directory={directory}"]
    if quick:
        command += ["request", "--debug-single-value"]
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode:
        tell("single functions FAILED")
    return not done.returncode


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
