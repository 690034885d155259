"""``python -m bench.micro [NAME …] [--fast]``: run micro benchmarks, write pyperf's JSON, print a table.

The first words of names stand for all of these: ``choose`` for every algorithm. Results are in
``build/bench/micro/NAME.json``, or where ``--directory`` says;
``python -m pyperf compare_to BEFORE AFTER`` compares two files. All other options are pyperf's.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.micro import http, packets, processes, table
from bench.micro.micro import Micro
from bench.micro.results import DIRECTORY, load, markdown

MICROS: Mapping[str, Micro] = {**http.MICROS, **packets.MICROS, **table.MICROS, **processes.MICROS}


def main() -> None:
    try:
        pyperf: Any = import_module("pyperf")  # an extra, which those who check types need not have
    except ImportError:
        sys.exit("pyperf is missing: pip install --editable '.[bench]'")
    # Fewer and shorter runs than are usual: each call does hundreds of operations.
    runner = pyperf.Runner(
        processes=6,
        values=3,
        min_time=0.025,
        program_args=("-m", "bench.micro"),
        add_cmdline_args=lambda command, options: command.extend(options.name),
    )
    runner.argparser.add_argument(
        "name", nargs="*", help=f"of {', '.join(MICROS)}, or how several begin; default: all"
    )
    runner.argparser.add_argument("--directory", type=Path, default=DIRECTORY, help="for results")
    options = runner.parse_args()
    try:
        names = chosen(options.name)
    except LookupError as exc:
        runner.argparser.error(str(exc))
    for name in names:
        micro = MICROS[name]
        benchmark = runner.bench_time_func(name, micro.time, inner_loops=micro.count)
        if benchmark is not None and not options.worker:
            write(benchmark, options.directory / f"{name}.json")
    if not options.worker:
        print(f"\n{markdown(load(options.directory, names))}\n\nwritten: {options.directory}")


def chosen(wanted: Sequence[str]) -> list[str]:
    """Return the names of the benchmarks that are asked for: all of them without any words.

    Raises:
        LookupError: if a word is neither a name nor the beginning of one.
    """
    if not wanted:
        return list(MICROS)
    names: dict[str, None] = {}
    for word in wanted:
        found = [name for name in MICROS if name == word or name.startswith(f"{word}-")]
        if not found:
            raise LookupError(f"no micro benchmark {word!r}; there are {', '.join(MICROS)}")
        names.update(dict.fromkeys(found))
    return list(names)


def write(benchmark: Any, path: Path) -> None:
    """Write a pyperf ``Benchmark`` to a file of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    benchmark.dump(str(path), replace=True)


if __name__ == "__main__":
    main()
