"""What is made of runs, and that a file holds all of it."""

import json
from pathlib import Path

import pytest

from bench.measure import GIGABYTE, Paced, Run
from bench.results import Outcome, Pace, Result, reference
from tests.bench import samples


def test_a_cost_is_a_median_in_the_unit() -> None:
    result = Result("1 MB answers", "nginx", GIGABYTE)
    result.runs += [Run(2.0, 0, 4.0, 1e9), Run(3.0, 1, 3.0, 6e9), Run(1.0, 0, 4.0, 1e9)]
    assert result.costs == [0.5, 2.0, 1.0]
    assert result.cost == 1.0
    assert result.throughput == 0.5
    assert result.failed == 1


def test_what_is_held_has_no_throughput() -> None:
    (held,) = samples.idle().results
    assert held.cost == 6100
    assert held.throughput == 0


def test_latencies_are_medians_of_the_runs() -> None:
    result = samples.result("nginx", 20.0)
    for slower in (1, 3, 2):
        samples.paced(result, 1000, slower=slower)
    assert result.latency(50) == 1000
    assert result.latency(99.9) == 1998
    assert result.paced_cost == 40


def test_a_run_at_a_rate_keeps_percentiles() -> None:
    pace = Pace.of(Paced(999.96, 1, list(range(1000, 0, -1))))
    assert (pace.at(50), pace.at(99), pace.at(99.9)) == (500, 990, 999)
    assert (pace.rate, pace.failed) == (1000.0, 1)


@pytest.mark.parametrize(("sent", "held"), [(1.01, True), (0.96, True), (0.94, False)])
def test_a_rate_is_held_or_not(sent: float, held: bool) -> None:
    assert samples.paced(samples.result("nginx", 20.0), 1000, sent=sent).held is held


def test_the_reference_is_marked_or_the_first() -> None:
    first, second = samples.result("a", 1.0), samples.result("b", 1.0, reference=True)
    assert reference([first, second]) is second
    assert reference([first, samples.result("c", 1.0)]) is first


def test_a_file_holds_everything(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "http.json"
    wrote = samples.http()
    wrote.write(path)
    read = Outcome.read(path)
    assert read.results == list(wrote.results)
    assert read.groups.keys() == {"HTTP node", "UNIX node"}
    assert (read.scenario, read.finished, read.repeat) == ("http", wrote.finished, wrote.repeat)
    assert (tuple(read.load), read.machine) == (wrote.load, wrote.machine)
    assert not read.failed


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"percentiles": [50]}'])
def test_another_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "http.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"http\.json is not a result of this version"):
        Outcome.read(path)


def test_people_find_the_figures_in_the_file(tmp_path: Path) -> None:
    samples.http().write(tmp_path / "http.json")
    first = json.loads((tmp_path / "http.json").read_text())["results"][0]
    assert (first["cost"], first["cost_of"]) == (33.0, "µs per request")
    assert first["throughput"] == 1000


def test_a_scenario_has_failed_with_an_error_or_a_request() -> None:
    good = samples.result("nginx", 1.0)
    assert not samples.outcome(good).failed
    assert samples.outcome(good, errors=["HTTP node, HAProxy: gone"]).failed
    assert samples.outcome(good, samples.result("HAProxy", 1.0, failed=1)).failed
