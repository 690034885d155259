"""Load generators: processes that load a router in ways that wrk and h2load can't.

A generator is told on its command line what to do. It connects, writes ``ready``, waits for a line,
then loads the router for so many seconds and writes what was done as a line of JSON. CPU time is
read around that, so what connecting costs is not in it. It ends when its parent does, or when its
standard input is closed.
"""

import json
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.measure import Run, cpu_time
from bench.programs import MeasureError, module_process
from bench.talks import Talk, Talks

#: Seconds that the last answers may take after the time is over.
GRACE = 20.0


@dataclass(slots=True)
class Done:
    """Result of a generator.

    Attributes:
        count: requests or round trips that were answered as they should.
        failed: those that were not.
        seconds: from the start to the last answer.
        error: why the first that failed did.
    """

    count: int = 0
    failed: int = 0
    seconds: float = 0.0
    error: str = ""

    def fail(self, error: str) -> None:
        """Count one that failed."""
        self.failed += 1
        self.error = self.error or error


class Stretch:
    """Period in which a generator runs, the same for all of its conversations.

    Attributes:
        done: what they did.
    """

    def __init__(self) -> None:
        self.done = Done()
        self._end = 0.0

    def going(self) -> bool:
        """Return True while new requests are to be made."""
        return time.monotonic() < self._end

    def run(self, talks: Sequence[tuple[socket.socket, Talk]], seconds: float) -> None:
        """Say that we are ready, wait for the word, have all conversations, and tell what was done."""
        print("ready", flush=True)
        if not sys.stdin.readline():
            sys.exit("nobody waits for the result any more")
        together = Talks(lifeline=sys.stdin.fileno())
        began = time.monotonic()
        self._end = began + seconds
        for sock, talk in talks:
            together.start(sock, talk)
        try:
            together.run(seconds + GRACE)
        except TimeoutError as exc:
            sys.exit(str(exc))
        self.done.seconds = time.monotonic() - began
        print(json.dumps(asdict(self.done)), flush=True)


def drive(module: str, arguments: Sequence[object], pid: int, amount: float = 1.0) -> Run:
    """Run a generator against a router, and see what that costs the router.

    Args:
        module: of the generator: ``bench.round_trips``.
        arguments: for its command line.
        pid: root of the measured process tree.
        amount: how many units are one of what it counts.

    Raises:
        MeasureError: if it gives up, or nothing is answered.
    """
    with module_process(module, *arguments) as generator:
        assert generator.stdin
        assert generator.stdout
        assert generator.stderr
        ready = generator.stdout.readline()
        before = cpu_time(pid)
        if ready:
            generator.stdin.write("go\n")
            generator.stdin.flush()
        line = generator.stdout.readline()
        spent = cpu_time(pid) - before
        if not line:
            error = generator.stderr.read().strip().rpartition("\n")[2]
            raise MeasureError(f"{module} gave up: {error}")
    done = Done(**json.loads(line))
    if not done.count:
        raise MeasureError(f"{module}: nothing was answered: {done.error}")
    return Run(done.count * amount, done.failed, done.seconds, spent)
