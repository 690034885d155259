"""Every pair of features that can meet: what the node reads, what the client reads, what is counted and logged."""

import asyncio

import pytest

from tests.pairs.cases import TABLE, Case, senseless
from tests.pairs.driver import Run
from tests.pairs.expected import expected
from tests.pairs.lab import Web
from tests.pairs.result import differences
from tests.pairs.rules import outcome_of

#: Nothing here takes so long unless it hangs.
PATIENCE = 5.0

ROWS = [pytest.param(case, id=str(case)) for case in TABLE if not senseless(case)]


@pytest.mark.parametrize("case", ROWS)
async def test_a_combination(web: Web, case: Case) -> None:
    outcome = outcome_of(case)
    run = Run(web, case, outcome)
    try:
        async with asyncio.timeout(PATIENCE):
            found = await run.result()
    finally:
        await run.stop()
    lines = differences(found, expected(case, outcome, run.facts))
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)
