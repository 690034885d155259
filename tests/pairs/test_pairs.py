"""Every pair of features that can meet: what the node reads, what the client reads, what is counted and logged."""

import asyncio
from typing import Any

import pytest

from tests.pairs.cases import TABLE, Case, senseless
from tests.pairs.driver import Run
from tests.pairs.expected import expected
from tests.pairs.faults import faults_of
from tests.pairs.lab import Web
from tests.pairs.result import differences
from tests.pairs.rules import outcome_of

#: Nothing here takes so long unless it hangs, which some do.
PATIENCE = 5.0
SOON = 0.3


class Known(Exception):
    """What came was wrong as it is known to be, and nothing else was."""


def rows() -> list[Any]:
    """Return the combinations; those of which something wrong comes have to fail."""
    found = []
    for case in TABLE:
        if senseless(case):
            continue
        faults = faults_of(case)
        mark = pytest.mark.xfail(
            strict=True,
            raises=Known if all(fault.shows for fault in faults) else TimeoutError,
            reason="; ".join(fault.why for fault in faults),
        )
        found.append(pytest.param(case, marks=[mark] if faults else [], id=str(case)))
    return found


@pytest.mark.parametrize("case", rows())
async def test_a_combination(web: Web, case: Case) -> None:
    outcome, faults = outcome_of(case), faults_of(case)
    run = Run(web, case, outcome)
    try:
        async with asyncio.timeout(PATIENCE if all(fault.shows for fault in faults) else SOON):
            found = await run.result()
    finally:
        await run.stop()
    lines = differences(found, expected(case, outcome, run.facts))
    others = [line for line in lines if not any(fault.is_behind(line) for fault in faults)]
    mended = [fault.why for fault in faults if not any(map(fault.is_behind, lines))]
    if others or (lines and mended):
        pytest.fail("\n".join(others or mended), pytrace=False)
    if lines:
        raise Known(lines)
