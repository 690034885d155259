"""Micro benchmarks: each runs, does what it says, and its result can be read again."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import heads
from bench.micro import http, packets, processes, table
from bench.micro.__main__ import MICROS, chosen, write
from bench.micro.micro import Micro
from bench.micro.processes import BeatingWorker
from bench.micro.results import Timed, load, markdown
from bench.programs import ROOT
from tests.lab.processes import run
from uwsgi_router.protocol.http.from_variables import head_from_variables
from uwsgi_router.protocol.http.request import parse_request


@pytest.mark.parametrize("name", MICROS)
def test_each_runs(name: str) -> None:
    assert MICROS[name].time(2) > 0


def test_what_is_prepared_is_prepared_once_and_not_measured() -> None:
    done: list[str] = []

    def prepare() -> Callable[[], object]:
        done.append("prepared")
        return lambda: done.append("called")

    micro = Micro(prepare)
    micro.time(2)
    micro.time(1)
    assert done == ["prepared", "called", "called", "called"]


def test_a_request_by_way_of_nginx_says_the_same() -> None:
    # If not, the benchmarks of packets would measure errors.
    for head in heads.heads(heads.FROM_SERVER):
        direct = parse_request(head.text.encode())
        by_nginx = head_from_variables(packets.nginx_variables(head))
        assert direct is not None
        assert (by_nginx.target, by_nginx.host) == (direct.target, direct.host)
        assert dict(direct.fields).items() <= dict(by_nginx.fields).items()


def test_the_names_are_told_apart() -> None:
    assert chosen([]) == list(MICROS)
    assert chosen(["choose-wrr-1"]) == ["choose-wrr-1"]
    assert chosen(["choose-wrr", "request-head"]) == [
        "choose-wrr-1",
        "choose-wrr-10",
        "choose-wrr-100",
        "request-head",
    ]
    with pytest.raises(LookupError, match="no micro benchmark 'chose'; there are request-parser, "):
        chosen(["request-head", "chose"])
    modules = http, packets, processes, table
    assert len(MICROS) == sum(len(module.MICROS) for module in modules)


def test_a_heartbeat_is_one_that_the_master_can_read() -> None:
    worker = BeatingWorker()
    began = time.monotonic()
    worker.beat(3)
    assert worker.last.at >= began
    assert (worker.last.connections, worker.last.requests) == (0, 0)
    worker.close()


def test_results_are_read_as_pyperf_wrote_them(tmp_path: Path) -> None:
    pyperf = pytest.importorskip("pyperf")
    # The warm-ups count for nothing, and the values are of one operation.
    for name, values in (("b", (2e-6, 3e-6)), ("a", (5e-9,))):
        run = pyperf.Run(
            values,
            warmups=[(1, 1.0)],
            metadata={"name": name, "loops": 1, "inner_loops": 256},
            collect_metadata=False,
        )
        write(pyperf.Benchmark([run]), tmp_path / "micro" / f"{name}.json")
        write(pyperf.Benchmark([run]), tmp_path / "micro" / f"{name}.json")  # replaces the first
    first, second = load(tmp_path / "micro")
    assert (first.name, second.name) == ("a", "b")
    assert first.values == pytest.approx([5])
    assert second.values == pytest.approx([2000, 3000])
    assert load(tmp_path / "micro", ["b"]) == [second]


def test_the_table_has_medians_and_spreads() -> None:
    assert markdown([Timed("choose", [10.0, 30.4, 20.0]), Timed("parse", [1234.5])]) == (
        "| operation | ns | min | max |\n"
        "|---|--:|--:|--:|\n"
        "| choose | 20 | 10 | 30 |\n"
        "| parse | 1234 | 1234 | 1234 |"
    )


def test_an_unknown_name_is_one_sentence() -> None:
    pytest.importorskip("pyperf")
    done = run(sys.executable, "-m", "bench.micro", "nothing", cwd=ROOT)
    assert done.returncode == 2
    assert "error: no micro benchmark 'nothing'; there are request-parser, " in done.stderr
