"""Every pair of features of a relay: what each side reads, how it ends, what is counted and logged."""

import asyncio
from collections import Counter

import pytest

from tests.pairs.lab import Web
from tests.pairs.relay_run import FAR, RelayRun
from tests.pairs.relays import (
    TABLE,
    RelayCase,
    RelayOutcome,
    outcome_of,
    senseless,
)
from tests.pairs.result import End, RelayResult, differences

#: Nothing here takes so long unless it hangs.
PATIENCE = 5.0

TESTED = [case for case in TABLE if not senseless(case)]
ROWS = [pytest.param(case, id=str(case)) for case in TESTED]


@pytest.mark.parametrize("case", ROWS)
async def test_a_relay(web: Web, case: RelayCase) -> None:
    outcome = outcome_of(case)
    run = RelayRun(web, case, outcome)
    try:
        async with asyncio.timeout(PATIENCE):
            found = await run.result()
    finally:
        await run.stop()
    lines = differences(found, expected(case, outcome, run))
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


def expected(case: RelayCase, outcome: RelayOutcome, run: RelayRun) -> RelayResult:
    """Return what must have come of a case."""
    nodes = [End(name, outcome.node_heard, outcome.end) for name in outcome.nodes if name]
    clients = [End("client", outcome.client_heard, outcome.end) for _ in outcome.nodes]
    counted = Counter(outcome.counted)
    counted["requests"] = len(clients)
    ends = {"": "completed", "client": "client_aborts"}
    counted[ends.get(outcome.reason, f"failed: {outcome.reason}")] += len(outcome.nodes)
    return RelayResult(
        nodes=nodes,
        told=run.told[: len(nodes)],
        clients=clients,
        counted=dict(counted),
        traffic=run.spoken,
        failed={"first": 1} if case.pool in {"refused", "unanswered"} else {},
        left="",
        log=_log(case, outcome, run),
    )


def _log(case: RelayCase, outcome: RelayOutcome, run: RelayRun) -> list[str]:
    found = []
    first = run.addresses.get("first")
    if first is not None:
        why = "timeout" if case.pool == "unanswered" else "Connection refused"
        found.append(f"warning unable to connect to {first} (0 retries): {why}")
    if outcome.reason in _WHY:
        # Of ends that clients and nodes are free to choose only the first one has a line.
        count = len(outcome.nodes) if outcome.reason == "no-answer" else 1
        found += [_failure(case, outcome, run, number) for number in range(count)]
    return found


_WHY = {
    "unknown-key": "404 unknown-key: no node has announced this key within the last hour",
    "no-node": "503 no-node: no node of this key is up",
    "no-answer": "502 no-answer: {node} ended the connection without an answer ({end})",
    "node-reset": "502 node-reset: {node} reset its connection, {bytes} to it",
}


def _failure(case: RelayCase, outcome: RelayOutcome, run: RelayRun, number: int) -> str:
    name = outcome.nodes[number]
    node = run.addresses.get(name, "")
    moved = f"{len(outcome.client_heard)} bytes came and {len(outcome.node_heard)} went"
    if run.through:
        moved = "some bytes came and went"
    why = _WHY[outcome.reason].format(node=node, end="Connection reset by peer", bytes=moved)
    # The SSL router reads the header ahead of the handshake.
    told = case.front == "raw" and case.option.startswith("proxy")
    phase = "tunnel" if name else "proxy" if told else "request"
    client = FAR[0] if case.option.startswith("proxy") else "127.0.0.1"
    tries = 2 if case.pool == "refused" else 1 if name else 0
    return (
        f"warning request {run.ids}-{number + 1} failed: {why}; phase={phase} key={run.key.decode()}"
        f" node={node} tries={tries} connect=_s total=_s client={client}"
    )
