"""Tables of results, as rows of text: aligned for a terminal, or Markdown."""

from collections.abc import Sequence

from bench.aims import Figure, Verdict
from bench.measure import GIGABYTE, Unit
from bench.results import Outcome, Result, reference

Rows = list[list[str]]


def rows(results: Sequence[Result]) -> Rows:
    """Return the table of one group, head first.

    Columns that would be empty are left out: connections that are held have no throughput, and few
    units have a latency.
    """
    first = reference(results)
    unit = first.unit
    timed = any(result.throughput for result in results)
    paced = any(result.paces for result in results)
    failed = any(result.failed for result in results)
    repeated = any(len(result.runs) > 1 for result in results)
    paired = any(result.paired for result in results)
    columns: list[tuple[bool, str, list[str]]] = [
        (True, "program", [result.name for result in results]),
        (True, f"{_what(unit)}/{unit.one}", [_cost(result.cost, unit) for result in results]),
        (repeated, "min-max", [_spread(result) for result in results]),
        (len(results) > 1, "ratio", [f"{result.ratio(first):.2f}" for result in results]),
        (paired, "quartiles", [_quartiles(result, first) for result in results]),
        (timed, f"{unit.many}/s", [_throughput(result) for result in results]),
    ]
    columns += [
        (paced, f"p{percent:g}, ms", [_latency(result, percent) for result in results])
        for percent in (50, 99, 99.9)
    ]
    paced_costs = [result.paced_cost for result in results]
    columns.append(
        (
            any(paced_costs),
            f"{_what(unit)} then",
            [_cost(cost, unit) if cost else "-" for cost in paced_costs],
        )
    )
    columns.append((failed, "failed", [f"{result.failed:,}" for result in results]))
    kept = [[head, *values] for wanted, head, values in columns if wanted]
    return [list(row) for row in zip(*kept, strict=True)]


def aims(verdicts: Sequence[Verdict]) -> Rows:
    """Return the table of aims, head first."""
    head = ["scenario", "figures", *("compiled", "aim", ""), *("plain", "aim", "")]
    return [head] + [
        [verdict.aim.says, verdict.aim.unit, *_figure(verdict.compiled), *_figure(verdict.plain)]
        for verdict in verdicts
    ]


def _figure(figure: Figure) -> list[str]:
    """Return what was measured, the aim, and whether it is met."""
    aim = "-" if figure.most is None else f"{figure.most:,g}"
    if figure.measured is None:
        return ["not measured", aim, "-"]
    measured = _beside(figure, figure.measured)
    if figure.quartiles:
        measured += " ({:.2f}-{:.2f})".format(*figure.quartiles)
    if figure.most is None:
        return [measured, aim, "-"]
    return [measured, aim, "met" if figure.met else "**missed**"]


def _beside(figure: Figure, value: float) -> str:
    """Return a figure with as many digits as it takes to see on which side of the aim it is."""
    digits = 2 if figure.unit == "x" else 0
    while figure.allows(round(value, digits)) != figure.allows(value):
        digits += 1
    return f"{value:,.{digits}f}"


def aligned(table: Rows) -> str:
    """Return a table for a terminal."""
    widths = [max(len(row[number]) for row in table) for number in range(len(table[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def markdown(table: Rows, *, left: int = 1) -> str:
    """Return a table for a page.

    Args:
        table: head first.
        left: columns that hold words; numbers stand right.
    """
    head, *body = table
    rule = ["---" if number < left else "---:" for number in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))


def terminal(outcome: Outcome) -> str:
    """Return all of a scenario for a terminal."""
    parts = [outcome.scenario]
    for group, results in outcome.groups.items():
        said = compared(results)
        parts += [f"{group}. {said}" if said else group, aligned(rows(results))]
    parts += [f"NOT MEASURED: {error}" for error in outcome.errors]
    parts += [f"RATE NOT HELD: {said}" for said in not_held(outcome)]
    return "\n\n".join(parts)


def compared(results: Sequence[Result]) -> str:
    """Return what the table of a group does not say: to whom ratios are, which rate is fixed."""
    first = reference(results)
    said = ""
    if len(results) > 1:
        said = f"Ratio: to {first.name}" + (
            f", the median of {len(first.runs)} pairs of neighbouring seconds; between its quartiles lies half "
            "of them. "
            if first.paired
            else ". "
        )
    for result in results:
        if result.paces:
            said += f"Latency, and what was spent then: at {result.rate:,} {result.unit.many}/s."
            break
    return said.strip()


def not_held(outcome: Outcome) -> list[str]:
    """Return a sentence for each program that did not hold the fixed rate: its latency says little."""
    return [
        f"{result.group}, {result.name}: {min(pace.rate for pace in result.paces):,.0f} "
        f"of {result.rate:,} {result.unit.many}/s"
        for result in outcome.results
        if not result.held
    ]


def _what(unit: Unit) -> str:
    return unit.cost if unit.cost == "bytes" else f"CPU {unit.cost}"


def _cost(value: float, unit: Unit) -> str:
    if unit.cost == "bytes":
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _spread(result: Result) -> str:
    least, most = min(result.costs), max(result.costs)
    return f"{_cost(least, result.unit)}-{_cost(most, result.unit)}"


def _quartiles(result: Result, first: Result) -> str:
    return "-" if result is first else "{:.2f}-{:.2f}".format(*result.quartiles(first))


def _throughput(result: Result) -> str:
    if result.unit == GIGABYTE or result.throughput < 10:
        return f"{result.throughput:.2f}"
    return f"{result.throughput:,.0f}"


def _latency(result: Result, percent: float) -> str:
    return f"{result.latency(percent) / 1000:.2f}" if result.paces else "-"
