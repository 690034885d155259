"""A compiled router is one that is there, is compiled, and is of this tree's sources."""

import shutil
import sys
from pathlib import Path

import pytest

from bench import compiled
from bench.programs import ROOT, MissingError
from bench.scenarios.variants import ASYNCIO, BUILDS, COMPILED, PLAIN


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Return one in which our packages are installed; ``link`` stands for the extension."""
    programs, site = tmp_path / "bin", tmp_path / "site"
    programs.mkdir()
    (programs / "uwsgi-router").touch()
    python = programs / "python"
    python.write_text(f"#!/bin/sh\necho {site}/uwsgi_router/router/net/link.cpython-311.so\n")
    python.chmod(0o755)
    for package in ("protocol", "subscriptions", "router"):
        target = site / "uwsgi_router" / package
        shutil.copytree(ROOT / package, target, ignore=shutil.ignore_patterns("*.pyc"))
    return tmp_path


def test_a_compiled_router_of_these_sources_is_one(environment: Path) -> None:
    assert compiled.compiled_router(environment) == [f"{environment}/bin/uwsgi-router"]


def test_one_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"not in .*: `make bench` puts them there"):
        compiled.compiled_router(tmp_path)


def test_one_of_other_sources_is_missing(environment: Path) -> None:
    with (environment / "site/uwsgi_router/router/cli/main.py").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(MissingError, match="of other sources than this tree's"):
        compiled.compiled_router(environment)


def test_one_that_is_not_compiled_is_missing(environment: Path) -> None:
    # The same environment with a real interpreter, which finds the module of this tree or none.
    python = environment / "bin/python"
    python.unlink()
    python.symlink_to(sys.executable)
    with pytest.raises(
        MissingError, match=r"not compiled: uwsgi_router\.router\.net\.link (is|can't)"
    ):
        compiled.compiled_router(environment)


def test_variants(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [variant.name for variant in (*BUILDS, ASYNCIO)] == [
        "uwsgi-router",
        "uwsgi-router (plain)",
        "uwsgi-router (asyncio)",
    ]
    monkeypatch.setattr("bench.scenarios.variants.compiled_router", lambda: ["/compiled"])
    assert COMPILED.command("--a") == ["/compiled", "--a", "--listen=1024", "--event-loop=uvloop"]
    usual = [sys.executable, "-P", "-m", "uwsgi_router"]
    assert PLAIN.command("--a") == [*usual, "--a", "--listen=1024", "--event-loop=uvloop"]
