"""Fastrouters of the scenarios and their commands, and nginx in front of them."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.measure import Setup
from bench.nginx import nginx, uwsgi_pass
from bench.programs import MissingError, Program, StartError, accepts, answers, find, free_port
from bench.scenarios.router import Router
from bench.scenarios.variants import Variant

#: Given the socket to listen on and a node's address: the command.
Command = Callable[[str, str], list[str]]


def bring_up(
    stack: ExitStack,
    directory: Path,
    tell: Callable[[str], None],
    routers: Sequence[Router[Command]],
) -> list[Setup]:
    """Start every router whose program is there, and one nginx in front of them all.

    Args:
        stack: ends everything.
        directory: for sockets and configuration.
        tell: hears which router is left out, and why.
        routers: what to start; the nodes are up.

    Raises:
        MissingError: without nginx.
        StartError: if nginx does not come up.
    """
    chains: list[tuple[Router[Command], Program, Path, int]] = []
    for router in routers:
        path = directory / f"router{len(chains)}.sock"
        try:
            command = router.command(str(path), router.node)
            program = stack.enter_context(Program(router.name, command, directory))
            program.wait_until(lambda path=path: accepts(str(path)))  # type: ignore[misc]
        except (MissingError, StartError) as exc:
            tell(router.left_out(exc))
            continue
        chains.append((router, program, path, free_port()))
    blocks = [uwsgi_pass(port, path) for _router, _program, path, port in chains]
    front = nginx(stack, directory, "\n  ".join(blocks))
    setups = []
    for router, program, _path, port in chains:
        front.wait_until(lambda port=port: accepts(f"127.0.0.1:{port}"))  # type: ignore[misc]
        try:
            program.wait_until(lambda port=port: answers(port))  # type: ignore[misc]
        except StartError as exc:
            tell(router.left_out(exc))
            continue
        setups.append(router.setup(program, port))
    return setups


def ours(variant: Variant, *options: str) -> Command:
    """Return how this router is started."""
    return lambda listen, node: variant.command(
        f"--fastrouter={listen}", f"--fastrouter-to={node}", *options
    )


def uwsgi(listen: str, node: str) -> list[str]:
    """Return the command of uWSGI's fastrouter."""
    return [
        find("uwsgi"),
        "--force-gateway",
        *("--fastrouter", listen),
        *("--fastrouter-to", node),
        *("--listen", "1024"),
        "--disable-logging",
    ]
