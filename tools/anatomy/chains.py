"""Scenarios of the anatomy: clients in lockstep, our router, a lean node."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import heads
from bench.micro.packets import nginx_variables
from bench.programs import ROOT, Program, accepts, free_port
from bench.scenarios import fastrouters, http_routers
from bench.scenarios.nodes import lean
from bench.scenarios.variants import Variant
from tools.anatomy.clients import BODY, Clients, Kept, Passing, connect
from uwsgi_router.protocol.uwsgi import encode_packet

#: Given the router's command, the one to run instead.
Wrap = Callable[[list[str]], list[str]]

#: Requests before anything is counted: connections are made, and what is cached is there.
_WARM_UP = 320
#: Seconds until the router accepts, under valgrind too.
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Chain:
    """Scenario: clients, our router, a node.

    Attributes:
        says: what it is, for people.
        fast: whether the router is the fastrouter: its clients speak uwsgi over a UNIX socket, a connection
            for each request. Else clients speak HTTP and keep their connections.
        http_node: whether the node speaks HTTP and its connections are kept. Else it speaks uwsgi
            over a UNIX socket, a connection for each request.
    """

    says: str
    fast: bool
    http_node: bool


CHAINS: Mapping[str, Chain] = {
    "http": Chain("Kept clients, the HTTP router, a kept HTTP node.", fast=False, http_node=True),
    "http-uwsgi": Chain(
        "Kept clients, the HTTP router, a uwsgi node on a UNIX socket.", fast=False, http_node=False
    ),
    "fastrouter": Chain(
        "uwsgi clients, the fastrouter on a UNIX socket, a uwsgi node on another one.",
        fast=True,
        http_node=False,
    ),
    "fastrouter-http": Chain(
        "uwsgi clients, the fastrouter on a UNIX socket, a kept HTTP node.",
        fast=True,
        http_node=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Running:
    """Chain that is up and warm.

    Attributes:
        router: its process.
        clients: ask it.
    """

    router: Program
    clients: Clients


@contextmanager
def running(
    chain: Chain, variant: Variant, wrap: Wrap = lambda command: command
) -> Iterator[Running]:
    """Start a chain, end it afterwards.

    Args:
        chain: which.
        variant: of the router.
        wrap: makes the command that is run of the router's.

    Raises:
        StartError: if something does not come up.
        MeasureError: if requests are not answered.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="anatomy-")))
        node = _node(stack, chain, directory)
        port, path = free_port(), f"{directory}/router.sock"
        if chain.fast:
            options = ["--no-master"]
            if chain.http_node:
                options.append("--fastrouter-backend-http")
            command = fastrouters.ours(variant, *options)(path, node)
        else:
            options = ["--http-backend-http"] if chain.http_node else []
            command = http_routers.ours(variant, "--no-master", *options)(port, node, directory)
        # Hashes are the same in each run, and so is what dictionaries do.
        command = ["env", "PYTHONHASHSEED=0", *wrap(command)]
        router = stack.enter_context(Program("uwsgi-router", command, ROOT))
        address = path if chain.fast else f"127.0.0.1:{port}"
        router.wait_until(lambda: accepts(address), _PATIENCE)
        clients = _passing(path) if chain.fast else _kept(stack, port)
        clients.ask(_WARM_UP)
        yield Running(router, clients)


def _node(stack: ExitStack, chain: Chain, directory: Path) -> str:
    if chain.http_node:
        return lean(stack, "bench.bulk_node", f"127.0.0.1:{free_port()}", "http", str(BODY))
    return lean(stack, "bench.node", f"{directory}/node.sock")


def _kept(stack: ExitStack, port: int) -> Kept:
    connections = [stack.enter_context(closing(sock)) for sock in connect(port)]
    return Kept(connections, [head.text.encode() for head in heads.heads(heads.FROM_BROWSER)])


def _passing(path: str) -> Passing:
    several = heads.heads(heads.FROM_SERVER)
    return Passing(path, [encode_packet(nginx_variables(head)) for head in several])
