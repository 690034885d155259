"""Raw connections: CPU per GB and per round trip of the raw router, beside HAProxy's TCP mode and uWSGI.

The clients are :mod:`bench.raw_transfers`: eight that read or write without end, and 32 with one message of 100 bytes
under way each; the nodes are :mod:`bench.raw_node`. Transfers are spliced, as they are by default once they are bulk,
or copied (``rawrouter-pipes = 0``), or TLS ends at the SSL router. HAProxy has its defaults, which copy; uWSGI has a
buffer of 64 KiB.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from bench.generator import drive
from bench.measure import GIGABYTE, ROUND_TRIP, Load, Run, Setup
from bench.programs import MissingError, Program, StartError, accepts, find, free_port
from bench.raw_transfers import MEGABYTE, TLS
from bench.scenarios.http_routers import Command
from bench.scenarios.nodes import lean
from bench.scenarios.router import Router
from bench.scenarios.tls_files import certificate
from bench.scenarios.variants import Variant, default_build

TRANSFERS, CONNECTIONS = 8, 32
LOAD = Load(connections=CONNECTIONS, paced=False)
TO_CLIENTS, FROM_CLIENTS, COPIED, MESSAGES = "to clients", "from clients", "copied", "100 bytes"
TLS_TO_CLIENTS, TLS_FROM_CLIENTS = "TLS to clients", "TLS from clients"

#: What the generator does, and the node.
_KINDS = {
    TO_CLIENTS: ("get", "source"),
    FROM_CLIENTS: ("put", "sink"),
    COPIED: ("get", "source"),
    MESSAGES: ("echo", "echo"),
    TLS_TO_CLIENTS: (f"{TLS}get", "source"),
    TLS_FROM_CLIENTS: (f"{TLS}put", "sink"),
}
_HAPROXY = """
global
  nbthread 1
  maxconn 10000
  no strict-limits
defaults
  mode tcp
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend front
  bind 127.0.0.1:{port} {tls} backlog 1024
  default_backend nodes
backend nodes
  server node {node}
"""


def ours(variant: Variant, *options: str) -> Command:
    """Return how this router is started."""
    return lambda port, node, _directory: variant.command(
        f"--rawrouter=127.0.0.1:{port}",
        f"--rawrouter-to={node}",
        "--rawrouter-max-connections=0",
        *options,
    )


def ours_tls(variant: Variant) -> Command:
    """Return how this router is started where clients speak TLS."""

    def command(port: int, node: str, directory: Path) -> list[str]:
        crt, key, _both = certificate(directory)
        return variant.command(
            f"--sslrouter=127.0.0.1:{port},{crt},{key}", f"--sslrouter-to={node}"
        )

    return command


def haproxy_tls(port: int, node: str, directory: Path) -> list[str]:
    """Return the command of HAProxy where clients speak TLS."""
    return haproxy(port, node, directory, f"ssl crt {certificate(directory)[2]}")


def haproxy(port: int, node: str, directory: Path, tls: str = "") -> list[str]:
    """Return the command of HAProxy; ``tls`` is behind its address."""
    program = find("haproxy")
    path = directory / f"haproxy-tcp{port}.cfg"
    path.write_text(_HAPROXY.format(port=port, node=node, tls=tls))
    return [program, "-db", "-f", str(path)]


def uwsgi(port: int, node: str, _directory: Path) -> list[str]:
    """Return the command of uWSGI's raw router."""
    address = f"127.0.0.1:{port}"
    options = ["--rawrouter-to", node, "--rawrouter-buffer-size", "65536"]
    return [find("uwsgi"), "--force-gateway", "--rawrouter", address, *options, "--disable-logging"]


def start(stack: ExitStack, directory: Path, tell: Callable[[str], None]) -> list[Setup]:
    """Bring up every router over the node of each group.

    Args:
        stack: ends everything.
        directory: for configurations.
        tell: hears which router is left out, and why.

    Raises:
        StartError: if a node does not come up.
    """
    setups = []
    for group, (_, node) in _KINDS.items():
        address = lean(stack, "bench.raw_node", f"127.0.0.1:{free_port()}", node)
        setups += bring_up(stack, directory, tell, group, address)
    return [measured(setup) for setup in setups]


def bring_up(
    stack: ExitStack, directory: Path, tell: Callable[[str], None], group: str, node: str
) -> list[Setup]:
    """Start every router of a group whose program is there, and wait until it accepts."""
    options = ("--rawrouter-pipes=0",) if group == COPIED else ()
    encrypted = group in {TLS_TO_CLIENTS, TLS_FROM_CLIENTS}
    routers: list[Router[Command]] = [
        Router(
            variant.name, group, node, ours_tls(variant) if encrypted else ours(variant, *options)
        )
        for variant in default_build()
    ]
    theirs = haproxy_tls if encrypted else haproxy
    routers.append(Router("HAProxy", group, node, theirs, reference=True))
    if not encrypted:
        # Its SSL router passes on the first 16 KiB only.
        routers.append(Router("uWSGI raw router", group, node, uwsgi))
    setups = []
    for router in routers:
        port = free_port()
        try:
            command = router.command(port, router.node, directory)
            program = stack.enter_context(Program(router.name, command, directory))
            program.wait_until(lambda port=port: accepts(f"127.0.0.1:{port}"))  # type: ignore[misc]
        except (MissingError, StartError) as exc:
            tell(router.left_out(exc))
            continue
        setups.append(router.setup(program, port))
    return setups


def measured(setup: Setup) -> Setup:
    """Return a setup that moves bytes instead of asking for answers."""
    port = urlsplit(setup.url).port
    kind, _ = _KINDS[setup.group]
    messages = setup.group == MESSAGES
    amount = 1.0 if messages else MEGABYTE / 1e9
    connections = CONNECTIONS if messages else TRANSFERS

    def run(seconds: int) -> Run:
        arguments = (kind, port, connections, seconds)
        return drive("bench.raw_transfers", arguments, setup.pid, amount)

    return replace(setup, unit=ROUND_TRIP if messages else GIGABYTE, run=run)
