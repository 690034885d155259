"""Memory for each raw connection that is kept idle, its node's included: the routers of :mod:`bench.scenarios.raw`.

The node is nginx: each connection has had one answer of it.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.measure import Idle, Setup
from bench.scenarios import raw
from bench.scenarios.nodes import nginx_node

LOAD = Idle(connections=2000, before=500)
GROUP = "relay"


def start(stack: ExitStack, directory: Path, tell: Callable[[str], None]) -> list[Setup]:
    """Bring up the routers.

    Args:
        stack: ends everything.
        directory: for configurations.
        tell: hears which router is left out, and why.

    Raises:
        MissingError: without nginx.
        StartError: if it does not come up.
    """
    return raw.bring_up(stack, directory, tell, GROUP, nginx_node(stack, directory))
