"""Command ``python -m tools.anatomy [SCENARIO …]``: profiles one request inside our router.

For each scenario and build: CPU, of user space and of the kernel; system calls by name; instructions in user space. Of
the compiled build also the instructions by function and by program file; of the plain one opcodes and calls by function
and by layer. What needs a program that is not there is left out, and named. Opcodes are neither time nor all of it:
what Python calls in C is in the instructions alone.
"""

import argparse
import itertools
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bench import machine
from bench.programs import MeasureError, MissingError, StartError
from bench.scenarios.variants import Variant, default_build
from tools.anatomy import cpu, functions, instructions, syscalls, tables
from tools.anatomy.chains import CHAINS, running

_T = TypeVar("_T")


LOOPS = ("uvloop", "asyncio")
BUILDS = ("compiled", "plain")


def main() -> int:
    options = _options()
    anatomies, sections, failed = [], [], 0
    if not default_build()[0].compiled and "compiled" in options.build:
        tell("no compiled packages: `make bench` puts them into .bench/compiled")
        options.build.remove("compiled")
    for name, build in itertools.product(options.scenario or CHAINS, options.build):
        tell(f"scenario {name}, {build}")
        variant = Variant(options.loop, compiled=build == "compiled")
        measuring = Measuring(name, variant, options.requests)
        try:
            found = measuring.everything()
        except (StartError, MeasureError, OSError) as exc:
            tell(f"scenario {name} FAILED: {exc}")
            failed += 1
            continue
        failed += measuring.failed
        anatomies.append(found)
        sections.append(tables.section(found, options.top, _repeat(name, build, options)))
        print(f"\n{sections[-1]}", flush=True)
    if not anatomies:
        return 1
    facts = machine.facts()
    which = "; ".join(f"{what} {facts[what]}" for what in ("CPU", "commit", "Python", "uvloop"))
    first = f"{tables.overview(anatomies)}\n\n{which}; event loop: {options.loop}.\n"
    if len(anatomies) > 1:
        print(first)
    if options.markdown:
        again = (
            f"Made by `python -m tools.anatomy --top {options.top} --markdown FILE`, in one run: the compiled "
            "build and the plain one.\n"
        )
        page = ("# The anatomy of a request\n", again, first, *sections)
        options.markdown.write_text("\n".join(page))
        tell(f"written: {options.markdown}")
    return int(failed > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.anatomy",
        description="Where the time of one request goes inside our router.",
    )
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(CHAINS)}; default: all")
    parser.add_argument("--requests", type=int, default=1600, help="that counts are of")
    parser.add_argument("--top", type=int, default=30, help="how many functions are shown")
    parser.add_argument(
        "--build", choices=BUILDS, action="append", help="of the router; default: both"
    )
    parser.add_argument("--loop", choices=LOOPS, default=LOOPS[0], help="the router's event loop")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write everything there")
    options = parser.parse_args()
    options.build = options.build or list(BUILDS)
    for name in options.scenario:
        if name not in CHAINS:
            parser.error(f"no scenario {name!r}; there are {', '.join(CHAINS)}")
    if min(options.requests, options.top) < 1:
        parser.error("--requests and --top are at least 1")
    return options


def _repeat(name: str, build: str, options: argparse.Namespace) -> str:
    how = ["--build", build, "--requests", str(options.requests), "--loop", options.loop]
    return shlex.join(["python", "-m", "tools.anatomy", name, *how])


class Measuring:
    """Measurements of one scenario; what can't be measured costs none of the others.

    Args:
        name: of the scenario.
        variant: of the router.
        count: requests that are counted.
        enough: seconds of CPU that the router has to spend for CPU per request.

    Attributes:
        failed: how many went wrong, for other reasons than that a program is not there.
    """

    def __init__(self, name: str, variant: Variant, count: int, enough: float = cpu.ENOUGH) -> None:
        self.failed = 0
        self._name = name
        self._variant = variant
        self._count = count
        self._enough = enough
        self._missing: list[str] = []

    def everything(self) -> tables.Anatomy:
        """Measure.

        Raises:
            StartError: if not even a plain router comes up.
            MeasureError: if it does not answer.
        """
        chain, variant, count = CHAINS[self._name], self._variant, self._count
        with running(chain, variant) as plain:
            spent = self._try("CPU", lambda: cpu.measure(plain, self._enough))
            called = self._try("system calls", lambda: syscalls.measure(plain, count))
        return tables.Anatomy(
            self._name if variant.compiled else f"{self._name}, plain",
            chain.says,
            count,
            spent,
            called,
            self._try("instructions", lambda: instructions.measure(chain, variant, count)),
            None
            if variant.compiled
            else self._try("opcodes", lambda: functions.measure(chain, variant, count)),
            self._missing,
        )

    def _try(self, what: str, measure: Callable[[], _T]) -> _T | None:
        tell(f"  {what}")
        try:
            return measure()
        except MissingError as exc:
            self._missing.append(f"Not measured: {what}: {exc} is not installed.")
        except (StartError, MeasureError, OSError) as exc:
            self._missing.append(f"Not measured: {what}: {exc}.")
            self.failed += 1
        tell(f"  {self._missing[-1]}")
        return None


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
