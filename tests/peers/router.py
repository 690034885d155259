"""The router under test, started as an operator starts it."""

import json
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.peers import programs
from tests.peers.process import Process, free_port, wait_until
from tests.peers.vassal import KEY

#: What uWSGI's own fastrouter does not know; left out when it plays the router.
_ONLY_OURS = ("--fastrouter-connect-timeout=", "--fastrouter-hold=", "--event-loop=")


class Command(Process):
    """Our command with any arguments.

    Args:
        directory: for its log and its notification socket.
        arguments: what follows the command's name.
        inherit: sockets that systemd opened for it, bound to addresses of its configuration.
        env: see :class:`Process`.
        cwd: see :class:`Process`.
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        inherit: Sequence[socket.socket] = (),
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        notify = directory / "notify.sock"
        notify.unlink(missing_ok=True)
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.bind(str(notify))
        self._notified.settimeout(0.2)
        argv = [*_program(), *arguments]
        if programs.ROUTER_UNDER_TEST == "uwsgi":
            argv = [argument for argument in argv if not argument.startswith(_ONLY_OURS)]
        fds = [sock.fileno() for sock in inherit]
        if fds:
            inheriting = str(Path(__file__).with_name("inherit.py"))
            argv = [sys.executable, inheriting, ",".join(map(str, fds)), *argv]
        super().__init__(
            "router",
            argv,
            log=directory / "router.log",
            env={"NOTIFY_SOCKET": str(notify), **(env or {})},
            cwd=cwd,
            pass_fds=fds,
        )

    def wait_ready(self) -> None:
        """Wait until it has told its service manager that it is ready."""
        if programs.ROUTER_UNDER_TEST == "uwsgi":
            return

        def ready() -> bool:
            assert self.running(), f"the router did not start:\n{self.output()}"
            try:
                return b"READY=1" in self._notified.recv(4096).splitlines()
            except TimeoutError:
                return False

        wait_until(ready, "the router says READY=1")

    def stop(self, seconds: float = 15.0) -> None:
        """Send SIGTERM (to uWSGI SIGINT: SIGTERM reloads it) and wait for a clean end."""
        ours = programs.ROUTER_UNDER_TEST == "ours"
        self.signal(signal.SIGTERM if ours else signal.SIGINT)
        code = self.wait(seconds)
        assert code == 0, f"exit code {code}"

    def kill(self) -> None:
        """End it at once, whatever state it is in."""
        self._notified.close()
        super().kill()


def _program() -> list[str]:
    if programs.ROUTER_UNDER_TEST == "uwsgi":
        return [programs.uwsgi(), "--master", "--need-app=false"]
    return [programs.uwsgi_router()]


class Router(Command):
    """A fastrouter with a subscription server and stats.

    Args:
        directory: for its log and its sockets.
        options: further ``--name=value`` options.
        listen: where it takes requests; None: a free TCP port.
        announce: its subscription server, ``host:port``; None: a free UDP port.
        subscriptions: whether it has a subscription server.
        settings: ``inherit``, ``env`` and ``cwd`` of :class:`Command`.
    """

    def __init__(
        self,
        directory: Path,
        *options: str,
        listen: str | None = None,
        announce: str | None = None,
        subscriptions: bool = True,
        **settings: Any,
    ) -> None:
        self.address = listen or f"127.0.0.1:{free_port()}"
        self.announce = announce or f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
        self._stats = str(directory / "stats.sock")
        arguments = [f"--fastrouter={self.address}", f"--fastrouter-stats={self._stats}"]
        if subscriptions:
            arguments.append(f"--fastrouter-subscription-server={self.announce}")
        super().__init__(directory, *arguments, *options, **settings)

    def wait_ready(self) -> None:
        """Wait until it says that it is ready, and its stats agree."""
        super().wait_ready()
        wait_until(self.stats, "the stats answer")

    def stats(self) -> dict[str, Any]:
        """Return the stats document ({} while nobody answers)."""
        assert self.running(), f"the router ended:\n{self.output()}"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            try:
                sock.connect(self._stats)
            except (FileNotFoundError, ConnectionRefusedError):
                return {}
            document = b"".join(iter(lambda: sock.recv(65_536), b""))
        found: dict[str, Any] = json.loads(document)
        return found

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Return the announced nodes of our key by name."""
        pools = [pool for pool in self.stats().get("subscriptions", ()) if pool["key"] == KEY]
        return {node["name"]: node for pool in pools for node in pool["nodes"]}

    def wait_for_nodes(self, *addresses: str) -> None:
        """Wait until exactly these nodes are in the table, alive."""
        wait_until(
            lambda: (
                {name for name, n in self.nodes().items() if not n["death_mark"]} == set(addresses)
            ),
            f"the table holds {addresses}",
        )

    def wait_for_sessions(self, count: int) -> None:
        """Wait until so many client connections are open."""
        wait_until(lambda: self.stats()["active_sessions"] == count, f"{count} sessions")

    def peak_memory(self) -> int:
        """Return the most bytes of memory that it ever held at once."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM in /proc")

    def connect(self) -> socket.socket:
        """Return a connection to the router, as a web server would open it."""
        if self.address.startswith("/"):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self.address)
            return sock
        host, port = self.address.rsplit(":", 1)
        return socket.create_connection((host, int(port)))
