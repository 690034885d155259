"""The routers under test as programs, started as an operator starts them; and uWSGI's own beside them."""

import json
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab import programs
from tests.lab.clients import Client, connected
from tests.lab.messages import HOST
from tests.lab.processes import Process, free_port
from tests.lab.waiting import wait_until
from uwsgi_router.protocol.subscription import Subscription, encode

#: What uWSGI's own routers do not know; left out when it plays the router.
_ONLY_OURS = (
    *("--fastrouter-connect-timeout=", "--fastrouter-hold=", "--event-loop="),
    *("--http-backend-", "--http-websocket-", "--http-trusted-proxy", "--http-body-"),
    *("--http-response-buffering", "--http-access-log"),
)


class Command(Process):
    """Our command with any arguments.

    Args:
        directory: for its log and its notification socket.
        arguments: what follows the command's name.
        inherit: sockets that systemd opened for it, bound to addresses of its configuration.
        env: see :class:`Process`.
        cwd: see :class:`Process`.
        open_files: its limit of them; None: ours.
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        inherit: Sequence[socket.socket] = (),
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        open_files: int | None = None,
    ) -> None:
        notify = directory / "notify.sock"
        notify.unlink(missing_ok=True)
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.bind(str(notify))
        # As systemd's: everybody may.
        notify.chmod(0o777)
        self._notified.settimeout(0.2)
        argv = [*_program(), *arguments]
        if programs.ROUTER_UNDER_TEST == "uwsgi":
            argv = [argument for argument in argv if not argument.startswith(_ONLY_OURS)]
        fds = [sock.fileno() for sock in inherit]
        if fds:
            inheriting = str(Path(__file__).with_name("inherit.py"))
            argv = [sys.executable, inheriting, ",".join(map(str, fds)), *argv]
        if open_files is not None:
            argv = ["prlimit", f"--nofile={open_files}", *argv]
        super().__init__(
            "router",
            argv,
            log=directory / "router.log",
            env={"NOTIFY_SOCKET": str(notify), **(env or {})},
            cwd=cwd,
            pass_fds=fds,
        )

    def wait_ready(self, seconds: float = 15.0) -> None:
        """Wait until it has told its service manager that it is ready."""
        if programs.ROUTER_UNDER_TEST == "uwsgi":
            return

        def ready() -> bool:
            assert self.running(), f"the router did not start:\n{self.output()}"
            try:
                return b"READY=1" in self._notified.recv(4096).splitlines()
            except TimeoutError:
                return False

        wait_until(ready, "the router says READY=1", seconds)

    def wait_for_status(self, text: str, seconds: float = 15.0) -> None:
        """Wait until it has told its service manager this about itself."""
        wanted = f"STATUS={text}".encode()

        def told() -> bool:
            assert self.running(), f"it has ended:\n{self.output()}"
            try:
                return any(
                    line.startswith(wanted) for line in self._notified.recv(4096).splitlines()
                )
            except TimeoutError:
                return False

        wait_until(told, f"the status is {text!r}", seconds)

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


class Gateway(Process):
    """A router with a subscription server and stats.

    Attributes:
        address: where it takes requests.
        announce: its subscription server.
    """

    address: str
    announce: str
    _stats: str

    @property
    def stats_address(self) -> str:
        """Address of its statistics."""
        return self._stats

    def stats(self) -> dict[str, Any]:
        """Return the stats document ({} while nobody answers)."""
        assert self.running(), f"the router ended:\n{self.output()}"
        try:
            with Client(self._stats) as client:
                document = client.rest()
        except (FileNotFoundError, ConnectionRefusedError):
            return {}
        found: dict[str, Any] = json.loads(document) if document else {}
        return found

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Return the announced nodes of our key by name."""
        pools = self.stats().get("subscriptions", ())
        pools = [pool for pool in pools if pool["key"] == HOST]
        return {node["name"]: node for pool in pools for node in pool["nodes"]}

    def wait_for_nodes(self, *addresses: str) -> None:
        """Wait until exactly these nodes are in the table, alive."""
        wait_until(
            lambda: (
                {name for name, n in self.nodes().items() if not n["death_mark"]} == set(addresses)
            ),
            f"the table of {self.name} holds {addresses}",
        )

    def say(self, *datagrams: Subscription | bytes) -> None:
        """Send datagrams to its subscription server."""
        host, port = self.announce.rsplit(":", 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for datagram in datagrams:
                data = datagram if isinstance(datagram, bytes) else encode(datagram)
                sock.sendto(data, (host, int(port)))

    def connect(self) -> socket.socket:
        """Return a connection to it, as a web server would open it."""
        return connected(self.address)


class Router(Command, Gateway):
    """A fastrouter.

    Args:
        directory: for its log and its sockets.
        options: further ``--name=value`` options.
        listen: where it takes requests; None: a free TCP port.
        announce: its subscription server, ``host:port``; None: a free UDP port.
        subscriptions: whether it has a subscription server.
        settings: ``inherit``, ``env``, ``cwd`` and ``open_files`` of :class:`Command`.
    """

    kind = "fastrouter"

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
        self._stats = str(directory / f"{self.kind}-stats.sock")
        arguments = [f"--{self.kind}={self.address}", f"--{self.kind}-stats={self._stats}"]
        if subscriptions:
            arguments.append(f"--{self.kind}-subscription-server={self.announce}")
        super().__init__(directory, *arguments, *options, **settings)

    def wait_ready(self, seconds: float = 15.0) -> None:
        """Wait until it says that it is ready, and its stats agree."""
        super().wait_ready(seconds)
        wait_until(self.stats, "the stats answer")

    def wait_for_sessions(self, count: int) -> None:
        """Wait until so many client connections are open."""
        wait_until(lambda: self.stats()["active_sessions"] == count, f"{count} sessions")


class HttpRouter(Router):
    """An HTTP router; it has a subscription server only if asked for one."""

    kind = "http"

    def __init__(
        self, directory: Path, *options: str, subscriptions: bool = False, **settings: Any
    ) -> None:
        options = ("--no-defer-accept", *options)
        super().__init__(directory, *options, subscriptions=subscriptions, **settings)

    def client(self, patience: float = 10.0) -> Client:
        """Return a connection to it."""
        return Client(self.address, patience)

    def node(self, address: str, *, key: str = HOST, **fields: Any) -> None:
        """Announce a node, and wait until a request for its key does not get 404 or 503."""
        self.say(Subscription("subscribe", key.encode(), address, **fields))

        def known() -> bool:
            with self.client() as client:
                client.request("GET", "/announced", "Connection: close", host=key)
                answer, _ = client.ending()
                return answer.startswith(b"HTTP/1.1 200")

        wait_until(known, f"{address} is known as {key}")


class RawRouter(Router):
    """A raw router; it has a subscription server only if asked for one."""

    kind = "rawrouter"

    def __init__(
        self, directory: Path, *options: str, subscriptions: bool = False, **settings: Any
    ) -> None:
        super().__init__(directory, *options, subscriptions=subscriptions, **settings)

    def client(self, patience: float = 10.0) -> Client:
        """Return a connection to it."""
        return Client(self.address, patience)


class OtherRouter(Gateway):
    """``uwsgi --fastrouter``: uWSGI's own, beside ours."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.announce = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
        self._stats = str(directory / "other-stats.sock")
        argv = [programs.uwsgi(), "--master", "--fastrouter", self.address]
        argv += ["--fastrouter-subscription-server", self.announce]
        argv += ["--fastrouter-stats", self._stats, *options]
        log = directory / "other.log"
        super().__init__("other", argv, log=log, env={"NOTIFY_SOCKET": None})

    def wait_ready(self) -> None:
        """Wait until its stats answer."""
        wait_until(self.stats, "uWSGI's stats answer")
