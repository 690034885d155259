"""Memory of connections that are kept: held by a process of its own, each after one request.

``python -m bench.idle PORT`` reads numbers from its standard input: how many connections to have
open. It writes each number back once so many have been answered.
"""

import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.measure import Idle, Setup, tree
from bench.programs import ROOT

_REQUEST = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Held:
    """What a setup's connections take.

    Attributes:
        connections: that were counted.
        memory: bytes of the process tree for all of them.
    """

    setup: Setup
    connections: int
    memory: int

    @property
    def each(self) -> float:
        """Bytes for each."""
        return self.memory / self.connections


def measure(setups: Sequence[Setup], idle: Idle, *, progress: Callable[[str], None]) -> list[Held]:
    """Hold connections to one setup after the other, and see what memory that takes."""
    results = []
    for setup in setups:
        port = urlsplit(setup.url).port
        with subprocess.Popen(
            [sys.executable, "-m", "bench.idle", str(port)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as holder:
            _hold(holder, idle.before, setup)
            before = memory(setup.pid)
            _hold(holder, idle.before + idle.connections, setup)
            held = Held(setup, idle.connections, memory(setup.pid) - before)
            assert holder.stdin
            holder.stdin.close()
        progress(f"{setup.group:10}  {setup.name:32}{held.each:8.0f} bytes/connection")
        results.append(held)
    return results


def memory(root: int) -> int:
    """Return the bytes that a process and its descendants share with nobody."""
    total = 0
    for pid in tree(root):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_"):
                total += int(line.split()[1]) * 1024
    return total


def _hold(holder: "subprocess.Popen[str]", count: int, setup: Setup) -> None:
    assert holder.stdin
    assert holder.stdout
    holder.stdin.write(f"{count}\n")
    holder.stdin.flush()
    if holder.stdout.readline() != f"{count}\n":
        raise RuntimeError(f"{setup.group}, {setup.name}: it does not keep {count} connections")


def main() -> None:
    """Hold connections."""
    address = ("127.0.0.1", int(sys.argv[1]))
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held: list[socket.socket] = []
    for line in sys.stdin:
        while len(held) < int(line):
            sock = socket.create_connection(address, timeout=10)
            sock.sendall(_REQUEST)
            answer = b""
            while not answer.endswith(b"hello world\n"):
                data = sock.recv(4096)
                if not data:
                    sys.exit("a connection was closed")
                answer += data
            held.append(sock)
        # Nobody may have closed any meanwhile.
        for sock in held:
            sock.setblocking(False)
            try:
                sock.recv(1)
                sys.exit("a connection was closed")
            except BlockingIOError:
                pass
        print(line, end="", flush=True)


if __name__ == "__main__":
    main()
