"""Machine facts beside the figures: hardware, programs, load by others."""

import os
import platform
import re
import subprocess
import sys
import sysconfig
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.compiled import compiled_router
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
        "Python": (
            f"{platform.python_implementation()} {platform.python_version()}, "
            f"{os.path.realpath(sys.executable)}"
        ),
        "Python's build": _build(),
        "compiled router": _compiled(),
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


def _build() -> str:
    """Return what can be told of how the interpreter was optimised when it was built."""
    return build(
        str(sysconfig.get_config_var("CONFIG_ARGS")),
        debian_package(os.path.realpath(sys.executable)),
    )


def build(configured: str, package: str) -> str:
    """Return it in words.

    Args:
        configured: the options of the interpreter's ``configure``.
        package: of the distribution, that it is of, or "". Distributions may optimise by rules of
            their own, which leave no trace in the options.
    """
    asked = [
        option
        for option in ("--enable-optimizations", "--with-lto")
        if re.search(rf"{option}(?!=no)\b", configured)
    ]
    said = f"Debian's package {package}; " if package else ""
    if asked:
        return f"{said}configured {' '.join(asked)}"
    if package:
        return f"{said}it does not tell how it was optimised"
    return "configured without --enable-optimizations and --with-lto"


def debian_package(path: str) -> str:
    """Return the name and the version of the Debian package that a file is of, "" if it is of none."""
    name = _output("dpkg-query", "--search", path).rpartition(": ")[0]
    return name and _output(
        "dpkg-query", "--show", "--showformat=${Package} ${Version}", name.partition(",")[0]
    )


def _compiled() -> str:
    try:
        compiled_router()
    except MissingError:
        return NOT_THERE
    return "there, of the same sources"


def _commit() -> str:
    """Return the commit, and whether what is measured differs from it."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--", "router", "protocol", "subscriptions", "bench")
    return f"{commit or 'unknown'}{', and changes' if changed else ''}"


def _git(*arguments: str) -> str:
    """Return what git prints, "" if it fails: an unpacked archive has no commit."""
    return _output("git", "-C", str(ROOT), *arguments)


def _output(*command: str) -> str:
    """Return what a command prints, "" if it fails or is not there."""
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
