"""Memory of idle connections: held by a process of its own, each after one request.

``python -m bench.idle PORT [https]`` reads numbers from its standard input: how many connections to have
open. It writes each number back once so many have been answered.
"""

import resource
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bench.measure import CONNECTION, Idle, Run, Setup, tree
from bench.programs import MeasureError, module_process
from bench.results import Result

_REQUEST = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
#: Descriptors that a program needs besides its connections, at most.
_OTHERS = 100
#: This router closes idle clients when fewer descriptors are left than each of them would need for a request, twice as
#: many, and a reserve.
_SPARE = 256
#: Descriptors for the most connections that a scenario holds.
ENOUGH = 32_768


def measure(
    setups: Sequence[Setup], idle: Idle, part: int = 1, *, progress: Callable[[str], None]
) -> tuple[list[Result], list[str]]:
    """Hold connections to one setup after the other, and see what memory that takes.

    Once each: a process that has had so many connections keeps some of the memory.

    Args:
        setups: what to measure.
        idle: how many connections.
        part: hold only one in so many.
        progress: told what goes on.

    Returns:
        The results, and what could not be measured.

    Raises:
        MeasureError: if nobody here may have so many descriptors.
    """
    idle = Idle(idle.connections // part, idle.before // part)
    needed = 2 * (idle.before + idle.connections) + _SPARE + _OTHERS
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise MeasureError(
            f"{idle.connections} connections need {needed} descriptors and the hard limit is {hard}: "
            f"raise it (as root, in this shell: ulimit -Hn {needed})"
        )
    results, errors = [], []
    for setup in setups:
        try:
            run = _measure(setup, idle)
        except MeasureError as exc:
            errors.append(f"{setup.group}, {setup.name}: {exc}")
            progress(f"FAILED: {errors[-1]}")
            continue
        results.append(Result(setup.group, setup.name, CONNECTION, setup.reference, [run]))
        progress(f"{setup.group:14}  {setup.name:30}  {results[-1].cost:6.0f} bytes/connection")
    return results, errors


def _measure(setup: Setup, idle: Idle) -> Run:
    url = urlsplit(setup.url)
    with module_process("bench.idle", url.port, url.scheme) as holder:
        _hold(holder, idle.before)
        before = memory(setup.pid)
        _hold(holder, idle.before + idle.connections)
        spent = memory(setup.pid) - before
        assert holder.stdin
        holder.stdin.close()
    return Run(idle.connections, failed=0, seconds=0.0, spent=spent)


def memory(root: int) -> int:
    """Return the bytes that a process and its descendants share with nobody."""
    total = 0
    for pid in tree(root):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_"):
                total += int(line.split()[1]) * 1024
    return total


def _hold(holder: "subprocess.Popen[str]", count: int) -> None:
    assert holder.stdin
    assert holder.stdout
    assert holder.stderr
    holder.stdin.write(f"{count}\n")
    holder.stdin.flush()
    if holder.stdout.readline() != f"{count}\n":
        raise MeasureError(
            f"it does not keep {count} connections: {holder.stderr.read().strip()[-200:]}"
        )


def raise_descriptors() -> None:
    """Let this process, and those that it starts, have as many descriptors as it may, and as idle connections need."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < ENOUGH:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (ENOUGH, ENOUGH))
        except (OSError, ValueError):
            # Only root may; what needs them says so.
            pass
        else:
            return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """Hold connections."""
    address = ("127.0.0.1", int(sys.argv[1]))
    context = None
    if sys.argv[2:] == ["https"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    raise_descriptors()
    held: list[socket.socket] = []
    for line in sys.stdin:
        while len(held) < int(line):
            try:
                held.append(_opened(address, context))
            except OSError as exc:
                sys.exit(f"connection {len(held) + 1}: {exc}")
        # Nobody may have closed any meanwhile.
        for sock in held:
            sock.setblocking(False)
            try:
                sock.recv(1)
                sys.exit(f"of {len(held)} connections one was closed")
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
        print(line, end="", flush=True)


def _opened(address: tuple[str, int], context: ssl.SSLContext | None) -> socket.socket:
    """Return a connection on which a request was answered.

    Raises:
        OSError: if it was not.
    """
    sock = socket.create_connection(address, timeout=10)
    if context is not None:
        sock = context.wrap_socket(sock)
    sock.sendall(_REQUEST)
    answer = b""
    while not answer.endswith(b"hello world\n"):
        data = sock.recv(4096)
        if not data:
            raise ConnectionError(f"it was closed after {answer!r}")
        answer += data
    return sock


if __name__ == "__main__":
    main()
