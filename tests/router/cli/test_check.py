"""``uwsgi-router check``: everything at once, and 1 only for errors."""

import json
import re
from pathlib import Path

import pytest

from uwsgi_router.router.cli.main import main


@pytest.fixture(autouse=True)
def _no_options_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("UWSGI_MODULE", "UWSGI_INI"):
        monkeypatch.delenv(name, raising=False)


def check(text: str, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    Path("a.ini").write_text(f"[uwsgi]\n{text}\n")
    code = main(["check", "a.ini", *more])
    return code, capsys.readouterr().out


def test_a_file_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check("master = true\nfastrouter = 127.0.0.1:3031\nfastrouter-to = :3032", capsys)
    assert code == 0
    assert out == (
        "options:\n"
        "  works:                 fastrouter, fastrouter-to\n"
        "  true by design:        master\n"
        "a.ini: 0 errors, 0 warnings\n"
    )


def test_warnings_alone_are_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(
        "fastrouter = 127.0.0.1:3031\nfastrouter-to = :3032\ncarbon = 127.0.0.1:1", capsys
    )
    assert code == 0
    assert "warnings:\n  a.ini:4: carbon: not yet: nothing is served or sent for it" in out
    assert out.endswith("a.ini: 0 errors, 1 warning\n")


def test_everything_is_reported_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(
        "fastrouter = :x\nfastrouter-tu = :1\nhttps = :80\nmodule = a\ncarbon = 127.0.0.1:1",
        capsys,
    )
    assert code == 1
    assert sorted(re.findall(r"a\.ini:(\d)", out)) == list("23456")
    assert "application server's:  module" in out
    assert re.search(r"4 errors, \d warnings?\n$", out)


def test_each_file_is_read_on_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    Path("b.ini").write_text(
        "[uwsgi]\nfastrouter-to = :1\n[ok]\nfastrouter = 127.0.0.1:1\nfastrouter-to = :2\n"
    )
    code, out = check(
        "fastrouter = 127.0.0.1:3031\nfastrouter-to = :3032", capsys, "b.ini", "b.ini:ok"
    )
    assert code == 1
    summaries = [line for line in out.splitlines() if re.match(r"\S+\.ini\S*: ", line)]
    assert summaries == [
        "a.ini: 0 errors, 0 warnings",
        "b.ini: 1 error, 0 warnings",
        "b.ini:ok: 0 errors, 0 warnings",
    ]


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "nosuch.ini"]) == 1
    assert "nosuch.ini: No such file or directory" in capsys.readouterr().out


def test_a_file_that_says_exit(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check("exit = 3\nfastrouter = :x", capsys)
    assert (code, out) == (0, "a.ini: says exit = 3; nothing after that was read\n")


@pytest.mark.parametrize("words", [[], ["-x"], ["a.ini", "--", "--http"], ["--strict"]])
def test_a_wrong_call(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *words]) == 2
    assert capsys.readouterr().err.startswith("usage: uwsgi-router check [--strict]")


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: uwsgi-router check [--strict]")


def test_strict_takes_warnings_for_errors(capsys: pytest.CaptureFixture[str]) -> None:
    text = "fastrouter = 127.0.0.1:3031\nfastrouter-to = :3032\ncarbon = 127.0.0.1:1"
    assert check(text, capsys)[0] == 0
    assert check(text, capsys, "--strict")[0] == 1


def test_a_command_line_is_checked_behind_two_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    good = ["--http", "127.0.0.1:8080", "--http-to", ":1"]
    assert main(["check", "--", *good]) == 0
    assert capsys.readouterr().out.endswith("command line: 0 errors, 0 warnings\n")
    assert main(["check", "--", *good, "--http-timeout", "x"]) == 1
    assert "command line: --http-timeout: expected" in capsys.readouterr().out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check("http = 8080\nhttp-to = :1\nhttp-timeout = 5", capsys, "--json")
    assert code == 1
    (document,) = json.loads(out)
    (problem,) = document["problems"]
    assert (problem["severity"], problem["where"]) == ("error", "a.ini:2")
    assert document["options"]["works"] == ["http", "http-to", "http-timeout"]
