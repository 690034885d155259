"""Large bodies: CPU per GB (1e9 bytes) of the routers, for answers of 1 MB and uploads of 10 MB.

The HTTP node is nginx with a file in memory for answers and a lean node of ours for uploads; the
uwsgi node is ours for both. The clients are :mod:`bench.transfers`.

nginx as a proxy has its defaults for answers: it reads them into its buffers and writes to disk
what the client does not take in time. For uploads the others would be compared with nginx writing
10 MB to disk first, so ``proxy_request_buffering`` is off there: it passes them on as they come.
"""

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from bench.generator import drive
from bench.measure import GIGABYTE, Load, Run, Setup
from bench.programs import free_port
from bench.scenarios.http_routers import Command, bring_up, haproxy, nginx, ours, uwsgi
from bench.scenarios.nodes import lean, nginx_node
from bench.scenarios.router import Router
from bench.scenarios.variants import BUILDS

CONNECTIONS = 8
LOAD = Load(connections=CONNECTIONS, paced=False)
ANSWER, UPLOAD = 1_000_000, 10_000_000

ANSWERS, UPLOADS = "1 MB answers", "10 MB uploads"
UNIX_ANSWERS, UNIX_UPLOADS = "1 MB answers, UNIX node", "10 MB uploads, UNIX node"

_UPLOADS_PASS = "proxy_request_buffering off; client_max_body_size 0;"


def start(stack: ExitStack, directory: Path, tell: Callable[[str], None]) -> list[Setup]:
    """Bring up every router over the nodes that it can speak to.

    Args:
        stack: ends everything.
        directory: for sockets and configuration.
        tell: hears which router is left out, and why.

    Raises:
        MissingError: without nginx.
        StartError: if a node does not come up.
    """
    files = _file_node(stack, directory)
    uploads = lean(stack, "bench.bulk_node", f"127.0.0.1:{free_port()}", "http", "3")
    unix_answers = lean(stack, "bench.bulk_node", f"{directory}/a.sock", "uwsgi", str(ANSWER))
    unix_uploads = lean(stack, "bench.bulk_node", f"{directory}/u.sock", "uwsgi", "3")
    routers: list[Router[Command]] = []
    for group, node, passing in ((ANSWERS, files, ""), (UPLOADS, uploads, _UPLOADS_PASS)):
        routers += [
            *(
                Router(variant.name, group, node, ours(variant, "--http-backend-http"))
                for variant in BUILDS
            ),
            Router("nginx", group, node, nginx(passing), reference=True),
            Router("HAProxy", group, node, haproxy),
        ]
    for group, node in ((UNIX_ANSWERS, unix_answers), (UNIX_UPLOADS, unix_uploads)):
        routers += [
            *(Router(variant.name, group, node, ours(variant)) for variant in BUILDS),
            Router("uWSGI http router", group, node, uwsgi(), reference=True),
        ]
    return [measured(setup) for setup in bring_up(stack, directory, tell, routers)]


def _file_node(stack: ExitStack, directory: Path) -> str:
    """Start nginx with a file in memory."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    root = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=memory))
    os.chmod(root, 0o755)
    Path(root, "answer").write_bytes(b"\xa5" * ANSWER)
    return nginx_node(
        stack, directory, f"root {root}; try_files /answer =404; sendfile on; tcp_nopush on;"
    )


def measured(setup: Setup) -> Setup:
    """Return a setup that transfers bodies instead of small answers."""
    port = urlsplit(setup.url).port
    kind, size = ("post", UPLOAD) if setup.group in {UPLOADS, UNIX_UPLOADS} else ("get", ANSWER)

    def run(seconds: int) -> Run:
        arguments = (kind, port, CONNECTIONS, seconds, size)
        return drive("bench.transfers", arguments, setup.pid, size / 1e9)

    return replace(setup, unit=GIGABYTE, run=run)
