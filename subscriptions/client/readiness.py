"""Readiness check of a program before it is announced: a connect, or a GET of its health URL."""

import http.client
import re
import socket
from dataclasses import dataclass
from typing import Final, Literal

from uwsgi_router.protocol.address import Address, InetAddress, parse_address
from uwsgi_router.protocol.http.health import health_fields
from uwsgi_router.protocol.subscription import Proto
from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.spoken import spoken_instead

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
        any_status: any answer is well, and HEAD is enough.
        any_protocol: it is for a raw router, so that nobody asks in which protocol it answers.
    """

    path: str | None = None
    host: str = "localhost"
    address: Address | None = None
    any_status: bool = False
    any_protocol: bool = False

    @classmethod
    def parse(cls, url: str, key: str) -> "Check":
        """Read a path (``/health``), asked at the announced address, or a whole ``http://`` URL.

        Args:
            url: as written.
            key: as announced: its host is asked for.

        Raises:
            SubscribeError: if it is something else.
        """
        host = host_of(key)
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

    def trouble(self, announced: str, proto: Proto | None = None) -> str | None:
        """Ask once; return why the program is not ready, None if it is. Blocks for seconds at most.

        Args:
            announced: the node's address.
            proto: what it is to be announced with; a program that speaks another protocol is not ready. None: any.
        """
        address = self.address or parse_address(announced)
        trouble, spoken = self._trouble(address)
        if proto is None or self.any_protocol or (trouble is not None and spoken is not None):
            return trouble
        node = parse_address(announced)
        if spoken is None or address != node:
            other = spoken_instead(lambda: connect_to(node), proto, self.host)
        else:
            other = "http" if proto == "uwsgi" and spoken == "http" else None
        if other is None:
            return trouble
        return (
            f"{announced} speaks {other}, and is to be announced as {proto}:"
            f" write --proto {other}, or {other}:// before its address"
        )

    def _trouble(self, address: Address) -> tuple[str | None, Literal["", "http"] | None]:
        """Return why it is not ready, and what it is known to speak: "" if nobody is there, None if that is open."""
        try:
            sock = connect_to(address)
        except OSError as exc:
            return f"cannot connect to {address}: {(exc.strerror or str(exc)).lower()}", ""
        with sock:
            if self.path is None:
                return None, None
            return self._ask(sock, address)

    def _ask(
        self, sock: socket.socket, address: Address
    ) -> tuple[str | None, Literal["http"] | None]:
        assert self.path is not None
        method = "HEAD" if self.any_status else "GET"
        connection = http.client.HTTPConnection("localhost", timeout=_PATIENCE)
        connection.sock = sock
        try:
            fields = health_fields(self.host, "uwsgi-subscribe")
            connection.request(method, self.path, headers=dict(fields))
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as exc:
            how = str(exc) or type(exc).__name__
            # A uwsgi server answers no health check: then that explains it.
            return f"{address} does not answer {method} {self.path}: {how}", None
        finally:
            connection.close()
        # A redirection (to https, say) is an answer of a program that works.
        if 200 <= status < 400 or self.any_status:
            return None, "http"
        # gunicorn answers so in uwsgi, too.
        spoken: Literal["http"] | None = None if status == 400 else "http"
        return f"{address} answers GET {self.path} for {self.host} with {status}", spoken


def host_of(key: str) -> str:
    """Return the host that a program is asked for, by its key."""
    # A key may hold a mount point; ".example.com" is for all names below.
    return key.partition("/")[0].lstrip(".") or "localhost"


def connect_to(address: Address, patience: float = _PATIENCE) -> socket.socket:
    """Return a connection to a program, which blocks for ``patience`` seconds at most at each step.

    Raises:
        OSError: there is none.
    """
    if isinstance(address, InetAddress):
        return socket.create_connection((address.host or "127.0.0.1", address.port), patience)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(patience)
    try:
        sock.connect(address.path)
    except BaseException:
        sock.close()
        raise
    return sock
