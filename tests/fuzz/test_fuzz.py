"""A short run of the fuzzer, always the same; and that it would notice something."""

import pytest

from tests.fuzz import runner
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_that_outsiders_send_breaks_a_promise(target: Target) -> None:
    inputs = 200 if target.name == "table" else 4_000
    tried, finding = runner.fuzz(40.0, seed=20_261_121, inputs=inputs, targets=(target,))
    assert finding is None, str(finding)
    assert tried[target.name] >= inputs


def test_fuzzer_finds_a_planted_error_and_makes_its_input_small() -> None:
    def planted(data: bytes) -> str:
        if data.startswith(b"\xe0") and b"example" in data:
            raise RuntimeError("planted")
        return "fine"

    target = Target("planted", planted, lambda packet: [packet[1:]])
    _, finding = runner.fuzz(40.0, seed=1, targets=(target,))
    assert finding is not None
    assert finding.data == b"\xe0example"
    assert f"--input {finding.data.hex()}" in str(finding)


def test_fuzzer_finds_an_input_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "HANG", 0.2)

    def hanging(data: bytes) -> str:
        while data.startswith(b"\xe0\x5d"):
            pass
        return "fine"

    target = Target("hanging", hanging, lambda _packet: [b"\xe0\x5d"])
    _, finding = runner.fuzz(40.0, seed=1, targets=(target,))
    assert finding is not None
    assert "no answer for" in finding.trace
