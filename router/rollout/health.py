"""Health gate of a rollout: one request to each node of a vassal, past the routers."""

import http.client
import re
import socket
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.address import AddressError, parse_address
from uwsgi_router.protocol.http.health import health_fields
from uwsgi_router.protocol.uwsgi import encode_packet
from uwsgi_router.router.rollout.views import SeenNode
from uwsgi_router.subscriptions.client.readiness import connect_to, host_of

_AGENT: Final = "uwsgi-router-rollout"
_HOST: Final = re.compile(r"[A-Za-z0-9._~:\[\]-]+")


@dataclass(frozen=True, slots=True)
class HealthGate:
    """Health gate: what a node is asked, and what it has to answer.

    Attributes:
        path: with its query.
        below: statuses from 200 to below this are well.
        timeout: seconds for each step of an answer.
    """

    path: str = "/"
    below: int = 500
    timeout: float = 5.0

    def trouble(self, node: SeenNode) -> tuple[str, bool]:
        """Ask once; return why a node is not well ("": it is), and whether it answered at all."""
        address, host = node.place.address, host_of(node.place.key)
        if not _HOST.fullmatch(host):
            host = "localhost"
        try:
            with connect_to(parse_address(address), self.timeout) as sock:
                sock.sendall(self._http(host) if node.http else self._uwsgi(host, *node.modifiers))
                status = _status(sock)
        except (OSError, AddressError) as exc:
            why = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
            return f"{address} does not answer GET {self.path}: {why}", False
        except http.client.HTTPException as exc:
            return f"{address} answers GET {self.path} with no HTTP: {type(exc).__name__}", True
        if 200 <= status < self.below:
            return "", True
        return f"{address} answers GET {self.path} for {host} with {status}", True

    def _http(self, host: str) -> bytes:
        fields = "".join(f"{name}: {value}\r\n" for name, value in health_fields(host, _AGENT))
        return f"GET {self.path} HTTP/1.1\r\n{fields}\r\n".encode("utf-8", "surrogateescape")

    def _uwsgi(self, host: str, modifier1: int, modifier2: int) -> bytes:
        path, _, query = self.path.partition("?")
        fields = {
            "REQUEST_METHOD": "GET",
            "REQUEST_URI": self.path,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": "",
            "CONTENT_TYPE": "",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": host,
            "SERVER_PORT": "443",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTPS": "on",
            "REQUEST_SCHEME": "https",
        }
        fields |= {
            f"HTTP_{name.upper().replace('-', '_')}": value
            for name, value in health_fields(host, _AGENT)
        }
        return encode_packet(
            [
                (name.encode(), value.encode("utf-8", "surrogateescape"))
                for name, value in fields.items()
            ],
            modifier1,
            modifier2,
        )


def _status(sock: socket.socket) -> int:
    response = http.client.HTTPResponse(sock, method="GET")
    try:
        response.begin()
        return response.status
    finally:
        response.close()
