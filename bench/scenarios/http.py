"""The HTTP router: wrk over kept connections, the router under test, nodes over HTTP or uwsgi.

Over HTTP the node is nginx and connections to it are kept; HAProxy and nginx stand beside us. Over
uwsgi it is our lean node on a UNIX socket, a connection for each request; uWSGI's own HTTP router
stands beside us. All of them add X-Forwarded-For but uWSGI's, which cannot. Each has one process or
thread that works. Request heads as a browser sends them: ten fields.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.measure import Load, Setup
from bench.nginx import nginx_command
from bench.programs import (
    ROOT,
    MissingError,
    Program,
    StartError,
    accepts,
    answers,
    find,
    free_port,
    our_router,
)
from bench.scenarios.fastrouter import LOAD as FASTROUTER_LOAD

#: The same heads, but for what only a web server in front would add.
LOAD = Load(
    connections=16,
    headers=(
        *(field for field in FASTROUTER_LOAD.headers if not field.startswith("X-Forwarded-")),
        "Upgrade-Insecure-Requests: 1",
    ),
)
OVER_HTTP, OVER_UWSGI = "HTTP node", "UNIX node"

_NODE = """server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ default_type text/plain; return 200 "hello world\\n"; }}
  }}"""
_FRONT = """upstream node {{ server {node}; keepalive 32; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://node; proxy_http_version 1.1;
      proxy_set_header Host $host; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}"""
_HAPROXY = """
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  option forwardfor
  http-reuse always
frontend front
  bind 127.0.0.1:{port} backlog 1024
  default_backend nodes
backend nodes
  server node {node}
"""

#: Given the port to listen on, a node's address and a directory: the command.
Command = Callable[[int, str, Path], list[str]]


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
    return routers(stack, directory, tell)


def routers(stack: ExitStack, directory: Path, tell: Callable[[str], None]) -> list[Setup]:
    """Bring up the nodes, and every router over them; see :func:`start`."""
    nodes = {OVER_HTTP: _http_node(stack, directory), OVER_UWSGI: f"{directory}/node.sock"}
    lean = stack.enter_context(
        Program(OVER_UWSGI, [sys.executable, "-m", "bench.node", nodes[OVER_UWSGI]], ROOT)
    )
    lean.wait_until(lambda: accepts(nodes[OVER_UWSGI]))
    setups = []
    for name, group, command in _routers(tell):
        port = free_port()
        program = Program(name, command(port, nodes[group], directory), directory)
        stack.enter_context(program)
        try:
            program.wait_until(lambda port=port: answers(port))  # type: ignore[misc]
        except StartError as exc:
            tell(f"left out: {group}, {exc}")
            continue
        setups.append(Setup(name, group, f"http://127.0.0.1:{port}/articles?page=3", program.pid))
    return setups


def _http_node(stack: ExitStack, directory: Path) -> str:
    port = free_port()
    command = nginx_command(directory, _NODE.format(port=port), "node")
    node = stack.enter_context(Program(OVER_HTTP, command, directory))
    node.wait_until(lambda: answers(port))
    return f"127.0.0.1:{port}"


def _routers(tell: Callable[[str], None]) -> list[tuple[str, str, Command]]:
    """Return (name, group, how to start it) of each router that is installed."""
    found: list[tuple[str, str, Command]] = [
        (f"uwsgi-router ({loop})", group, _ours(loop, http=group == OVER_HTTP))
        for group in (OVER_HTTP, OVER_UWSGI)
        for loop in ("uvloop", "asyncio")
    ]
    for name, group, program, command in (
        ("HAProxy", OVER_HTTP, "haproxy", _haproxy),
        ("nginx", OVER_HTTP, "nginx", _nginx_front),
        ("uWSGI http router", OVER_UWSGI, "uwsgi", _uwsgi),
    ):
        try:
            find(program)
        except MissingError as exc:
            tell(f"left out: {name}: missing {exc}")
        else:
            found.append((name, group, command))
    return found


def _ours(loop: str, *, http: bool) -> Command:
    return lambda port, node, _directory: [
        *our_router(),
        f"--http=127.0.0.1:{port}",
        f"--http-to={node}",
        "--http-keepalive=600",
        *(["--http-backend-http"] if http else []),
        "--listen=1024",
        f"--event-loop={loop}",
    ]


def _haproxy(port: int, node: str, directory: Path) -> list[str]:
    path = directory / "haproxy.cfg"
    path.write_text(_HAPROXY.format(port=port, node=node))
    return [find("haproxy"), "-db", "-f", str(path)]


def _nginx_front(port: int, node: str, directory: Path) -> list[str]:
    return nginx_command(directory, _FRONT.format(port=port, node=node), "front")


def _uwsgi(port: int, node: str, _directory: Path) -> list[str]:
    return [
        find("uwsgi"),
        "--force-gateway",
        *("--http", f"127.0.0.1:{port}"),
        *("--http-to", node),
        "--http-keepalive=600",
        *("--listen", "1024"),
        "--disable-logging",
    ]
