"""HTTP routers of the scenarios and their commands: this one and those that a user would pick instead.

Each has one process or thread that works, and keeps the connections of clients and of HTTP nodes.
All of them add X-Forwarded-For but uWSGI's, which cannot.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from bench.measure import Setup
from bench.nginx import nginx_command
from bench.programs import MissingError, Program, StartError, answers, find, free_port
from bench.scenarios.router import Router
from bench.scenarios.variants import Variant

_NGINX = """upstream node {{ server {node}; keepalive 32; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    {listen}
    location / {{
      proxy_pass http://node; proxy_http_version 1.1;
      proxy_set_header Host $host; {connection}
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      {more}
    }}
  }}"""
_CONNECTION = 'proxy_set_header Connection "";'

# An idle client takes one descriptor; HAProxy wants to be sure of two for each, and more than there
# are by default.
_HAPROXY = """
global
  nbthread 1
  maxconn 11500
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout tunnel 600s
  timeout http-keep-alive 600s
  option forwardfor
  http-reuse always
frontend front
  bind 127.0.0.1:{port} backlog 1024
  {bind}
  default_backend nodes
backend nodes
  server node {node}
"""

#: Given the port to listen on, a node's address and a directory: the command.
Command = Callable[[int, str, Path], list[str]]


def bring_up(
    stack: ExitStack,
    directory: Path,
    tell: Callable[[str], None],
    routers: Iterable[Router[Command]],
) -> list[Setup]:
    """Start every router whose program is there, and wait until it answers.

    Args:
        stack: ends everything.
        directory: for configurations.
        tell: hears which router is left out, and why.
        routers: what to start; the nodes are up.
    """
    setups = []
    for router in routers:
        port = free_port()
        try:
            command = router.command(port, router.node, directory)
            program = stack.enter_context(Program(router.name, command, directory))
            program.wait_until(lambda port=port: answers(port))  # type: ignore[misc]
        except (MissingError, StartError) as exc:
            tell(router.left_out(exc))
            continue
        setups.append(router.setup(program, port))
    return setups


def ours(variant: Variant, *options: str) -> Command:
    """Return how this router is started."""
    return lambda port, node, _directory: variant.command(
        f"--http=127.0.0.1:{port}",
        f"--http-to={node}",
        "--http-keepalive=600",
        "--http-max-connections=0",
        *options,
    )


def nginx(more: str = "", connection: str = _CONNECTION, listen: str = "") -> Command:
    """Return how nginx is started as a proxy.

    Args:
        more: directives besides the usual.
        connection: the directive that says what becomes of Connection.
        listen: directives of the server, for more listeners.
    """
    return lambda port, node, directory: nginx_command(
        directory,
        _NGINX.format(node=node, port=port, connection=connection, listen=listen, more=more),
        f"front{port}",
    )


def haproxy(port: int, node: str, directory: Path, bind: str = "") -> list[str]:
    """Return the command of HAProxy; ``bind`` is a line for one more listener."""
    program = find("haproxy")
    path = directory / f"haproxy{port}.cfg"
    path.write_text(_HAPROXY.format(port=port, node=node, bind=bind))
    return [program, "-db", "-f", str(path)]


def uwsgi(*options: str) -> Command:
    """Return how uWSGI's HTTP router is started."""
    return lambda port, node, _directory: [
        find("uwsgi"),
        "--force-gateway",
        *("--http", f"127.0.0.1:{port}"),
        *("--http-to", node),
        "--http-keepalive=600",
        *options,
        *("--listen", "1024"),
        "--disable-logging",
    ]
