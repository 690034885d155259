"""Innocent client: a new connection and one request every 10 to 20 ms, and how long each took.

``python -m bench.attacks.innocent PORT SECONDS`` prints the milliseconds of each as a line of JSON.
"""

import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from bench.programs import MeasureError, module_process

_REQUEST = b"GET / HTTP/1.1\r\nHost: innocent\r\nConnection: close\r\n\r\n"
#: Seconds after which it gives up; that counts as so long.
_PATIENCE = 5.0
#: Seconds between an answer and the next request.
_PAUSES = (0.010, 0.020)


@dataclass(frozen=True, slots=True)
class Waits:
    """Times that an innocent client waited for its answers.

    Attributes:
        count: requests.
        median: milliseconds.
        p99: likewise.
        failed: requests that were not answered, or not within five seconds.
    """

    count: int
    median: float
    p99: float
    failed: int

    @classmethod
    def of(cls, times: Sequence[float], failed: int) -> Self:
        """Return what is told of these milliseconds.

        Raises:
            MeasureError: if there are none.
        """
        if not times:
            raise MeasureError("the innocent client made no request")
        ordered = sorted(times)
        last = len(ordered) - 1
        return cls(len(ordered), ordered[last // 2], ordered[round(last * 0.99)], failed)


class Innocent:
    """Innocent client in a process of its own; use it in a ``with`` block.

    Args:
        port: that it asks.
        seconds: for which.
    """

    def __init__(self, port: int, seconds: float) -> None:
        self._process = module_process("bench.attacks.innocent", port, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def waits(self) -> Waits:
        """Return how long it waited, once its time is over.

        Raises:
            MeasureError: if it did not get to that.
        """
        try:
            output, error = self._process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            raise MeasureError("the innocent client does not come to an end") from None
        if self._process.returncode:
            raise MeasureError(f"the innocent client: {error.strip().rpartition(chr(10))[2]}")
        told = json.loads(output)
        return Waits.of(told["times"], told["failed"])


def main() -> None:
    """Ask."""
    address, seconds = ("127.0.0.1", int(sys.argv[1])), float(sys.argv[2])
    end = time.monotonic() + seconds
    times: list[float] = []
    failed = 0
    while (began := time.monotonic()) < end:
        try:
            _ask(address)
        except OSError:
            failed += 1
        times.append((time.monotonic() - began) * 1e3)
        time.sleep(random.uniform(*_PAUSES))
    print(json.dumps({"times": times, "failed": failed}), flush=True)


def _ask(address: tuple[str, int]) -> None:
    """Make one request.

    Raises:
        OSError: if it is not answered well.
    """
    with socket.create_connection(address, timeout=_PATIENCE) as sock:
        sock.sendall(_REQUEST)
        answer = b""
        while data := sock.recv(1 << 16):
            answer = answer or data[:12]
    if answer[9:12] != b"200":
        raise ConnectionError(f"it answered {answer!r}")


if __name__ == "__main__":
    main()
