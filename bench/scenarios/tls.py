"""TLS in front of the HTTP router: what it adds to a connection, to a request, and to a GB.

Each program listens without TLS and with it, in one process, over the same node; all use the same OpenSSL and the same
certificate (EC P-256). A new connection asks once (:mod:`bench.handshakes`): what TLS adds is the cost in the groups
``new, …`` less that in ``new, plain``. Kept connections, and answers of 1 MB, are wrk's.

What is measured has a core of its own, and node and clients have the others: a handshake takes a client as long as the
router, and clients are on other machines mostly.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import handshakes, heads
from bench.cores import keep_off, measure_on
from bench.measure import GIGABYTE, Load, Setup, Unit
from bench.programs import MissingError, Program, StartError, answers, find, free_port
from bench.scenarios.http_routers import Command, haproxy, nginx, ours
from bench.scenarios.nodes import lean, nginx_node
from bench.scenarios.tls_files import certificate
from bench.scenarios.variants import default_build

LOAD = Load(script=heads.load(heads.FROM_BROWSER).script, paced=False)
NEW = Unit("connection", "connections", "µs", 1e3)
#: New connections that are open at once.
AT_ONCE = 4
ANSWER = 1_000_000
LARGE = Load(connections=8, amount=ANSWER / 1e9, paced=False)

#: Given the port with TLS, the port without it, a node's address and a directory: the command.
Secured = Callable[[int, int, str, Path], list[str]]


def programs(directory: Path) -> dict[str, Secured]:
    """Return how each program is started that is measured; a certificate is made for all of them.

    Raises:
        MissingError: without openssl.
    """
    crt, key, both = certificate(directory)

    def ours_with(variant_command: Callable[..., Command]) -> Secured:
        return lambda secure, port, node, place: variant_command(
            "--http-backend-http", f"--https=127.0.0.1:{secure},{crt},{key}"
        )(port, node, place)

    def of_nginx(secure: int, port: int, node: str, place: Path) -> list[str]:
        listen = (
            f"listen 127.0.0.1:{secure} ssl backlog=1024; ssl_certificate {crt}; ssl_certificate_key {key};"
            " ssl_protocols TLSv1.2 TLSv1.3;"
        )
        return nginx(listen=listen)(port, node, place)

    def of_haproxy(secure: int, port: int, node: str, place: Path) -> list[str]:
        bind = f"bind 127.0.0.1:{secure} ssl crt {both} alpn http/1.1 backlog 1024"
        return haproxy(port, node, place, bind)

    return {
        **{variant.name: ours_with(partial(ours, variant)) for variant in default_build()},
        "nginx": of_nginx,
        "HAProxy": of_haproxy,
    }


def bring_up(
    stack: ExitStack, directory: Path, tell: Callable[[str], None], node: str
) -> Iterator[tuple[str, int, int, int]]:
    """Start every program that is there over a node; yield its name, process id, and ports without TLS and with it.

    Args:
        stack: ends everything.
        directory: for configurations.
        tell: hears which program is left out, and why.
        node: its address.

    Raises:
        MissingError: without openssl.
    """
    for name, command in programs(directory).items():
        port, secure = free_port(), free_port()
        try:
            program = stack.enter_context(
                Program(name, command(secure, port, node, directory), directory)
            )
            program.wait_until(lambda port=port: answers(port))  # type: ignore[misc]
        except (MissingError, StartError) as exc:
            tell(f"left out: {name}: {exc}")
            continue
        yield name, program.pid, port, secure


def start(stack: ExitStack, directory: Path, tell: Callable[[str], None]) -> list[Setup]:
    """Bring up every program over a node with small answers, and over one with large ones.

    Args:
        stack: ends everything.
        directory: for configurations.
        tell: hears which program is left out, and why.

    Raises:
        MissingError: without wrk, nginx or openssl.
        StartError: if a node does not come up.
    """
    find("wrk")
    measured = keep_off(stack)
    small = nginx_node(stack, directory)
    large = lean(stack, "bench.bulk_node", f"127.0.0.1:{free_port()}", "http", str(ANSWER))
    setups: list[Setup] = []
    for name, pid, port, secure in bring_up(stack, directory, tell, small):
        measure_on(measured, pid)
        reference = name == "nginx"
        for kind in handshakes.KINDS:
            at = port if kind == handshakes.PLAIN else secure
            run = partial(handshakes.run, kind, at, pid, AT_ONCE)
            url = f"http://127.0.0.1:{at}/"
            setups.append(Setup(name, f"new, {kind}", url, pid, NEW, None, reference, run))
        for group, url in (("kept, plain", _url(port)), ("kept, TLS", _url(secure, "https"))):
            setups.append(Setup(name, group, url, pid, reference=reference))
    for name, pid, port, secure in bring_up(stack, directory, tell, large):
        measure_on(measured, pid)
        reference = name == "nginx"
        for group, url in (("1 MB, plain", _url(port)), ("1 MB, TLS", _url(secure, "https"))):
            setups.append(Setup(name, group, url, pid, GIGABYTE, LARGE, reference))
    return sorted(setups, key=lambda setup: setup.group)


def _url(port: int, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{port}/articles?page=3"
