"""The page: figures between marks, words around them left alone."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import page
from bench.scenarios import SCENARIOS
from tests.bench import samples


def test_parts_are_put_between_their_marks() -> None:
    text = (
        "A\n<!--bench:http-->\nold\n\nolder\n<!--end-->\nB\n<!--bench:bulk-->\nold\n<!--end-->\nC\n"
    )
    filled, unused = page.fill(text, {"http": "new\n", "aims": "x\n"})
    assert filled == (
        "A\n<!--bench:http-->\nnew\n<!--end-->\nB\n"
        "<!--bench:bulk-->\nNot measured in this run.\n<!--end-->\nC\n"
    )
    assert unused == ["aims"]
    assert page.fill(filled, {"http": "new\n"})[0] == filled


def test_the_page_has_a_place_for_everything() -> None:
    marks = re.findall(r"^<!--bench:(.+)-->$", (page.DOCS / page.PAGE).read_text(), re.MULTILINE)
    assert sorted(marks) == sorted([*SCENARIOS, "aims", "machine", "micro"])


def test_a_scenario_says_how_it_was_measured() -> None:
    text = page.scenario(samples.http(), [("benchmarks/http-cost.svg", "CPU per request")])
    assert "**HTTP node**\n\n| program |" in text
    assert "Ratio: to HAProxy. Latency, and what was spent then: at 4,700 requests/s." in text
    assert "![CPU per request](benchmarks/http-cost.svg)" in text
    assert (
        "Runs of each: 1 to 3. Commit 0123456789ab, 2026-11-21T12:00:00+0000, load before: 0.50,"
        in text
    )
    assert "`python -m bench http`" in text


def test_a_scenario_says_what_is_wrong_with_it() -> None:
    slow = samples.paced(samples.result("nginx", 20.0), 1000, sent=0.5)
    text = page.scenario(samples.outcome(slow, errors=["HTTP node, HAProxy: it has ended"]), [])
    assert "Not measured: HTTP node, HAProxy: it has ended." in text
    assert "Rate not held, so the latency says little: HTTP node, nginx: 500 of 1,000" in text


def test_facts_that_differ_are_all_told() -> None:
    one, other = samples.http(), samples.idle()
    assert "| commit | 0123456789ab |" in page.machine([one, other])
    assert isinstance(other.machine, dict)
    other.machine["commit"] = "ba9876543210"
    assert "| commit | 0123456789ab / ba9876543210 |" in page.machine([one, other])


def test_a_page_is_made_with_or_without_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, docs = tmp_path / "results", tmp_path / "docs"
    samples.http().write(results / "http.json")
    (results / page.MICRO).mkdir()
    timed = {"benchmarks": [{"runs": [{"values": [10e-9, 20e-9]}]}]}
    (results / page.MICRO / "choose.json").write_text(json.dumps(timed))
    old = docs / page.PLOTS / "http-cost.svg"
    old.parent.mkdir(parents=True)
    old.write_text("of an earlier run")
    monkeypatch.setitem(__import__("sys").modules, "bench.plots", None)
    monkeypatch.delattr("bench.plots", raising=False)
    said: list[str] = []
    page.make(results, docs, said.append)
    text = (docs / page.PAGE).read_text()
    assert "| HAProxy | 20.0 |" in text
    assert "x HAProxy, CPU per request | 1.65 | 1.15 | **missed** |" in text
    assert "| choose | 15 | 10 | 20 |" in text
    assert "Nanoseconds. Runs of each: 2." in text
    assert "![" not in text
    assert not old.exists()
    assert said[0] == "left out: plots: matplotlib is not there (pip install '.[bench]')"


def test_plots_are_the_same_for_the_same_results(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not there: pip install '.[bench]'")
    from bench import plots

    drawn = {}
    for directory in (tmp_path / "one", tmp_path / "two"):
        directory.mkdir()
        drawn[directory.name] = [
            (path.name, path.read_text()) for path, _shows in plots.draw(samples.http(), directory)
        ]
    assert drawn["one"] == drawn["two"]
    assert [name for name, _text in drawn["one"]] == ["http-cost.svg", "http-latency.svg"]
    for _name, text in drawn["one"]:
        words = {element.text for element in ET.fromstring(text).iter() if element.text}
        assert "HAProxy" in words
        assert "2026" not in text
        assert len(text) < 100_000
