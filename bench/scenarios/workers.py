"""Workers: the HTTP router with one and with two, beside others with two processes or threads.

The load is that of :mod:`bench.scenarios.http`. On a machine of two cores the load and the node take part of these,
too: CPU per request says more than requests per second.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from bench.measure import Setup
from bench.programs import find
from bench.scenarios.http import LOAD, OVER_HTTP, OVER_UWSGI
from bench.scenarios.http_routers import Command, bring_up, haproxy, nginx, ours, uwsgi
from bench.scenarios.nodes import lean, nginx_node
from bench.scenarios.router import Router
from bench.scenarios.variants import Variant, default_build

__all__ = ["LOAD", "start"]

_TWO: Final = "--http-workers=2"


def start(stack: ExitStack, directory: Path, tell: Callable[[str], None]) -> list[Setup]:
    """Bring up the nodes and the routers that are there; arguments and errors as of the HTTP scenario."""
    find("wrk")
    http = nginx_node(stack, directory)
    unix = lean(stack, "bench.node", f"{directory}/node.sock")
    routers: list[Router[Command]] = [
        Router("HAProxy, 2 threads", OVER_HTTP, http, partial(haproxy, threads=2), reference=True),
        Router("nginx, 2 workers", OVER_HTTP, http, nginx(workers=2)),
        Router(
            "uWSGI http router, 2 processes",
            OVER_UWSGI,
            unix,
            uwsgi("--http-processes=2"),
            reference=True,
        ),
    ]
    for variant in default_build():
        for workers, more in (("1 worker", ()), ("2 workers", (_TWO,))):
            name = _named(variant, workers)
            routers += [
                Router(name, OVER_HTTP, http, ours(variant, "--http-backend-http", *more)),
                Router(name, OVER_UWSGI, unix, ours(variant, *more)),
            ]
    return bring_up(stack, directory, tell, routers)


def _named(variant: Variant, workers: str) -> str:
    return f"{variant.name}, {workers}"
