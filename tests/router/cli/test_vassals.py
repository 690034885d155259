"""The command ``vassals``: what it shows, and lines that make no sense."""

from typing import Any

import pytest

from uwsgi_router.router.cli.vassals import main, vassals_table

NOW = 1_000_000.0


def vassal(**members: Any) -> dict[str, Any]:
    return {
        "id": "shop.ini", "state": "serving", "pid": 7, "last_run": 999_990, "last_end_at": 0, "respawns": 2,
        "restarts": 0, "on_demand": "", "last_end": "", "next_start": 0, "last_lines": [], **members,
    }  # fmt: skip


def row(**members: Any) -> str:
    return vassals_table([vassal(**members)], NOW).splitlines()[1]


def test_a_vassal_that_runs() -> None:
    assert row() == "shop.ini  serving    7   10 s        2         0  -"


def test_one_that_has_ended_before_says_how() -> None:
    assert row(restarts=1, last_end="exit code 3").endswith("-       before: exit code 3")


def test_one_that_waits_says_until_when_and_what_it_wrote() -> None:
    members = {
        "pid": -1,
        "state": "throttled",
        "last_end": "exit code 3",
        "last_lines": ["a", "b\x1b"],
    }
    text = row(**members, next_start=NOW + 5, last_end_at=NOW - 300)
    assert "throttled    -    5 m" in text
    assert "exit code 3; starts again at " in text
    assert text.endswith(r"; it wrote last: b\x1b")


def test_one_that_sleeps_says_where_it_is_woken() -> None:
    text = row(pid=-1, state="asleep", on_demand="/run/shop.socket", last_lines=["bye"])
    assert text.endswith("/run/shop.socket")


def test_nothing_is_said_too() -> None:
    assert vassals_table([], NOW) == "there is no vassal\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["reload"], "reload needs the NAME of a vassal"),
        (["restart", "shop"], "write a NAME, or one of start, stop, reload, reset, log and a NAME"),
        (["stop", "a", "b"], "write a NAME, or one of"),
    ],
)
def test_lines_that_make_no_sense(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert says in capsys.readouterr().err


def test_no_emperor_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert main(["--control", str(tmp_path / "none")]) == 1
    assert "there is no such socket" in capsys.readouterr().err
