"""The fastrouter: nginx (``uwsgi_pass``), the router under test over UNIX, a node of ours.

The heads are those of :mod:`bench.heads`: ten fields, so about twenty-five variables with those of
``uwsgi_params``. The node is reached over TCP and over UNIX, because that alone halves the costs.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench import heads
from bench.measure import Setup
from bench.programs import find, free_port
from bench.scenarios.fastrouters import bring_up, ours, uwsgi
from bench.scenarios.nodes import lean
from bench.scenarios.router import Router
from bench.scenarios.variants import BUILDS

LOAD = heads.load(heads.FROM_SERVER)


def start(stack: ExitStack, directory: Path, tell: Callable[[str], None]) -> list[Setup]:
    """Bring up a chain for every router that is there, times TCP and UNIX node.

    Args:
        stack: ends everything.
        directory: for sockets and configuration.
        tell: hears which router is left out, and why.

    Raises:
        MissingError: without wrk or nginx.
        StartError: if nginx or the node does not come up.
    """
    find("wrk")
    nodes = {"TCP node": f"127.0.0.1:{free_port()}", "UNIX node": f"{directory}/node.sock"}
    routers = []
    for group, address in nodes.items():
        lean(stack, "bench.node", address)
        routers += [Router(variant.name, group, address, ours(variant)) for variant in BUILDS]
        routers.append(Router("uWSGI fastrouter", group, address, uwsgi, reference=True))
    return bring_up(stack, directory, tell, routers)
