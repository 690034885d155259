"""The fastrouter over HTTP nodes: nginx (``uwsgi_pass``), the router under test over UNIX, nginx.

Connections to the node are kept. uWSGI's fastrouter can't do that: it is measured beside us with what it
is best at, a UNIX node.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench import heads
from bench.measure import Setup
from bench.programs import find
from bench.scenarios.fastrouters import bring_up, ours, uwsgi
from bench.scenarios.nodes import lean, nginx_node
from bench.scenarios.router import Router
from bench.scenarios.variants import BUILDS

LOAD = heads.load(heads.FROM_SERVER)
GROUP = "HTTP node"


def start(stack: ExitStack, directory: Path, tell: Callable[[str], None]) -> list[Setup]:
    """Bring up the chains; see :func:`bench.scenarios.fastrouter.start`."""
    find("wrk")
    http = nginx_node(stack, directory)
    unix = lean(stack, "bench.node", f"{directory}/node.sock")
    routers = [
        Router(variant.name, GROUP, http, ours(variant, "--fastrouter-backend-http"))
        for variant in BUILDS
    ]
    routers.append(Router("uWSGI fastrouter (UNIX node)", GROUP, unix, uwsgi, reference=True))
    return bring_up(stack, directory, tell, routers)
