"""Wheels: compiled where that is possible, plain where it isn't, and a failure where it was asked for."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


HEADER = Path(sysconfig.get_path("include"), "Python.h")
CAN_COMPILE = HEADER.exists() and shutil.which(sysconfig.get_config_var("CC").split()[0])


def build(
    directory: Path, root: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Build a wheel of the tree at ``root`` with this Python's hatchling."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--no-deps"),
            *("--no-build-isolation", "--wheel-dir", directory, root),
        ],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "UWSGI_ROUTER_COMPILE": "", **environment},
    )


def small_tree(directory: Path) -> Path:
    """Return a copy of this tree of which one module is to be compiled: all of them take a minute."""
    for name in ("protocol", "router", "scripts", "subscriptions", "uwsgi_router"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, directory / name, symlinks=True, ignore=ignored)
    (directory / "docs").mkdir()
    for file in ("docs/uwsgi-router.1", "LICENSE", "README.md"):
        shutil.copy(ROOT / file, directory / file)
    text = (ROOT / "pyproject.toml").read_text()
    text, count = re.subn(r"(?ms)^modules = \[.*?^\]", 'modules = ["protocol/address.py"]', text)
    assert count == 1
    (directory / "pyproject.toml").write_text(text)
    return directory


@pytest.mark.deadline(300)
@pytest.mark.skipif(
    not CAN_COMPILE and os.environ.get("CI") != "true", reason="no C compiler, or no Python.h"
)
def test_with_a_compiler_the_wheel_is_compiled_and_tracebacks_name_file_and_line(
    tmp_path: Path,
) -> None:
    done = build(tmp_path, small_tree(tmp_path / "tree"))
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert "-none-any" not in wheel.name
    assert "-linux_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    assert list(tmp_path.glob("site/uwsgi_router/protocol/address.*.so"))
    script = "from uwsgi_router.protocol.address import parse_address as parse; parse('a:99999')"
    run = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.fspath(tmp_path / "site")},
        cwd=tmp_path,
    )
    *_, (file, line) = re.findall(r'File "(.+\.py)", line (\d+)', run.stderr)
    assert file == "uwsgi_router/protocol/address.py"
    source = (ROOT / "protocol/address.py").read_text().splitlines()
    assert "raise" in source[int(line) - 1]


@pytest.mark.parametrize(
    "environment",
    [{"CC": "/no/such/compiler"}, {"CC": "", "PATH": "/no/such/directory"}],
    ids=["CC", "PATH"],
)
def test_without_a_compiler_the_wheel_is_plain_and_works(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = build(tmp_path, ROOT, **environment)
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


def test_whoever_asks_for_a_plain_wheel_gets_that(tmp_path: Path) -> None:
    done = build(tmp_path, UWSGI_ROUTER_COMPILE="0")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
