"""Memory for each idle connection over TLS: the programs of :mod:`bench.scenarios.tls`."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.measure import Idle, Setup
from bench.scenarios import tls
from bench.scenarios.nodes import nginx_node

#: Fewer than without TLS: who holds them needs more memory than what is measured.
LOAD = Idle(connections=3000, before=500)


def start(stack: ExitStack, directory: Path, tell: Callable[[str], None]) -> list[Setup]:
    """Bring up the programs; see :func:`bench.scenarios.tls.start`."""
    node = nginx_node(stack, directory)
    return [
        Setup(name, "TLS", f"https://127.0.0.1:{secure}/", pid, reference=name == "nginx")
        for name, pid, _port, secure in tls.bring_up(stack, directory, tell, node)
    ]
