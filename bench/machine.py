"""What a figure depends on besides the code: the machine, the programs, and what else runs."""

import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.programs import ROOT, MissingError, find, first_line

#: Asked for its version with this option; the version is in the first line.
_PROGRAMS = {
    "wrk": "-v",
    "h2load": "--version",
    "nginx": "-v",
    "haproxy": "-v",
    "uwsgi": "--version",
}
NOT_THERE = "not there"


def facts() -> dict[str, str]:
    """Return (what, which), in the order in which people want to see it."""
    return {
        "CPU": _cpu(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.1f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "commit": _commit(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "uvloop": _version("uvloop"),
        **{name: _first_line(name, option) for name, option in _PROGRAMS.items()},
    }


def now() -> str:
    """Return the time, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    """Return the commit, and whether what is measured differs from it."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--", "router", "protocol", "subscriptions", "bench")
    return f"{commit or 'unknown'}{', and changes' if changed else ''}"


def _git(*arguments: str) -> str:
    """Return what git prints, "" if it fails: an unpacked archive has no commit."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return ""
    return "" if done.returncode else done.stdout.strip()


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return NOT_THERE


def _first_line(program: str, option: str) -> str:
    try:
        line = first_line([find(program), option])
    except MissingError:
        return NOT_THERE
    return line.split("Copyright")[0].strip()
