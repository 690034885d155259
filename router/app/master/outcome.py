"""Outcome of reloads: for whoever waits for one, at the control socket, or with the process id of the master."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from uwsgi_router.router.supervision.memory_file import read_memory_file

#: Name of the memory file, by which it is found among the descriptors of a master.
NAME: Final = "uwsgi-router-reloads"


@dataclass(frozen=True, slots=True)
class Reloads:
    """Reloads of a master.

    Attributes:
        asked: how many were asked for.
        done: how many of these are over; the old processes have ended, too.
        error: why the last one changed nothing; "": it went well.
    """

    asked: int = 0
    done: int = 0
    error: str = ""


def publish(descriptor: int, reloads: Reloads) -> None:
    """Write what others may read, whole at any time."""
    data = json.dumps(asdict(reloads)).encode()
    # Fewer bytes than before would leave the rest of those.
    os.pwrite(descriptor, data.ljust(os.fstat(descriptor).st_size), 0)


def reloads_of(pid: int) -> Reloads | None:
    """Read what a master has published; None: it is none, or not ours to look at.

    Raises:
        ProcessLookupError: there is no such process.
        PermissionError: it is another user's.
    """
    directory = f"/proc/{pid}/fd"
    try:
        names = os.listdir(directory)
    except FileNotFoundError as exc:
        raise ProcessLookupError(pid) from exc
    for name in names:
        path = f"{directory}/{name}"
        try:
            if not os.readlink(path).startswith(f"/memfd:{NAME}"):
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            return _read(json.loads(read_memory_file(descriptor)))
        finally:
            os.close(descriptor)
    return None


def _read(members: Mapping[str, object]) -> Reloads:
    asked, done, error = members["asked"], members["done"], members["error"]
    assert isinstance(asked, int)
    assert isinstance(done, int)
    return Reloads(asked, done, str(error))
