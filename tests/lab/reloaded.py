"""An HTTP router whose configuration changes while it runs."""

import signal
import subprocess
import time
from pathlib import Path

from tests.lab import programs
from tests.lab.clients import Client
from tests.lab.commands import Command
from tests.lab.place import Place
from tests.lab.processes import children_of, free_port
from tests.lab.steady import NamedNodes


class Reloaded:
    """An HTTP router with a configuration that changes.

    Attributes:
        address: where it listens.
        command: the running program.
        control: its control socket.
    """

    command: Command

    def __init__(self, lab: Place, *lines: str) -> None:
        self.directory = lab.directory
        self.address = f"127.0.0.1:{free_port()}"
        self.control = str(lab.directory / "control.sock")
        self.pidfile = str(lab.directory / "router.pid")
        self.ini = lab.directory / "router.ini"
        self._lines = (
            f"http = {self.address}",
            "http-keepalive = 30",
            f"control-socket = {self.control}",
            f"pidfile = {self.pidfile}",
            "no-defer-accept = true",
            *lines,
        )

    def start(self, lab: Place, **settings: object) -> "Reloaded":
        """Start it with what was written last."""
        self.command = lab.command(str(self.ini), **settings)
        return self

    def write(self, *lines: str) -> None:
        """Write the configuration, with these lines at its end."""
        self.ini.write_text("\n".join(("[uwsgi]", *self._lines, *lines)) + "\n")

    @staticmethod
    def to(nodes: NamedNodes, name: str) -> str:
        """The line that forwards to one of these nodes."""
        return f"http-to = http://{nodes.addresses[name]}"

    def reload(self) -> float:
        """Send HUP and wait until new processes serve; return when they did."""
        self.command.signal(signal.SIGHUP)
        self.command.wait_ready(60.0)
        return time.monotonic()

    def reload_and_wait(self, target: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run ``uwsgi-router reload --wait``."""
        argv = [programs.uwsgi_router(), "reload", "--wait", target or self.control]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    def ask(self, path: str = "/") -> str:
        """Return the body of an answer."""
        with Client(self.address, 30.0) as client:
            return client.get(path).body.decode()

    def workers(self) -> list[int]:
        """Return the process ids of workers."""
        return [pid for pid in children_of(self.command.pid) if name_of(pid).startswith("router-w")]


def name_of(pid: int) -> str:
    """Return the name of a process; "" if there is none."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except FileNotFoundError:
        return ""
