"""Vassals of tests: a directory that every user may enter, the fake vassal, and what it has written down."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.waiting import wait_until

_FAKE = Path(__file__).with_name("fake_vassal.py")
Report = dict[str, Any]


def need_root() -> None:
    """Skip the test where processes can't change their user."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes somebody else")


def python_of_all() -> str:
    """Return a Python that every user may run; skip the test if there is none."""
    found = Path(sys.executable).resolve()
    if all(path.stat().st_mode & 0o005 == 0o005 for path in (found, *found.parents)):
        return sys.executable
    system = shutil.which("python3", path="/usr/bin:/bin")
    if system is None:
        pytest.skip("there is no Python that every user may run")
    return system


class Vassals:
    """Directory of vassals and of their reports.

    Args:
        directory: that everybody may enter.

    Attributes:
        place: of the configurations.
        reports: of what the fake vassal writes down; everybody may write there.
        fake: program to be executed: the fake vassal.
        variables: further ones for their Emperor.
    """

    def __init__(self, directory: Path) -> None:
        self.place, self.reports = directory / "vassals", directory / "reports"
        for one, mode in ((self.place, 0o755), (self.reports, 0o777)):
            one.mkdir()
            one.chmod(mode)
        script = directory / "fake_vassal.py"
        shutil.copyfile(_FAKE, script)
        script.chmod(0o644)
        self.fake = directory / "fake-vassal"
        python = python_of_all() if os.geteuid() == 0 else sys.executable
        self.fake.write_text(f'#!/bin/sh\nexec {python} -I -S {script} "$@"\n')
        self.fake.chmod(0o755)
        self.directory = directory
        self.variables: dict[str, str] = {}

    @property
    def environ(self) -> dict[str, str]:
        """Variables that an Emperor needs, so that its fake vassals report."""
        return {"FAKE_VASSAL_REPORTS": str(self.reports), **self.variables}

    def put(self, name: str, *lines: str, owner: tuple[int, int] | None = None) -> Path:
        """Write a vassal's configuration."""
        path = self.place / name
        new = self.place / f".{name}.new"
        new.write_text("\n".join(["[uwsgi]", *lines, ""]))
        if owner is not None:
            os.chown(new, *owner)
        new.rename(path)
        return path

    def reported(self, name: str) -> list[Report]:
        """Return what starts of a vassal have written down so far, the first one first."""
        return [
            json.loads(path.read_text(errors="surrogateescape"))
            for path in sorted(self.reports.glob(f"{name}.*.json"))
        ]

    def report(self, name: str, count: int = 1) -> Report:
        """Wait for so many starts of a vassal; return what the last of them has written down."""
        return wait_until(
            lambda: self.reported(name)[count - 1 :], f"{name} was started {count} times"
        )[0]


@contextmanager
def vassals() -> Iterator[Vassals]:
    """Make a directory of vassals; it is gone at the end."""
    # Not pytest's own: that is for nobody else.
    directory = Path(tempfile.mkdtemp(prefix="uwr-vassals-"))
    directory.chmod(0o755)
    try:
        yield Vassals(directory)
    finally:
        shutil.rmtree(directory)
