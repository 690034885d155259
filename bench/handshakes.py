"""New connections: each is opened, asks once, and is closed; over TLS or without.

They are made by programs in C, several at once: by ``openssl s_time`` over TLS, by wrk without it. A client in Python
takes more time for a connection than any router, which then waits for it, and finds the caches cold each time.
"""

import re
import subprocess
import time
from collections.abc import Sequence

from bench.heads import HOST
from bench.measure import Run, cpu_time
from bench.programs import MeasureError, find

PLAIN = "plain"
KINDS = (PLAIN, "1.3-full", "1.3-resumed", "1.2-full", "1.2-resumed")

_COUNT = re.compile(r"(\d+) connections in \d+ real seconds")
# s_time writes a byte for each connection, which tells whether a session was resumed.
_MARKS = re.compile(r"^[r*]+$", re.MULTILINE)


def run(kind: str, port: int, pid: int, at_once: int, seconds: int) -> Run:
    """Make new connections for about so many seconds.

    Args:
        kind: one of :data:`KINDS`.
        port: of the router, with TLS or without, as the kind is.
        pid: root of the measured process tree.
        at_once: connections that are open at once.
        seconds: how long.

    Raises:
        MissingError: without wrk or openssl.
        MeasureError: if connections fail, or are not resumed where they should be.
    """
    commands = [_wrk(port, at_once, seconds)]
    if kind != PLAIN:
        commands = [_s_time(kind, port, seconds)] * at_once
    before, began = cpu_time(pid), time.monotonic()
    outputs = _together(commands)
    spent, took = cpu_time(pid) - before, time.monotonic() - began
    counts = [_wrks_count(output) if kind == PLAIN else _count(kind, output) for output in outputs]
    return Run(sum(counts), 0, took, spent)


def _together(commands: Sequence[Sequence[str]]) -> list[str]:
    """Run commands side by side; return what each wrote.

    Raises:
        MeasureError: if one fails.
    """
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command in commands
    ]
    outputs = [process.communicate()[0] for process in running]
    for process, output in zip(running, outputs, strict=True):
        if process.returncode:
            raise MeasureError(f"{process.args!r}: {output.strip()[-300:]}")
    return outputs


def _wrk(port: int, at_once: int, seconds: int) -> list[str]:
    command = [find("wrk"), "-t1", f"-c{at_once}", f"-d{seconds}s", "-H", f"Host: {HOST}"]
    return [*command, "-H", "Connection: close", f"http://127.0.0.1:{port}/"]


def _wrks_count(output: str) -> int:
    found = re.search(r"(\d+) requests in", output)
    if found is None or "Non-2xx" in output or "Socket errors" in output:
        raise MeasureError(f"wrk: {output.strip()}")
    return int(found[1])


def _s_time(kind: str, port: int, seconds: int) -> list[str]:
    version, _, handshake = kind.partition("-")
    # s_time asks with HTTP/1.0 and without a Host; what it writes behind the target becomes the value of a field.
    request = f"/ HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nX-Version: "
    command = [find("openssl"), "s_time", "-connect", f"127.0.0.1:{port}", "-www", request]
    command += ["-new" if handshake == "full" else "-reuse", f"-tls{version.replace('.', '_')}"]
    return [*command, "-time", str(seconds)]


def _count(kind: str, output: str) -> int:
    found, marks = _COUNT.search(output), _MARKS.search(output)
    mark = "*" if kind.endswith("-full") else "r"
    if found is None or marks is None or set(marks[0]) != {mark}:
        raise MeasureError(f"s_time, {kind}: {output.strip()[-300:]}")
    return int(found[1])
