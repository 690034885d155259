"""Where the real programs are, and what happens when one is missing."""

import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: ``ours`` or ``uwsgi``: which program plays the router (docs/testing.md).
ROUTER_UNDER_TEST = os.environ.get("ROUTER_UNDER_TEST", "ours")


def _missing(what: str) -> str:
    reason = f"{what} is not there: `make peers`, as root, installs it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def uwsgi() -> str:
    """Return uWSGI's path, or skip the test (fail it when CI=true)."""
    built = ROOT / ".peers/venv/bin/uwsgi"
    return str(built) if built.exists() else _missing("uWSGI 2.0.31")


def uwsgi_plugins(*names: str) -> list[str]:
    """Return the arguments that load plugins which PyPI's uWSGI lacks, or skip the test likewise."""
    directory = ROOT / ".peers/plugins"
    for name in names:
        if not (directory / f"{name}_plugin.so").exists():
            _missing(f"uWSGI's plugin {name}")
    return [f"--plugins-dir={directory}", *(f"--plugin={name}" for name in names)]


def nginx() -> str:
    """Return nginx's path, or skip the test (fail it when CI=true)."""
    return debian("nginx")


def haproxy() -> str:
    """Return HAProxy's path, or skip the test (fail it when CI=true)."""
    return debian("haproxy")


def certbot() -> str:
    """Return certbot's path, or skip the test (fail it when CI=true)."""
    return debian("certbot")


def pebble() -> str:
    """Return the path of pebble, an authority for tests, or skip the test (fail it when CI=true)."""
    return debian("pebble")


def curl() -> str:
    """Return curl's path, or skip the test (fail it when CI=true)."""
    return debian("curl")


def openssl() -> str:
    """Return the path of OpenSSL's command, or skip the test (fail it when CI=true)."""
    return debian("openssl")


def h2load() -> str:
    """Return the path of nghttp2's h2load, or skip the test (fail it when CI=true)."""
    return debian("h2load")


def chromium() -> str:
    """Return Chromium's path, or skip the test (fail it when CI=true)."""
    return debian("chromium")


def pebble_names() -> str:
    """Return the path of the name service that comes with pebble."""
    return debian("pebble-challtestsrv")


def debian(program: str) -> str:
    """Return the path of a program of one of Debian's packages, or skip the test (fail it when CI=true)."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    return shutil.which(program, path=path) or _missing(program)


def uwsgi_router() -> str:
    """Return the path of the command as installed beside the Python that runs the tests."""
    return str(Path(sys.executable).parent / "uwsgi-router")
