"""Cores that this process may use: its affinity and the quota of its control group, not the machine's."""

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.config.values import MAX_WORKERS

_CGROUPS: Final = Path("/sys/fs/cgroup")


def usable_cores(cgroups: Path = _CGROUPS, membership: Path = Path("/proc/self/cgroup")) -> int:
    """Return how many cores can be kept busy; a quota of part of one counts as one.

    Args:
        cgroups: where control groups are mounted.
        membership: which of them are ours, as proc(5) has it.
    """
    cores = len(os.sched_getaffinity(0))
    for quota in _quotas(cgroups, membership):
        cores = min(cores, max(1, math.ceil(quota)))
    return cores


def with_cores(configuration: Configuration) -> Configuration:
    """Return a configuration that has numbers where it says ``auto``."""
    if all(one.processes != "auto" for one in configuration.routers):
        return configuration
    cores = min(usable_cores(), MAX_WORKERS)
    routers = tuple(
        replace(one, processes=cores) if one.processes == "auto" else one
        for one in configuration.routers
    )
    return replace(configuration, routers=routers)


def _quotas(cgroups: Path, membership: Path) -> Iterator[float]:
    """Yield the quotas of our control groups and of those above them, in cores."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            for directory in _upward(cgroups, path):
                yield from _quota_of(directory / "cpu.max")
        elif "cpu" in controllers.split(","):
            for directory in _upward(cgroups / "cpu", path):
                yield from _old_quota_of(directory)


def _upward(root: Path, path: str) -> Iterator[Path]:
    """Yield a directory below a root, and all above it up to the root."""
    directory = root / path.lstrip("/")
    yield directory
    while directory != root and root in directory.parents:
        directory = directory.parent
        yield directory


def _quota_of(file: Path) -> Iterator[float]:
    """Yield what is in cpu.max (cgroups version 2), unless it is no limit."""
    try:
        quota, period = file.read_text().split()[:2]
        if quota != "max":
            yield int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return


def _old_quota_of(directory: Path) -> Iterator[float]:
    """Yield what cgroups version 1 say, unless it is no limit."""
    try:
        quota = int((directory / "cpu.cfs_quota_us").read_text())
        period = int((directory / "cpu.cfs_period_us").read_text())
        if quota > 0:
            yield quota / period
    except (OSError, ValueError, ZeroDivisionError):
        return
