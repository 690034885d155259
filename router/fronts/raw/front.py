"""Raw front: one connection is one request, whose key is its listener."""

from uwsgi_router.router.backs.raw import RawBack
from uwsgi_router.router.core.tls import TlsFacts
from uwsgi_router.router.fronts.raw.connection import RawConnection
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.connection import Connection
from uwsgi_router.router.proxy.context import Context
from uwsgi_router.router.proxy.front import Front, Listener


class RawFront(Front):
    """Front for bytes of any protocol."""

    __slots__ = ()

    def __init__(self) -> None:
        back = RawBack()
        super().__init__(back, back)

    def connection(
        self,
        context: Context,
        link: Link,
        peer: Peer,
        number: int,
        listener: Listener,
        tls: TlsFacts | None,  # noqa: ARG002
    ) -> Connection:
        """Return a connection that is served at once: the node may be the first to speak."""
        return RawConnection(context, link, peer, number, listener)
