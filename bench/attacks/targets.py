"""Routers under attack: this one, nginx and HAProxy, each with a node for innocents and one for attackers.

Both have a node of their own: what is measured is how a router shares itself, not how a node does. A request's Host
says whose it is.
"""

import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.announcing import Announcer
from bench.nginx import nginx_command
from bench.programs import MeasureError, Program, accepts, answers, find, free_port
from bench.scenarios.variants import COMPILED, PLAIN, Variant
from uwsgi_router.protocol.subscription import Subscription, encode

INNOCENT = "innocent"

Protocol = Literal["http", "uwsgi"]

_NGINX = """
  client_max_body_size 0;
  map $http_upgrade $how {{ default upgrade; "" ""; }}
  server {{ listen 127.0.0.1:{port} backlog=1024 default_server; server_name innocent;
    location / {{ proxy_pass http://{innocent}; }} }}
  server {{ listen 127.0.0.1:{port}; server_name attacked;
    location / {{ {attacked} }} }}"""
_NGINX_HTTP = (
    "proxy_pass http://{node}; proxy_http_version 1.1; proxy_set_header Host $host; "
    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $how;"
)
_NGINX_UWSGI = "include /etc/nginx/uwsgi_params; uwsgi_pass {node};"
_HAPROXY = """
global
  nbthread 1
  maxconn 4000
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:{port} backlog 1024
  use_backend attacked if {{ hdr(host) attacked }}
  default_backend innocent
backend innocent
  server node {innocent}
backend attacked
  server node {attacked}
"""


@dataclass(frozen=True, slots=True)
class Nodes:
    """Nodes behind a router.

    Attributes:
        innocent: address of the one that answers innocents, over HTTP.
        attacked: address of the one that attackers ask.
        protocol: that it speaks: ``http``, ``uwsgi``.
    """

    innocent: str
    attacked: str
    protocol: Protocol


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of a router that is up.

    Attributes:
        pid: of its process.
        http: where it takes requests.
        stats: where its statistics are; 0: nowhere.
        announces: where it takes announces; 0: nowhere.
    """

    pid: int
    http: int
    stats: int = 0
    announces: int = 0


#: Starts a router over nodes, with options for ours and a table of so many nodes besides.
Target = Callable[[ExitStack, Path, Nodes, Sequence[str], int], Ports]


def ours(variant: Variant) -> Target:
    """Return how this router is started."""

    def start(
        stack: ExitStack, directory: Path, nodes: Nodes, options: Sequence[str], table: int
    ) -> Ports:
        http, stats, announces = free_port(), free_port(), free_port()
        command = variant.command(
            f"--http=127.0.0.1:{http}",
            f"--http-subscription-server=127.0.0.1:{announces}",
            f"--http-subscription-server={directory}/announce.sock",
            f"--http-stats-server=127.0.0.1:{stats}",
            f"--http-stats-server={directory}/stats.sock",
            *options,
        )
        program = stack.enter_context(Program(variant.name, command, directory))
        program.wait_until(lambda: accepts(f"127.0.0.1:{http}"))
        program.wait_until(lambda: accepts(f"{directory}/stats.sock"))
        program.wait_until((directory / "announce.sock").exists)
        announce(directory, Subscription("subscribe", b"innocent", nodes.innocent, proto="http"))
        said = Subscription("subscribe", b"attacked", nodes.attacked, proto=nodes.protocol)
        announce(directory, said)
        if table:
            keys = [f"key-{number}.example.com" for number in range(table)]
            Announcer(keys, ["127.0.0.1:9"], announces, directory).fill()
        program.wait_until(lambda: answers(http, INNOCENT))
        return Ports(program.pid, http, stats, announces)

    return start


def announce(directory: Path, said: Subscription) -> None:
    """Announce a node over the router's UNIX socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(str(directory / "announce.sock"))
        sock.send(encode(said))


def nginx(
    stack: ExitStack, directory: Path, nodes: Nodes, _options: Sequence[str], _table: int
) -> Ports:
    """Start nginx."""
    port = free_port()
    passing = _NGINX_HTTP if nodes.protocol == "http" else _NGINX_UWSGI
    content = _NGINX.format(
        port=port, innocent=nodes.innocent, attacked=passing.format(node=nodes.attacked)
    )
    return _started(stack, "nginx", nginx_command(directory, content, "front"), directory, port)


def haproxy(
    stack: ExitStack, directory: Path, nodes: Nodes, _options: Sequence[str], _table: int
) -> Ports:
    """Start HAProxy.

    Raises:
        MeasureError: it does not speak the node's protocol.
    """
    if nodes.protocol != "http":
        raise MeasureError(f"HAProxy does not speak {nodes.protocol}")
    port = free_port()
    config = directory / "haproxy.cfg"
    config.write_text(_HAPROXY.format(port=port, innocent=nodes.innocent, attacked=nodes.attacked))
    command = [find("haproxy"), "-db", "-f", str(config)]
    return _started(stack, "HAProxy", command, directory, port)


def _started(
    stack: ExitStack, name: str, command: Sequence[str], directory: Path, port: int
) -> Ports:
    program = stack.enter_context(Program(name, command, directory))
    program.wait_until(lambda: answers(port, INNOCENT))
    return Ports(program.pid, port)


OURS: dict[str, Target] = {
    "plain": ours(PLAIN),
    "compiled": ours(COMPILED),
}
TARGETS: dict[str, Target] = {**OURS, "nginx": nginx, "haproxy": haproxy}
