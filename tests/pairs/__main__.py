"""``python -m tests.pairs [WORD...]``: the table, or those rows that have all these words."""

import sys
from collections.abc import Iterator

from tests.pairs.cases import TABLE, Case, senseless
from tests.pairs.rules import outcome_of

_HEADS = (
    *("front", "back", "body", "pool", "else"),
    *("node gets", "says 100", "answer", "ends by", "client", "node", "counted"),
)


def row_of(case: Case) -> tuple[str, ...]:
    """Return a combination and what must come of it, as the columns of the table."""
    outcome = outcome_of(case)
    more = (case.answer, case.client, case.option, case.end, case.link, case.node_link)
    usual = ("length", "1.1", *[""] * 4)
    words = [word for word, other in zip(more, usual, strict=True) if word != other]
    counted = [f"{name}={count}" for name, count in sorted(outcome.counted.items())]
    early = ", early" if outcome.asked and outcome.asked_early else ""
    reason = f" {outcome.reason}" if outcome.reason else ""
    return (
        *(case.front, case.back, case.body, case.pool, " ".join(words)),
        outcome.gets,
        outcome.asked + early,
        f"{outcome.status or 'closed'}{reason}",
        outcome.framing if outcome.status else "",
        "kept" if outcome.kept else "closed",
        "kept" if outcome.node_kept else "closed" if outcome.gets != "-" else "",
        " ".join(counted),
    )


def lines(words: list[str]) -> Iterator[str]:
    rows = [_HEADS, *(row_of(case) for case in TABLE if not senseless(case))]
    rows = [row for row in rows if row is _HEADS or set(words) <= set(" ".join(row).split())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()
    for case in TABLE:
        if not words and (why := senseless(case)):
            yield f"{case}: {why}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines(sys.argv[1:]))
