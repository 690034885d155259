"""Compiled router, installed in an environment of its own, as a user gets it.

``make bench`` makes it of this working tree, by ``UWSGI_ROUTER_COMPILE=1 pip install .``.
"""

import os
import subprocess
from pathlib import Path

from bench.programs import ROOT, MissingError

DIRECTORY = ROOT / ".bench" / "compiled"

#: A module on every request's way: if this one is an extension, the packages were compiled.
_MODULE = "uwsgi_router.router.net.link"
_PACKAGES = ("protocol", "subscriptions", "router")


def compiled_router(directory: Path = DIRECTORY) -> list[str]:
    """Return the command of the compiled router.

    Args:
        directory: the environment that it is installed in.

    Raises:
        MissingError: if it is not there, is not compiled, or is made of other sources than this
            working tree's.
    """
    place = _shown(directory)
    command = directory / "bin" / "uwsgi-router"
    if not command.exists():
        raise MissingError(f"the compiled packages (not in {place}: `make bench` puts them there)")
    found = _module_file(directory)
    if not found.endswith(".so"):
        why = f"{_MODULE} is {found}" if found else f"{_MODULE} can't be imported"
        raise MissingError(f"the compiled packages (those in {place} are not compiled: {why})")
    site = Path(found).parents[_MODULE.count(".")]
    for package in _PACKAGES:
        if _sources(ROOT / package) != _sources(site / "uwsgi_router" / package):
            raise MissingError(
                f"the compiled packages (those in {place} are of other sources than this tree's: "
                "`make bench` makes them anew)"
            )
    return [str(command)]


def _shown(directory: Path) -> str:
    return str(directory.relative_to(ROOT) if directory.is_relative_to(ROOT) else directory)


def _module_file(directory: Path) -> str:
    """Return where the environment's interpreter finds the module, "" if it does not."""
    # -I: neither the working directory nor PYTHONPATH may answer for the environment.
    script = f"import {_MODULE} as module; print(module.__file__)"
    try:
        done = subprocess.run(
            [str(directory / "bin" / "python"), "-I", "-c", script],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except OSError:
        return ""
    return done.stdout.strip()


def _sources(package: Path) -> dict[str, bytes]:
    """Return every Python file of a package: they lie beside the extensions that are made of them."""
    return {
        os.path.relpath(path, package): path.read_bytes() for path in sorted(package.rglob("*.py"))
    }
