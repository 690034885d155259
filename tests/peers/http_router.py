"""The HTTP router under test, started as an operator starts it."""

import socket
from pathlib import Path
from typing import Any

from tests.lab.clients import Client
from tests.peers import programs
from tests.peers.process import free_port, wait_until
from tests.peers.router import Command
from tests.peers.vassal import KEY
from uwsgi_router.protocol.subscription import Subscription, encode

#: What uWSGI's own HTTP router does not know; left out when it plays the router.
_ONLY_OURS = (
    "--http-backend-",
    "--http-websocket-",
    "--http-trusted-proxy",
    "--http-body-",
    "--http-response-buffering",
    "--http-access-log",
    "--event-loop=",
)


class HttpRouter(Command):
    """An HTTP router with stats.

    Args:
        directory: for its log and its sockets.
        options: further ``--name=value`` options.
        listen: where it takes requests; None: a free TCP port.
        subscriptions: whether it has a subscription server (then nodes are announced to it).
        settings: ``inherit``, ``env`` and ``cwd`` of :class:`Command`.
    """

    def __init__(
        self,
        directory: Path,
        *options: str,
        listen: str | None = None,
        subscriptions: bool = False,
        **settings: Any,
    ) -> None:
        self.address = listen or f"127.0.0.1:{free_port()}"
        self.announce = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
        self._stats = str(directory / "http-stats.sock")
        arguments = [f"--http={self.address}", f"--http-stats={self._stats}", "--no-defer-accept"]
        if subscriptions:
            arguments.append(f"--http-subscription-server={self.announce}")
        arguments += options
        if programs.ROUTER_UNDER_TEST == "uwsgi":
            arguments = [option for option in arguments if not option.startswith(_ONLY_OURS)]
        super().__init__(directory, *arguments, **settings)

    def wait_ready(self) -> None:
        """Wait until it says that it is ready, and accepts."""
        super().wait_ready()
        wait_until(self._accepts, "the router accepts")

    def client(self, patience: float = 10.0) -> Client:
        """Return a connection to it."""
        return Client(self.address, patience)

    def node(self, address: str, *, key: str = KEY, **fields: Any) -> None:
        """Announce a node, and wait until a request for its key does not get 404 or 503."""
        self.say(Subscription("subscribe", key.encode(), address, **fields))

        def known() -> bool:
            with self.client() as client:
                client.request("GET", "/announced", "Connection: close", host=key)
                answer, _ = client.ending()
                return answer.startswith(b"HTTP/1.1 200")

        wait_until(known, f"{address} is known as {key}")

    def say(self, subscription: Subscription) -> None:
        """Send a datagram to its subscription server."""
        host, port = self.announce.rsplit(":", 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(encode(subscription), (host, int(port)))

    def memory(self) -> int:
        """Return the bytes of memory that it holds now."""
        return self._status("VmRSS")

    def peak_memory(self) -> int:
        """Return the most bytes of memory that it ever held at once."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {name} in /proc")

    def _accepts(self) -> bool:
        assert self.running(), f"the router ended:\n{self.output()}"
        try:
            self.client().sock.close()
        except OSError:
            return False
        return True
