"""``uwsgi-router rollout`` of vassals: its arguments, what it prints, how it exits."""

import json
from pathlib import Path

import pytest

from uwsgi_router.router.cli import rollout
from uwsgi_router.router.cli.main import main
from uwsgi_router.router.cli.vassal_rollout import BarOutput, JsonOutput, Output, settings_of
from uwsgi_router.router.rollout.actions import ToldStep
from uwsgi_router.router.rollout.health import HealthGate
from uwsgi_router.router.rollout.rollout import RolloutOutcome

NEEDED = [
    *("--emperor-path", "/v", "--emperor-stats-socket", "/e"),
    *("--fastrouter-stats-socket", "/f"),
]
FAILED = RolloutOutcome(
    {"one": "reloaded", "two": "failed", "three": "untouched"},
    "two",
    "it ended",
    ["Error: no"],
    ["/run/two.sock"],
)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--emperor-path", "/v"], "needs --emperor-stats-socket"),
        (["--fastrouter-stats-socket", "/f"], "needs --emperor-path"),
        (NEEDED[:4], "--allow-unrouted"),
        ([*NEEDED, "--app", "x"], "app is for applications"),
        ([*NEEDED, "/run/x.pid"], "pidfile is for applications"),
        ([*NEEDED, "--surge"], "surge is for applications"),
        ([*NEEDED, "--minimum-active-vassals", "-1"], "'-1' is no whole number from 0"),
        ([*NEEDED, "--max-unavailable", "0"], "'0' is no whole number from 1"),
        ([*NEEDED, "--timeout", "soon"], "soon is not a number of seconds from 1"),
        ([*NEEDED, "--check-interval", "0"], "0 is not a number of seconds from 0.01"),
        ([*NEEDED, "--node", "one"], "'one' is not NAME=ADDRESS"),
        ([*NEEDED, "--health", "up"], "'up' is no path"),
        ([*NEEDED, "--health", "/a b"], "is no path"),
        (["--control", "/a", "--control", "/b"], "give --control once"),
    ],
)
@pytest.mark.parametrize("name", ["rollout", "roll"])
def test_what_makes_no_sense(
    name: str, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        main([name, *arguments])
    assert error.value.code == 2
    assert reason in capsys.readouterr().err


def test_the_defaults_are_those_of_reload_scripts() -> None:
    settings = settings_of(rollout.arguments().parse_args(NEEDED), ())
    assert (settings.directory, settings.emperor_stats, settings.router_stats) == (
        "/v",
        "/e",
        ("/f",),
    )
    assert (settings.suffix, settings.minimum, settings.timeout) == (".ini", 1, 60.0)
    assert (settings.interval, settings.most, settings.gate) == (0.1, None, HealthGate("/", 500))


def test_settings() -> None:
    more = [
        "--health",
        "/up",
        "--node",
        "one=/x",
        "--node",
        "two=/y",
        "--drain",
        "5",
        "--fifo",
        "%n",
    ]
    more += ["--vassal", "o*", "--key", "k", "--fastrouter-stats-socket", "/g", "--timeout", "7"]
    settings = settings_of(rollout.arguments().parse_args([*NEEDED, *more]), ("/c",))
    assert settings.gate == HealthGate("/up", 400)
    assert settings.nodes == {"/x": "one", "/y": "two"}
    assert (settings.drain.requests, settings.drain.streams, settings.fifo) == (5.0, 10.0, "%n")
    assert (settings.only, settings.key, settings.router_stats) == (("o*",), "k", ("/f", "/g"))
    assert (settings.timeout, settings.controls) == (7.0, ("/c",))
    settings = settings_of(rollout.arguments().parse_args([*NEEDED, "--no-health"]), ())
    assert settings.gate is None


def test_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stats = str(tmp_path / "none.sock")
    where = ["--emperor-stats-socket", stats, "--fastrouter-stats-socket", stats]
    assert main(["rollout", "--emperor-path", str(tmp_path / "none"), *where]) == 1
    assert "No such file or directory" in capsys.readouterr().err
    assert main(["rollout", "--emperor-path", str(tmp_path), *where]) == 1
    assert capsys.readouterr().err == (f"uwsgi-router rollout: {stats}: there is no such socket\n")
    assert main(["roll", "--emperor-path", str(tmp_path), *where, "--json"]) == 1
    end = json.loads(capsys.readouterr().out)
    assert (end["event"], end["ok"]) == ("end", False)
    assert end["reason"] == f"{stats}: there is no such socket"


@pytest.mark.parametrize("quiet", [False, True])
def test_lines(quiet: bool, capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(quiet=quiet)
    output.told(ToldStep("one", "withdrawing"))
    output.told(ToldStep("one", "reloaded"))
    output.told(ToldStep("two", "failed", "it is slow", timeout=True))
    output.told(ToldStep("three", "failed", "a\x1bb"))
    lines = "one: reloaded\ntwo: timeout reached\nthree: failed: a\\x1bb\n"
    assert capsys.readouterr().out == ("" if quiet else lines)
    assert output.ended(RolloutOutcome({"one": "reloaded"})) == 0
    assert capsys.readouterr() == ("", "")
    assert output.ended(FAILED) == 1
    assert capsys.readouterr().err == (
        "  Error: no\n"
        "uwsgi-router rollout: two: it ended; 1 of 3 are reloaded, 1 untouched\n"
        "uwsgi-router rollout: /run/two.sock stays out of service until the next rollout,"
        " or `uwsgi-router enable /run/two.sock`\n"
    )


def test_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    output = BarOutput(quiet=False)
    output.looked({"one": "reloading", "two": "waiting"})
    output.looked({"one": "reloading", "two": "waiting"})
    assert capsys.readouterr().err == "[....................] 0/2 one reloading"
    output.told(ToldStep("one", "reloaded"))
    assert capsys.readouterr() == ("one: reloaded\n", "\r\x1b[K")
    output.looked({"one": "reloaded", "two": "checking"})
    assert capsys.readouterr().err == "[##########..........] 1/2 two checking"
    assert output.ended(RolloutOutcome({"one": "reloaded"})) == 0
    assert capsys.readouterr() == ("", "\r\x1b[K")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    output = JsonOutput(quiet=False)
    output.told(ToldStep("one", "reloading"))
    output.warned("careful")
    assert output.ended(FAILED) == 1
    step, warning, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert (step["event"], step["vassal"], step["step"]) == ("step", "one", "reloading")
    assert (warning["event"], warning["text"]) == ("warning", "careful")
    assert {
        name: end[name] for name in ("ok", "reason", "vassal", "lines", "steps", "kept_out")
    } == {
        "ok": False,
        "reason": "it ended",
        "vassal": "two",
        "lines": ["Error: no"],
        "steps": dict(FAILED.steps),
        "kept_out": ["/run/two.sock"],
    }


def test_the_control_socket_is_found_by_the_environment() -> None:
    environ = {"UWSGI_ROUTER_CONTROL": "/c"}
    assert rollout.routers_controls(None, environ) == ("/c",)
    assert rollout.routers_controls(["/x", "/y"], environ) == ["/x", "/y"]
