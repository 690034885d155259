"""Routers of the scenarios: brought up, left out if their program is missing, and measured for a second."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench import handshakes
from bench.measure import GIGABYTE, ROUND_TRIP, Setup, Unit
from bench.programs import MissingError, free_port
from bench.scenarios import SCENARIOS, bulk, fastrouters, http_routers, raw, tls, websocket
from bench.scenarios.nodes import lean
from bench.scenarios.router import Router
from bench.scenarios.variants import Variant
from tests.lab import programs

#: Of this tree, whether that could be compiled or not.
OURS = Variant("asyncio")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _missing(*_arguments: object) -> list[str]:
    raise MissingError("abacus")


def _ends_at_once(*_arguments: object) -> list[str]:
    return ["/bin/sh", "-c", "echo no such option"]


def test_http_routers_that_are_not_there_or_do_not_start_are_named(
    stack: ExitStack, tmp_path: Path
) -> None:
    told: list[str] = []
    routers = [
        Router("Abacus", "HTTP node", "127.0.0.1:1", _missing),
        Router("Echo", "HTTP node", "127.0.0.1:1", _ends_at_once),
    ]
    assert http_routers.bring_up(stack, tmp_path, told.append, routers) == []
    assert told[0] == "left out: Abacus, HTTP node: missing abacus"
    assert told[1].startswith("left out: Echo, HTTP node: Echo ended at once:\n")
    assert told[1].endswith("no such option")


@pytest.mark.peers
def test_fastrouters_that_are_not_there_or_do_not_start_are_named(
    stack: ExitStack, tmp_path: Path
) -> None:
    told: list[str] = []
    node = lean(stack, "bench.node", f"{tmp_path}/node.sock")
    routers = [
        Router("Abacus", "UNIX node", node, _missing),
        Router("Echo", "UNIX node", node, _ends_at_once),
        Router("ours", "UNIX node", node, fastrouters.ours(OURS), reference=True),
    ]
    (setup,) = fastrouters.bring_up(stack, tmp_path, told.append, routers)
    assert (setup.name, setup.group, setup.reference) == ("ours", "UNIX node", True)
    assert told[0] == "left out: Abacus, UNIX node: missing abacus"
    assert told[1].startswith("left out: Echo, UNIX node: Echo ended at once:\n")
    assert len(told) == 2


def _ours(stack: ExitStack, directory: Path, group: str, node: str, *options: str) -> Setup:
    command = http_routers.ours(OURS, *options)
    router = Router("ours", group, node, command)
    (setup,) = http_routers.bring_up(stack, directory, pytest.fail, [router])
    return setup


def test_cpu_per_round_trip_of_a_router(stack: ExitStack, tmp_path: Path) -> None:
    node = lean(stack, "bench.echo_node", f"{tmp_path}/node.sock", "uwsgi")
    setup = websocket.measured(_ours(stack, tmp_path, "UNIX node", node, "--http-websockets"))
    assert setup.unit is ROUND_TRIP
    assert setup.run
    run = setup.run(1)
    assert run.failed == 0
    assert run.count > 100
    assert run.spent > 0


@pytest.mark.parametrize(("group", "size"), [(bulk.ANSWERS, bulk.ANSWER), (bulk.UPLOADS, 3)])
def test_cpu_per_gigabyte_of_a_router(
    stack: ExitStack, tmp_path: Path, group: str, size: int
) -> None:
    port = free_port()
    node = lean(stack, "bench.bulk_node", f"127.0.0.1:{port}", "http", str(size))
    setup = bulk.measured(_ours(stack, tmp_path, group, node, "--http-backend-http"))
    assert setup.unit is GIGABYTE
    assert setup.run
    run = setup.run(1)
    assert run.failed == 0
    assert run.count > 0.01
    # Less than 10 s for a GB, or something waits.
    assert 0 < run.spent / run.count < 10e9


@pytest.mark.parametrize(
    ("group", "node", "unit"),
    [
        (raw.TO_CLIENTS, "source", GIGABYTE),
        (raw.FROM_CLIENTS, "sink", GIGABYTE),
        (raw.COPIED, "source", GIGABYTE),
        (raw.MESSAGES, "echo", ROUND_TRIP),
        (raw.TLS_TO_CLIENTS, "source", GIGABYTE),
        (raw.TLS_FROM_CLIENTS, "sink", GIGABYTE),
    ],
)
def test_cpu_of_a_raw_router(
    stack: ExitStack, tmp_path: Path, group: str, node: str, unit: Unit
) -> None:
    address = lean(stack, "bench.raw_node", f"127.0.0.1:{free_port()}", node)
    ours = raw.bring_up(stack, tmp_path, lambda _told: None, group, address)[0]
    setup = raw.measured(ours)
    assert setup.unit is unit
    assert setup.run
    run = setup.run(1)
    assert run.failed == 0
    assert run.count > 0.01
    assert run.spent > 0


@pytest.mark.peers
def test_every_program_is_measured_with_tls_and_without(stack: ExitStack, tmp_path: Path) -> None:
    programs.nginx()
    programs.haproxy()
    node = lean(stack, "bench.bulk_node", f"127.0.0.1:{free_port()}", "http", "100")
    told: list[str] = []
    for name, pid, port, secure in tls.bring_up(stack, tmp_path, told.append, node):
        for kind in handshakes.KINDS if name == "nginx" else ("plain", "1.3-resumed"):
            at = port if kind == handshakes.PLAIN else secure
            run = handshakes.run(kind, at, pid, 2, 1)
            assert (name, kind, run.failed) == (name, kind, 0)
            assert run.count > 10
            assert run.spent > 0
    # Of this tree, whether that could be compiled or not.
    assert all("compiled packages" in line for line in told)


def test_the_scenarios_of_the_table_of_aims_are_there() -> None:
    assert set(SCENARIOS) == {
        "http",
        "http-idle",
        "fastrouter",
        "fastrouter-http",
        "bulk",
        "websocket",
        "raw",
        "raw-idle",
        "table",
        "tls",
        "tls-idle",
        "workers",
    }
