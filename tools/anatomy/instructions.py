"""Instructions per request in user space, as callgrind counts them: the same on a busy machine."""

import subprocess
import tempfile
from pathlib import Path

from bench.programs import MeasureError, find
from bench.scenarios.variants import Variant
from tools.anatomy import native
from tools.anatomy.chains import Chain, running

#: Seconds that a dump may take.
_PATIENCE = 60


def measure(chain: Chain, variant: Variant, count: int) -> native.Instructions:
    """Return how many instructions the router needs for so many requests.

    Args:
        chain: which.
        variant: of the router.
        count: requests.

    Raises:
        MissingError: without valgrind.
        StartError: if the router does not come up under it.
        MeasureError: if requests are not answered, or there is no dump.
    """
    valgrind, control = find("valgrind"), find("callgrind_control")
    with tempfile.TemporaryDirectory(prefix="anatomy-") as directory:
        out = f"{directory}/callgrind"
        callgrind = [
            valgrind,
            "--tool=callgrind",
            f"--callgrind-out-file={out}",
            *native.OPTIONS,
        ]
        with running(chain, variant, lambda command: [*callgrind, *command]) as chained:
            pid = chained.router.pid
            _dump(control, pid)  # and counts from 0 again
            chained.clients.ask(count)
            _dump(control, pid)
        try:
            dump = Path(f"{out}.2").read_text()
        except OSError as exc:
            raise MeasureError(f"callgrind made no second dump: {exc}") from exc
    found = native.parse(dump)
    if found.total != total(dump):
        raise MeasureError(
            "callgrind's dump is not read as it is meant: its lines have another sum"
        )
    return found


def total(dump: str) -> int:
    """Return the instructions of one of callgrind's dumps: its line ``totals:``.

    Raises:
        MeasureError: if there is none.
    """
    for line in reversed(dump.splitlines()):
        if line.startswith("totals:"):
            return int(line.split()[1])
    raise MeasureError("callgrind's dump has no line totals:")


def _dump(control: str, pid: int) -> None:
    command = [control, "--dump", str(pid)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired as exc:
        raise MeasureError(f"callgrind_control did not end within {_PATIENCE} s") from exc
    if done.returncode:
        raise MeasureError(f"callgrind_control: {(done.stdout + done.stderr).strip()}")
