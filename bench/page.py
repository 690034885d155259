"""Benchmark page: results put into docs/benchmarks.md, between marks; all around them is written by hand.

``python -m bench.page [RESULTS [DOCS]]`` does it again from what was measured before. A mark is a line
``<!--bench:NAME-->``, the end of its part ``<!--end-->``. NAME is a scenario, ``aims``, ``micro`` or
``machine``.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from bench import report
from bench.aims import verdicts
from bench.micro import results as micros
from bench.programs import ROOT
from bench.results import Outcome

DOCS = ROOT / "docs"
PAGE = "benchmarks.md"
#: Of plots, beside the page.
PLOTS = "benchmarks"
#: Of the single functions: their directory beside the results of the scenarios, and their mark.
MICRO = "micro"

_PART = re.compile(r"(<!--bench:([a-z0-9-]+)-->\n).*?(<!--end-->)", re.DOTALL)
_NOTHING = "Not measured in this run.\n"


def make(results: Path, docs: Path, tell: Callable[[str], None]) -> None:
    """Write the page and its plots.

    Args:
        results: where a JSON file of each scenario is, and in micro/ of each single function.
        docs: where the page goes; the words around the figures come from the one in docs/.
        tell: hears what is missing.

    Raises:
        ValueError: if a file of results is none.
    """
    outcomes = read(results)
    plots = draw(outcomes.values(), docs / PLOTS, tell)
    parts = {name: scenario(outcome, plots.get(name, ())) for name, outcome in outcomes.items()}
    if outcomes:
        parts["aims"] = report.markdown(report.aims(verdicts(outcomes)), left=2) + "\n"
        parts["machine"] = machine(list(outcomes.values()))
    timed = micros.load(results / MICRO)
    if timed:
        parts[MICRO] = micro(timed)
    text, unused = fill((DOCS / PAGE).read_text(), parts)
    for name in unused:
        tell(
            f"docs/{PAGE} has no place for {name}: it needs a line <!--bench:{name}-->, then <!--end-->"
        )
    docs.mkdir(parents=True, exist_ok=True)
    (docs / PAGE).write_text(text)
    tell(f"written: {docs / PAGE}, {sum(map(len, plots.values()))} plots")


def read(results: Path) -> dict[str, Outcome]:
    """Return the results by scenario."""
    found = [Outcome.read(path) for path in sorted(results.glob("*.json"))]
    return {outcome.scenario: outcome for outcome in found}


def fill(text: str, parts: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the text with each part between its marks, and the parts for which there are none.

    What has marks and no part was not measured, and the text says so: it shows nothing older.
    """
    filled = _PART.sub(lambda part: part[1] + parts.get(part[2], _NOTHING) + part[3], text)
    marked = {part[2] for part in _PART.finditer(text)}
    return filled, [name for name in parts if name not in marked]


def scenario(outcome: Outcome, plots: Iterable[tuple[str, str]]) -> str:
    """Return all of a scenario as Markdown: a table for each group, plots, how to repeat it.

    Args:
        outcome: of the scenario.
        plots: (file beside the page, what it shows).
    """
    parts = []
    for group, results in outcome.groups.items():
        if len(outcome.groups) > 1:
            parts.append(f"**{group}**")
        parts += [report.markdown(report.rows(results)), report.compared(results)]
    parts += [f"![{shows}]({file})" for file, shows in plots]
    parts += [f"Not measured: {error}." for error in outcome.errors]
    parts += [
        f"Rate not held, so the latency says little: {said}." for said in report.not_held(outcome)
    ]
    runs = _from_to(len(result.runs) for result in outcome.results)
    load = ", ".join(f"{value:.2f}" for value in outcome.load)
    parts.append(
        f"Runs of each: {runs}. Commit {outcome.machine['commit']}, {outcome.finished}, load before: {load}. "
        f"Again: `{outcome.repeat}`"
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def micro(timed: Sequence[micros.Timed]) -> str:
    """Return the table of single functions, and how often each was measured."""
    values = _from_to(len(each.values) for each in timed)
    return f"{micros.markdown(timed)}\n\nNanoseconds. Runs of each: {values}.\n"


def _from_to(numbers: Iterable[int]) -> str:
    """Return the least and the most, once if they are the same."""
    several = list(numbers)
    return " to ".join(dict.fromkeys((str(min(several)), str(max(several)))))


def machine(outcomes: list[Outcome]) -> str:
    """Return the facts as Markdown; where scenarios differ, all that there are."""
    facts = {
        what: " / ".join(dict.fromkeys(outcome.machine[what] for outcome in outcomes))
        for what in outcomes[0].machine
    }
    table = [["", ""], *([what, which] for what, which in facts.items())]
    return report.markdown(table, left=2) + "\n"


def draw(
    outcomes: Iterable[Outcome], directory: Path, tell: Callable[[str], None]
) -> dict[str, list[tuple[str, str]]]:
    """Draw the plots of each scenario, if matplotlib is there.

    Returns:
        By scenario: (file beside the page, what it shows).
    """
    for old in directory.glob("*.svg"):
        old.unlink()
    try:
        from bench import plots  # noqa: PLC0415 - needs an extra
    except ImportError:
        tell("left out: plots: matplotlib is not there (pip install '.[bench]')")
        return {}
    directory.mkdir(parents=True, exist_ok=True)
    return {
        outcome.scenario: [
            (f"{directory.name}/{file.name}", shows)
            for file, shows in plots.draw(outcome, directory)
        ]
        for outcome in outcomes
        if outcome.results
    }


def main() -> int:
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "bench"
    docs = Path(sys.argv[2]) if len(sys.argv) > 2 else DOCS
    try:
        make(results, docs, lambda line: print(line, file=sys.stderr))
    except ValueError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
