"""Emperors of tests: our command with a directory of fake vassals, and what it says of them."""

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.commands import Command
from tests.lab.place import Place
from tests.lab.processes import children_of
from tests.lab.reloaded import name_of
from tests.lab.vassals import Vassals
from tests.lab.waiting import wait_until


def read_all(path: Path, request: bytes = b"") -> bytes:
    """Return all that somebody sends who listens there."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10.0)
        sock.connect(str(path))
        if request:
            sock.sendall(request)
        found = b""
        while data := sock.recv(65_536):
            found += data
        return found


class Emperor:
    """An Emperor of vassals.

    Args:
        lab: starts it.
        vassals: its directory.
        options: of the command, behind those that every test wants.
        fake: its vassals are the fake one.
        master: it is the child of a master, not the whole program.
        open_files: its limit of them; None: ours.
    """

    def __init__(
        self,
        lab: Place,
        vassals: Vassals,
        *options: str,
        fake: bool = True,
        master: bool = False,
        open_files: int | None = None,
    ) -> None:
        self.stats_path = lab.directory / "emperor.sock"
        self.pidfile = lab.directory / "emperor.pid"
        self.vassals = vassals
        self.ini = lab.directory / "emperor.ini"
        self._lines = (
            f"emperor = {vassals.place}",
            f"emperor-stats = {self.stats_path}",
            f"emperor-pidfile = {self.pidfile}",
            *([] if master else ["no-master = true"]),
            *([f"emperor-wrapper = {vassals.fake}"] if fake else []),
        )
        self.write(*options)
        self.command: Command = lab.command(
            str(self.ini), env=vassals.environ, open_files=open_files
        )

    def write(self, *lines: str) -> None:
        """Write its configuration anew, with these lines at its end."""
        self.ini.write_text("\n".join(("[uwsgi]", *self._lines, *lines)) + "\n")

    # --- what it says ---

    def stats(self) -> dict[str, Any]:
        """Return its document."""
        found: dict[str, Any] = json.loads(read_all(self.stats_path))
        return found

    def vassal(self, name: str) -> dict[str, Any]:
        """Return what it says of a vassal; {} if there is none."""
        found = (one for one in self.stats()["vassals"] if one["id"] == name)
        return next(found, {})

    def wait_for(
        self, name: str, what: Callable[[dict[str, Any]], object], seconds: float = 15.0
    ) -> dict[str, Any]:
        """Wait until something is true of a vassal; return what is said of it then."""
        last: dict[str, Any] = {}

        def asked() -> bool:
            last.clear()
            last.update(self.vassal(name))
            return bool(last and what(last))

        wait_until(asked, f"{name}: {last or self.vassal(name)}", seconds)
        return last

    def wait_for_state(self, name: str, state: str, seconds: float = 15.0) -> dict[str, Any]:
        """Wait until a vassal has this state."""
        return self.wait_for(name, lambda one: one["state"] == state, seconds)

    def wait_for_respawns(self, name: str, count: int) -> dict[str, Any]:
        """Wait until a vassal was told to reload so often."""
        return self.wait_for(name, lambda one: one["respawns"] == count)

    def wait_gone(self, name: str) -> None:
        """Wait until it knows no such vassal."""
        wait_until(lambda: not self.vassal(name), f"{name} is gone")

    def pid(self) -> int:
        """Return the process id of the Emperor itself."""
        return int(self.pidfile.read_text())

    def log(self) -> str:
        """Return its log."""
        return self.command.output()

    # --- what is done to it ---

    def signal(self, number: signal.Signals) -> None:
        """Send the Emperor itself a signal."""
        os.kill(self.pid(), number)


def touch(path: Path, *, link: bool = False) -> None:
    """Touch a file, later than everything that was touched before."""
    now = max(os.lstat(path).st_mtime_ns, os.stat(path).st_mtime_ns) + 1_000_000
    os.utime(path, ns=(now, now), follow_symlinks=not link)


def alive(pid: int) -> bool:
    """Return True if there is such a process, and it is no zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in ("Z", "X")


def emperor_of(master: int) -> int:
    """Return the process id of the Emperor below a master."""
    (found,) = [pid for pid in children_of(master) if name_of(pid) == "uWSGI Emperor"]
    return found
