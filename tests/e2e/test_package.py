"""The command and the API do not care what a project calls its own modules."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import programs


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A working directory whose modules have the names of our folders, and fail when they are imported."""
    for name in ("router.py", "protocol/__init__.py", "subscriptions/__init__.py", "tests.py"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("raise SystemExit('the project was imported')\n")
    return tmp_path


def run(project: Path, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **more}
    return subprocess.run(
        argv, cwd=project, env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("path", [False, True])
def test_the_command_starts_where_a_project_has_such_names(project: Path, path: bool) -> None:
    more = {"PYTHONPATH": str(project)} if path else {}
    (project / "router.ini").write_text("[uwsgi]\nfastrouter = 127.0.0.1:0\nfastrouter-to = :1\n")
    for command in ([programs.uwsgi_router()], [sys.executable, "-m", "uwsgi_router"]):
        done = run(project, *command, "check", "router.ini", **more)
        assert done.returncode == 0, done.stderr
        done = run(project, *command, "--version", **more)
        assert done.stdout.startswith("uwsgi-router ")


@pytest.mark.parametrize("path", [False, True])
def test_the_api_starts_a_router_there(project: Path, path: bool) -> None:
    more = {"PYTHONPATH": str(project)} if path else {}
    (project / "serve.py").write_text(
        "import asyncio\n"
        "from uwsgi_router import RouterFast, RouterHttp, subscribe\n"
        "async def main():\n"
        "    async with RouterFast('127.0.0.1:0', forward_to=['127.0.0.1:1']) as router:\n"
        "        print(*router.addresses)\n"
        "asyncio.run(main())\n"
    )
    done = run(project, sys.executable, "serve.py", **more)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("127.0.0.1:")


def test_what_the_package_does_not_have(project: Path) -> None:
    done = run(project, sys.executable, "-c", "from uwsgi_router import RouterSlow")
    assert "cannot import name 'RouterSlow'" in done.stderr


def test_an_announcing_client_needs_no_router(project: Path) -> None:
    code = (
        "import sys, uwsgi_router\n"
        "uwsgi_router.subscribe\n"
        "loaded = [name for name in sys.modules if name.startswith('uwsgi_router.router')]\n"
        "print(loaded, 'uvloop' in sys.modules)\n"
    )
    assert run(project, sys.executable, "-c", code).stdout == "[] False\n"
