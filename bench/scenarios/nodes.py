"""Nodes of the scenarios and their commands: lean ones and nginx."""

import sys
from contextlib import ExitStack
from pathlib import Path

from bench.nginx import nginx_command
from bench.programs import ROOT, Program, accepts, answers, free_port

#: What nginx answers as a node: 12 bytes.
HELLO = 'default_type text/plain; return 200 "hello world\\n";'

_NGINX = """server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ {content} }}
  }}"""


def lean(stack: ExitStack, module: str, address: str, *arguments: str) -> str:
    """Start a lean node of ours, and wait until it accepts.

    Args:
        stack: ends it.
        module: of the node: ``bench.node``.
        address: ``host:port`` or a path.
        arguments: for its command line, behind the address.

    Returns:
        The address.

    Raises:
        StartError: if it does not come up.
    """
    command = [sys.executable, "-m", module, address, *arguments]
    node = stack.enter_context(Program(f"{module} {address}", command, ROOT))
    node.wait_until(lambda: accepts(address))
    return address


def nginx_node(stack: ExitStack, directory: Path, content: str = HELLO) -> str:
    """Start nginx as an HTTP node, and wait until it answers.

    Args:
        stack: ends it.
        directory: for its configuration.
        content: of ``location /``.

    Returns:
        Its address.

    Raises:
        MissingError: without nginx.
        StartError: if it does not come up.
    """
    port = free_port()
    command = nginx_command(directory, _NGINX.format(port=port, content=content), f"node{port}")
    node = stack.enter_context(Program("nginx as a node", command, directory))
    node.wait_until(lambda: answers(port))
    return f"127.0.0.1:{port}"
