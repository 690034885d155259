"""The HTTP router: kept connections of clients, the router under test, nodes over HTTP or uwsgi.

Over HTTP the node is nginx and connections to it are kept; HAProxy and nginx stand beside us. Over
uwsgi it is our lean node on a UNIX socket, a connection for each request; uWSGI's own HTTP router
stands beside us. The heads are those of :mod:`bench.heads`.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import heads
from bench.measure import Setup
from bench.programs import find
from bench.scenarios.http_routers import bring_up, haproxy, nginx, ours, uwsgi
from bench.scenarios.nodes import lean, nginx_node
from bench.scenarios.router import Router
from bench.scenarios.variants import ASYNCIO, BUILDS, Variant

LOAD = heads.load(heads.FROM_BROWSER)
OVER_HTTP, OVER_UWSGI = "HTTP node", "UNIX node"


def start(stack: ExitStack, directory: Path, tell: Callable[[str], None]) -> list[Setup]:
    """Bring up every router that is there, over the nodes that it can speak to.

    Args:
        stack: ends everything.
        directory: for sockets and configuration.
        tell: hears which router is left out, and why.

    Raises:
        MissingError: without wrk or nginx.
        StartError: if a node does not come up.
    """
    find("wrk")
    return routers(stack, directory, tell, (*BUILDS, ASYNCIO))


def routers(
    stack: ExitStack,
    directory: Path,
    tell: Callable[[str], None],
    variants: Sequence[Variant],
) -> list[Setup]:
    """Bring up the nodes, and over them these variants of ours and the others; see :func:`start`."""
    http = nginx_node(stack, directory)
    unix = lean(stack, "bench.node", f"{directory}/node.sock")
    return bring_up(
        stack,
        directory,
        tell,
        (
            *(
                Router(variant.name, OVER_HTTP, http, ours(variant, "--http-backend-http"))
                for variant in variants
            ),
            Router("HAProxy", OVER_HTTP, http, haproxy, reference=True),
            Router("nginx", OVER_HTTP, http, nginx()),
            *(Router(variant.name, OVER_UWSGI, unix, ours(variant)) for variant in variants),
            Router("uWSGI http router", OVER_UWSGI, unix, uwsgi(), reference=True),
        ),
    )
