"""uWSGI's own fastrouter, beside ours."""

import json
import socket
from pathlib import Path
from typing import Any

from tests.peers import programs
from tests.peers.process import Process, free_port, wait_until
from tests.peers.vassal import KEY
from uwsgi_router.protocol.uwsgi import encode_packet


class OtherRouter(Process):
    """``uwsgi --fastrouter`` with a subscription server and stats.

    Args:
        directory: for its log and its socket.
        options: further options.
    """

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
        wait_until(self._document, "uWSGI's stats answer")

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Return the announced nodes of our key by name."""
        pools = [p for p in self._document().get("subscriptions", ()) if p["key"] == KEY]
        return {node["name"]: node for pool in pools for node in pool["nodes"]}

    def wait_for_nodes(self, *addresses: str) -> None:
        """Wait until exactly these nodes are in its table, alive."""
        wait_until(
            lambda: {n for n, node in self.nodes().items() if not node["death_mark"]} == set(addresses),
            f"uWSGI's table holds {addresses}",
        )  # fmt: skip

    def _document(self) -> dict[str, Any]:
        assert self.running(), f"uWSGI ended:\n{self.output()}"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            try:
                sock.connect(self._stats)
            except (FileNotFoundError, ConnectionRefusedError):
                return {}
            text = b"".join(iter(lambda: sock.recv(65_536), b""))
        found: dict[str, Any] = json.loads(text) if text else {}
        return found


def ask(address: str) -> bytes:
    """Return the answer of the router at ``address`` to one request for our key; b"" for none."""
    variables = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": KEY,
        "SERVER_PORT": "80",
        "HTTP_HOST": KEY,
    }
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as sock:
        sock.settimeout(10)
        sock.sendall(encode_packet([(n.encode(), v.encode()) for n, v in variables.items()]))
        return b"".join(iter(lambda: sock.recv(65_536), b""))
