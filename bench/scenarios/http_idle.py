"""Memory for each client connection that is kept idle: the routers of :mod:`bench.scenarios.http`."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.measure import Idle, Setup
from bench.scenarios import http
from bench.scenarios.variants import BUILDS

LOAD = Idle()


def start(stack: ExitStack, directory: Path, tell: Callable[[str], None]) -> list[Setup]:
    """Bring up the routers; see :func:`bench.scenarios.http.start`."""
    return http.routers(stack, directory, tell, BUILDS)
