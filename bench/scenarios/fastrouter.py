"""The fastrouter: wrk, nginx (``uwsgi_pass``), the router under test over UNIX, a node of ours.

Request heads as a browser sends them: ten fields, so about twenty-five variables with those of
``uwsgi_params``. The node is reached over TCP and over UNIX, because that alone halves the costs.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.measure import Load, Setup
from bench.nginx import nginx, uwsgi_pass
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

LOAD = Load(
    connections=16,
    headers=(
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Accept-Language: en-GB,en;q=0.7,de;q=0.3",
        "Accept-Encoding: gzip, deflate, br",
        "Referer: http://app.example.com/articles/2026/11/overview?page=3",
        "Cookie: session=8e0f4c9b2d7a4f61a3c5; csrftoken=Zk3PqWv9sT1uXy7B; theme=dark",
        "Cache-Control: no-cache",
        "X-Forwarded-Proto: https",
        "X-Request-Id: 6f0c1f1e-7a43-4d55-9d0c-2f8f5a1f9f10",
    ),
)


def start(stack: ExitStack, directory: Path, tell: Callable[[str], None]) -> list[Setup]:
    """Bring up a chain for every router that is there, times TCP and UNIX node.

    Args:
        stack: ends everything.
        directory: for sockets and configuration.
        tell: hears which router is left out, and why.

    Raises:
        MissingError: without wrk or nginx.
        StartError: if nginx or the node does not come up.
    """
    find("nginx")
    find("wrk")
    nodes = {"TCP node": f"127.0.0.1:{free_port()}", "UNIX node": f"{directory}/node.sock"}
    for group, address in nodes.items():
        command = [sys.executable, "-m", "bench.node", address]
        node = stack.enter_context(Program(group, command, ROOT))
        node.wait_until(lambda address=address: accepts(address))  # type: ignore[misc]
    routers: list[tuple[str, str, Program, Path, int]] = []
    for name, command_for in _routers(tell):
        for group, address in nodes.items():
            path = directory / f"router{len(routers)}.sock"
            program = Program(name, command_for(str(path), address), directory)
            stack.enter_context(program)
            try:
                program.wait_until(lambda path=path: accepts(str(path)))  # type: ignore[misc]
            except StartError as exc:
                tell(f"left out: {group}, {exc}")
                continue
            routers.append((name, group, program, path, free_port()))
    front = nginx(
        stack,
        directory,
        "\n  ".join(uwsgi_pass(port, path) for _name, _group, _program, path, port in routers),
    )
    setups = []
    for name, group, program, _path, port in routers:
        try:
            front.wait_until(lambda port=port: accepts(f"127.0.0.1:{port}"))  # type: ignore[misc]
            program.wait_until(lambda port=port: answers(port))  # type: ignore[misc]
        except StartError as exc:
            tell(f"left out: {group}, {exc}")
            continue
        setups.append(Setup(name, group, f"http://127.0.0.1:{port}/articles?page=3", program.pid))
    return setups


def _routers(
    tell: Callable[[str], None],
) -> list[tuple[str, Callable[[str, str], list[str]]]]:
    """Return (name, how to start it on a socket with a node) of each router that is installed."""

    def ours(loop: str) -> Callable[[str, str], list[str]]:
        return lambda listen, node: [
            *our_router(),
            f"--fastrouter={listen}",
            f"--fastrouter-to={node}",
            "--listen=1024",
            f"--event-loop={loop}",
        ]

    routers = [
        ("uwsgi-router (uvloop)", ours("uvloop")),
        ("uwsgi-router (asyncio)", ours("asyncio")),
    ]
    try:
        uwsgi = find("uwsgi")
    except MissingError as exc:
        tell(f"left out: uWSGI's fastrouter: missing {exc}")
    else:
        routers.append(
            (
                "uWSGI fastrouter",
                lambda listen, node: [
                    uwsgi,
                    "--force-gateway",
                    *("--fastrouter", listen),
                    *("--fastrouter-to", node),
                    *("--listen", "1024"),
                    "--disable-logging",
                ],
            )
        )
    return routers
