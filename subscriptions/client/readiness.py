"""Readiness check of a program before it is announced: a connect, or a GET of its health URL."""

import http.client
import re
import socket
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.address import Address, InetAddress, parse_address
from uwsgi_router.protocol.http.health import health_fields
from uwsgi_router.subscriptions.client.errors import SubscribeError

# Seconds for each step. A program that is so slow when nobody asks is not ready.
_PATIENCE: Final = 5.0
_URL = re.compile(
    r"http://(?P<host>\[[0-9a-fA-F:.]+\]|[^/:\s]+)(?::(?P<port>\d{1,5}))?(?P<path>/\S*)?"
)


@dataclass(frozen=True, slots=True)
class Check:
    """Readiness check: what is asked, and where.

    Attributes:
        path: asked for with GET; None: a connection is enough.
        host: what the ``Host`` field says: applications often answer only for their own.
        address: who is asked; None: the announced address.
    """

    path: str | None = None
    host: str = ""
    address: Address | None = None

    @classmethod
    def parse(cls, url: str, key: str) -> "Check":
        """Read a path (``/health``), asked at the announced address, or a whole ``http://`` URL.

        Args:
            url: as written.
            key: as announced: its host is asked for.

        Raises:
            SubscribeError: if it is something else.
        """
        # A key may hold a mount point; ".example.com" is for all names below.
        host = key.partition("/")[0].lstrip(".") or "localhost"
        if url.startswith("/") and not re.search(r"\s", url):
            return cls(url, host)
        found = _URL.fullmatch(url)
        if found is None:
            raise SubscribeError(
                f"check {url!r}: write a path such as /health, or http://127.0.0.1:8000/health"
            )
        port = int(found["port"] or 80)
        if not 0 < port < 65536:
            raise SubscribeError(f"check {url!r}: there is no port {port}")
        return cls(found["path"] or "/", host, InetAddress(found["host"].strip("[]"), port))

    def trouble(self, announced: str) -> str | None:
        """Ask once; return why the program is not ready, None if it is. Blocks for seconds at most.

        Args:
            announced: the node's address.
        """
        address = self.address or parse_address(announced)
        try:
            sock = _connect(address)
        except OSError as exc:
            return f"cannot connect to {address}: {(exc.strerror or str(exc)).lower()}"
        with sock:
            if self.path is None:
                return None
            return self._ask(sock, address)

    def _ask(self, sock: socket.socket, address: Address) -> str | None:
        assert self.path is not None
        connection = http.client.HTTPConnection("localhost", timeout=_PATIENCE)
        connection.sock = sock
        try:
            fields = health_fields(self.host, "uwsgi-subscribe")
            connection.request("GET", self.path, headers=dict(fields))
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as exc:
            return f"{address} does not answer GET {self.path}: {str(exc) or type(exc).__name__}"
        finally:
            connection.close()
        # A redirection (to https, say) is an answer of a program that works.
        if 200 <= status < 400:
            return None
        return f"{address} answers GET {self.path} for {self.host} with {status}"


def _connect(address: Address) -> socket.socket:
    if isinstance(address, InetAddress):
        return socket.create_connection((address.host, address.port), _PATIENCE)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(_PATIENCE)
    try:
        sock.connect(address.path)
    except BaseException:
        sock.close()
        raise
    return sock
