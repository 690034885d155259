"""Raw front: one connection is one request, whose key is its listener."""

from uwsgi_router.router.backs.raw import RawBack
from uwsgi_router.router.config.model import RawRouterConfig
from uwsgi_router.router.core.tls import TlsFacts
from uwsgi_router.router.fronts.raw.connection import RawConnection
from uwsgi_router.router.fronts.raw.settings import RawSettings
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.connection import Connection
from uwsgi_router.router.proxy.context import Context
from uwsgi_router.router.proxy.front import Front, Listener


class RawFront(Front):
    """Front for bytes of any protocol.

    Args:
        config: of the router.
    """

    __slots__ = ("_settings",)

    def __init__(self, config: RawRouterConfig) -> None:
        back = RawBack()
        super().__init__(back, back)
        self._settings = RawSettings(config)

    def is_proxy(self, host: str, told: bool) -> bool:
        """Return True on UNIX sockets, and for those that have yet to tell who the client is."""
        return not host or (not told and self._settings.proxies.has(host))

    def wants_proxy_header(self, host: str) -> bool:
        """Return True for peers that are configured as such."""
        return self._settings.proxies.has(host)

    def connection(
        self,
        context: Context,
        link: Link,
        peer: Peer,
        number: int,
        listener: Listener,
        tls: TlsFacts | None,
    ) -> Connection:
        """Return a connection that is served at once: the node may be the first to speak."""
        return RawConnection(context, self._settings, listener, link, peer, number, tls)
