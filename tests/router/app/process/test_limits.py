"""Limits of the system."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from uwsgi_router.router.app.process.limits import raise_descriptor_limit, warn_of_short_backlog


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_open_files_are_raised_to_the_hard_limit_and_told(
    limits: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    hard = limits[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, hard))
    caplog.set_level("INFO")
    assert raise_descriptor_limit() == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    assert caplog.messages == [f"open files: limit raised from 500 to {hard}"]
    assert raise_descriptor_limit() == hard
    assert len(caplog.messages) == 1


def test_a_backlog_that_the_kernel_cuts_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    somaxconn = tmp_path / "somaxconn"
    somaxconn.write_text("128\n")
    warn_of_short_backlog(128, str(somaxconn))
    assert not caplog.messages
    warn_of_short_backlog(1024, str(somaxconn))
    assert caplog.messages == ["listen = 1024, but the sysctl net.core.somaxconn allows 128"]
    warn_of_short_backlog(1024, str(tmp_path / "missing"))
    assert len(caplog.messages) == 1
