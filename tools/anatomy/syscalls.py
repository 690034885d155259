"""System calls per request, by name, as strace counts them."""

import signal
import subprocess
import tempfile
from dataclasses import dataclass

from bench.programs import MeasureError, find
from tools.anatomy.chains import Running

#: Seconds that strace may take to attach or to write its table.
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Syscall:
    """System call with its counts.

    Attributes:
        name: as strace calls it.
        calls: all of them.
        errors: those that failed: EAGAIN, mostly.
    """

    name: str
    calls: int
    errors: int


def measure(chain: Running, count: int) -> list[Syscall]:
    """Count the router's system calls while it answers so many requests.

    Args:
        chain: with a plain router.
        count: requests.

    Returns:
        Those that were made, the most frequent first.

    Raises:
        MissingError: without strace.
        MeasureError: if strace can't attach, or requests are not answered.
    """
    program = find("strace")
    with tempfile.NamedTemporaryFile("r", prefix="anatomy-") as table:
        command = [program, "-f", "-c", "-o", table.name, "-p", str(chain.router.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr
            try:
                line = strace.stderr.readline()
                if " attached" not in line:
                    raise MeasureError(f"strace can't attach to the router: {line.strip()}")
                chain.clients.ask(count)
                strace.send_signal(signal.SIGINT)  # it lets go of the router, and writes its table
                strace.wait(_PATIENCE)
            except subprocess.TimeoutExpired as exc:
                raise MeasureError(f"strace wrote no table within {_PATIENCE:g} s") from exc
            finally:
                strace.kill()
        return parse(table.read())


def parse(table: str) -> list[Syscall]:
    """Read what ``strace -c`` writes.

    Columns are % time, seconds, usecs/call, calls, errors (empty if there were none) and the name,
    between two rules of dashes.

    Raises:
        MeasureError: if that is not what it is.
    """
    parts = table.split("\n------ ")
    if len(parts) != 3:
        raise MeasureError(f"strace wrote no table that is known: {table.strip()[:200]!r}")
    found = []
    for line in parts[1].splitlines()[1:]:  # behind the rest of the rule
        _share, _seconds, _each, calls, *errors, name = line.split()
        found.append(Syscall(name, int(calls), int(errors[0]) if errors else 0))
    return sorted(found, key=lambda syscall: -syscall.calls)
