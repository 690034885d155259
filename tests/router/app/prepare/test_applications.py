"""Cores of a copy that the processes of a router can't share are told before anything starts."""

import os
from pathlib import Path

import pytest

from uwsgi_router.router.app.prepare.prepare import prepare
from uwsgi_router.router.cli.main import main
from uwsgi_router.router.config.load import examine

SYNC = "command = gunicorn shop:app -b {address}"
TWO = ("http = 127.0.0.1:8080", "http-processes = 2")


def problems(directory: Path, router: tuple[str, ...], app: tuple[str, ...]) -> list[str]:
    file = directory / "apps.ini"
    file.write_text("\n".join(("[uwsgi]", *router, "[app shop]", *app, "")))
    report = prepare(examine([os.fspath(file)], {}), environ={})
    return [str(problem) for problem in report.problems]


def test_the_line_says_where_what_and_what_to_do(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, TWO, (SYNC,))
    assert line.startswith(f"{tmp_path}/apps.ini:3: http-processes = 2: ")
    assert "a copy of shop works on at once, and that is 1 (cores)" in line
    assert "write http-processes = 1" in line
    assert "http-backend-connections = 2" in line


@pytest.mark.parametrize(
    ("router", "app"),
    [
        (TWO, (f"{SYNC} --threads 2",)),
        (TWO, (SYNC, "env = WEB_CONCURRENCY=2")),
        (TWO, ("command = uvicorn shop:app --port {port}",)),
        (TWO, ("command = uwsgi --socket {address}", "proto = uwsgi", "cores = 1")),
        ((*TWO, "http-backend-connections = 2"), (SYNC,)),
        (TWO[:1], (SYNC,)),
    ],
    ids=["threads", "variable", "any number", "uwsgi", "backend-connections", "one process"],
)
def test_what_can_be_shared_is_left_alone(
    router: tuple[str, ...], app: tuple[str, ...], tmp_path: Path
) -> None:
    assert problems(tmp_path, router, app) == []


def test_serve_says_it_too_and_starts_nothing(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    started = tmp_path / "started"
    command = ["--cores", "1", "--", "touch", str(started)]
    assert main(["serve", "--http", "127.0.0.1:0", "--http-processes", "2", *command]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("uwsgi-router serve: http-processes = 2: ")
    assert not started.exists()
