"""Wheels: plain where nothing can be compiled, and a failure where compiling was asked for."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def build(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build a wheel with this Python's hatchling."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--no-deps"),
            *("--no-build-isolation", "--wheel-dir", directory, ROOT),
        ],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "UWSGI_ROUTER_COMPILE": "", **environment},
    )


def test_without_a_compiler_the_wheel_is_plain_and_works(tmp_path: Path) -> None:
    done = build(tmp_path, CC="/no/such/compiler")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (manual,) = tmp_path.glob("site/*.data/data/share/man/man1/uwsgi-router.1")
    assert manual.read_text() == (ROOT / "docs/uwsgi-router.1").read_text()
    # Not our sources: the Python of the tests has them on its path, behind this.
    run = [sys.executable, "-c", "import uwsgi_router; print(uwsgi_router.__file__)"]
    environment = {**os.environ, "PYTHONPATH": os.fspath(tmp_path / "site")}
    where = subprocess.run(
        run, check=True, capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert where.stdout.startswith(os.fspath(tmp_path / "site"))
    said = subprocess.run(
        [sys.executable, "-m", "uwsgi_router", "--version"],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert said.stdout.endswith(" (plain)\n")


def test_whoever_asks_for_a_compiled_wheel_gets_that_or_a_reason(tmp_path: Path) -> None:
    done = build(tmp_path, CC="/no/such/compiler", UWSGI_ROUTER_COMPILE="1")
    assert done.returncode != 0
    expected = "UWSGI_ROUTER_COMPILE=1, and the C compiler /no/such/compiler is not there"
    assert expected in done.stdout + done.stderr
    assert not list(tmp_path.glob("*.whl"))
