"""Environment, umask and directory."""

import os
from pathlib import Path

import pytest

from uwsgi_router.router.app.process import environment
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import ProcessConfig


def test_environment_umask_and_directory_are_taken_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROUTER_TEST", "before")
    monkeypatch.chdir("/")
    umask = os.umask(0o022)
    try:
        environment.apply(
            ProcessConfig(env={"ROUTER_TEST": "after"}, umask=0o027, chdir=str(tmp_path))
        )
        assert os.environ["ROUTER_TEST"] == "after"
        assert os.umask(0) == 0o027
        assert Path.cwd() == tmp_path
    finally:
        os.umask(umask)


def test_without_options_everything_stays() -> None:
    before = os.getcwd()
    umask = os.umask(0o021)
    try:
        environment.apply(ProcessConfig())
        assert os.umask(umask) == 0o021
    finally:
        os.umask(umask)
    assert os.getcwd() == before


def test_a_directory_that_cannot_be_entered_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=f"chdir = {tmp_path}/x: No such file or directory"):
        environment.apply(ProcessConfig(chdir=f"{tmp_path}/x"))
