"""The manual page: true, whole, and without mistakes that roff would report."""

import shutil
import subprocess
from pathlib import Path

import pytest

from uwsgi_router.router.cli.command_table import COMMANDS
from uwsgi_router.router.cli.flags import of_command, of_routers
from uwsgi_router.router.cli.manual import manual

PAGE = Path(__file__).parents[3] / "docs" / "uwsgi-router.1"


def test_the_page_is_what_the_table_makes() -> None:
    assert PAGE.read_text() == manual(), "run: make docs"


def test_it_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    assert PAGE.read_text() == manual()


def test_roff_shows_every_command_and_option() -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff is not there: `make peers`, as root, installs it")
    call: list[str | Path] = [
        groff,
        "-man",
        "-Tutf8",
        "-P-c",
        "-P-b",
        "-P-o",
        "-P-u",
        "-rLL=200n",
        "-ww",
        PAGE,
    ]
    done = subprocess.run(call, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    shown = " ".join(done.stdout.split())
    for name, command in COMMANDS.items():
        assert f"uwsgi-router {name}" in shown
        for flag in of_command(command).flags:
            assert f"{', '.join(flag.names)} {flag.value}".strip() in shown
    for flag in of_routers():
        assert f"{flag.names[0]} {flag.value}".strip() in shown
