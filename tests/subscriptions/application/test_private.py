"""Private directories: ours alone, and removed by the next start once nobody uses them."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from uwsgi_router.subscriptions.application.private import PrivateDirectory


@pytest.fixture
def parent() -> Iterator[Path]:
    """A directory with a path that is short enough."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def made(parent: Path, *, shared: bool = False) -> PrivateDirectory:
    directory = PrivateDirectory.make({"XDG_RUNTIME_DIR": str(parent)}, shared=shared)
    assert os.path.dirname(directory.path) == str(parent)
    return directory


def test_it_is_ours_alone(parent: Path) -> None:
    own, shared = made(parent), made(parent, shared=True)
    assert os.stat(own.path).st_mode & 0o777 == 0o700
    assert os.stat(shared.path).st_mode & 0o777 == 0o711
    for directory in (own, shared):
        directory.close()
    assert os.listdir(parent) == []


def test_what_somebody_uses_stays(parent: Path) -> None:
    first, second = made(parent), made(parent)
    assert os.path.exists(first.path)
    first.close()
    second.close()


def test_what_a_killed_one_has_left_is_removed_once_its_router_has_ended(parent: Path) -> None:
    killed = made(parent)
    Path(killed.path, "announce").touch()
    wait = [sys.executable, "-c", "input()"]
    with subprocess.Popen(wait, stdin=subprocess.PIPE, pass_fds=[killed.lock]) as router:
        os.close(killed.lock)
        made(parent).close()
        assert os.path.exists(killed.path)
        router.communicate(b"\n")
    made(parent).close()
    assert os.listdir(parent) == []


def test_nothing_else_is_touched(parent: Path) -> None:
    elsewhere = parent / "elsewhere"
    (elsewhere / "kept").mkdir(parents=True)
    left = parent / "uwsgi-serve-12345678"
    left.mkdir()
    (left / "link").symlink_to(elsewhere)
    others = {
        "uwsgi-serve-abcdefgh",
        "uwsgi-serve-file1234",
        "uwsgi-serve-longer-name",
        "elsewhere",
    }
    (parent / "uwsgi-serve-abcdefgh").symlink_to(elsewhere)
    (parent / "uwsgi-serve-file1234").touch()
    (parent / "uwsgi-serve-longer-name").mkdir()
    made(parent).close()
    assert set(os.listdir(parent)) == others
    assert os.listdir(elsewhere) == ["kept"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a directory somebody else's")
def test_nor_is_what_is_somebody_elses(parent: Path) -> None:
    other = parent / "uwsgi-serve-12345678"
    other.mkdir()
    os.chown(other, 65534, 65534)
    made(parent).close()
    assert os.listdir(parent) == [other.name]
