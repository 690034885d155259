"""PROXY header of a connection: who has to send one, and how it is waited for."""

from uwsgi_router.protocol.http.origin import TrustedPeers
from uwsgi_router.protocol.proxy import ProxyError, ProxyHeader, parse_proxy_header
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure, TimedOut, without_traceback
from uwsgi_router.router.net.fiber import Phase
from uwsgi_router.router.proxy.connection import Connection
from uwsgi_router.router.proxy.directions import Upload


class ProxyPeers:
    """Peers whose connections have to begin with a PROXY header.

    Args:
        networks: theirs (or ``unix``); () all; None: nobody's do.
    """

    __slots__ = ("_all", "_peers")

    def __init__(self, networks: tuple[str, ...] | None) -> None:
        self._all = networks == ()
        self._peers = TrustedPeers(networks) if networks else None

    def has(self, host: str) -> bool:
        """Return True for one of them; "" is a peer on a UNIX socket."""
        if self._peers is not None:
            return host in self._peers
        return self._all


def take_header(connection: Connection, data: bytes) -> ProxyHeader | None:
    """Return the header that ``data`` begins with, and note who the client is; None: more bytes are needed.

    Raises:
        ProxyError: it begins with no header.
        Failure: the client has too many connections.
    """
    header = parse_proxy_header(data) if data else None
    if header is not None and header.source is not None:
        refusal = connection.connections.peer_told(connection, header.source)
        if refusal is not None:
            raise refusal
    return header


async def read_proxy_header(
    connection: Connection, pump: Upload, seconds: float
) -> ProxyHeader | None:
    """Read the header that a connection begins with, and note who the client is; None: its peer left, or stalled.

    Args:
        connection: gets the client's address.
        pump: reads it, and wakes the fiber for each read; what follows the header stays in it.
        seconds: that the header may take.

    Raises:
        Failure: there is none, or the client has too many connections.
        ClientGone: the peer reset its connection.
    """
    fiber = connection.fiber
    fiber.arm(Phase.PROXY, seconds)
    while True:
        header = failure = None
        try:
            header = take_header(connection, pump.buffered)
        except ProxyError as exc:
            text = f"{connection.peer[0] or 'unix'} has to begin with a PROXY header: {exc}"
            failure = Failure(reasons.BAD_PROXY_HEADER, text)
        if failure is not None:
            raise without_traceback(failure)
        if header is not None:
            pump.buffered = pump.buffered[header.size :]
            return header
        if pump.ended:
            return None
        try:
            await fiber.pause()
        except TimedOut:
            return None
