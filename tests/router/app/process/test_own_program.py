"""This program's command, for its children: no module of the working directory stands for another."""

import subprocess
from pathlib import Path

import pytest

from tests.lab import programs
from uwsgi_router.router.app.process.own_program import own_program


def test_modules_in_the_working_directory_are_not_taken_for_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("secrets", "ipaddress", "select", "uwsgi_router"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')\n")
    monkeypatch.chdir(tmp_path)
    run = [*own_program(), "--version"]
    said = subprocess.run(run, capture_output=True, text=True, check=True)
    assert said.stdout.startswith("uwsgi-router ")


@pytest.mark.sources
def test_a_checkout_need_not_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(programs.ROOT)
    assert "-P" not in own_program()
