"""WebSocket echo: CPU per round trip of the routers, a message of 64 bytes there and back.

The clients are :mod:`bench.round_trips`, each with one message under way; the node is
:mod:`bench.echo_node`, over HTTP and over uwsgi. Nobody's frames are checked by the routers, as is
their default.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from bench.generator import drive
from bench.measure import ROUND_TRIP, Load, Run, Setup
from bench.programs import free_port
from bench.scenarios.http_routers import bring_up, haproxy, nginx, ours, uwsgi
from bench.scenarios.nodes import lean
from bench.scenarios.router import Router
from bench.scenarios.variants import BUILDS

CONNECTIONS = 32
LOAD = Load(connections=CONNECTIONS, paced=False)
OVER_HTTP, OVER_UWSGI = "HTTP node", "UNIX node"

_UPGRADE = 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'


def start(stack: ExitStack, directory: Path, tell: Callable[[str], None]) -> list[Setup]:
    """Bring up every router over the nodes that it can speak to.

    Args:
        stack: ends everything.
        directory: for sockets and configuration.
        tell: hears which router is left out, and why.

    Raises:
        StartError: if a node does not come up.
    """
    http = lean(stack, "bench.echo_node", f"127.0.0.1:{free_port()}", "http")
    unix = lean(stack, "bench.echo_node", f"{directory}/node.sock", "uwsgi")
    over_http, over_uwsgi = ("--http-websockets", "--http-backend-http"), ("--http-websockets",)
    setups = bring_up(
        stack,
        directory,
        tell,
        (
            *(
                Router(variant.name, OVER_HTTP, http, ours(variant, *over_http))
                for variant in BUILDS
            ),
            Router("nginx", OVER_HTTP, http, nginx(connection=_UPGRADE)),
            Router("HAProxy", OVER_HTTP, http, haproxy, reference=True),
            *(
                Router(variant.name, OVER_UWSGI, unix, ours(variant, *over_uwsgi))
                for variant in BUILDS
            ),
            Router("uWSGI http router", OVER_UWSGI, unix, uwsgi(*over_uwsgi), reference=True),
        ),
    )
    return [measured(setup) for setup in setups]


def measured(setup: Setup) -> Setup:
    """Return a setup that makes round trips instead of requests."""
    port = urlsplit(setup.url).port

    def run(seconds: int) -> Run:
        return drive("bench.round_trips", (port, CONNECTIONS, seconds), setup.pid)

    return replace(setup, unit=ROUND_TRIP, run=run)
