"""Raw connections: no head is parsed, and no answer of ours can explain a failure."""

from time import monotonic

from uwsgi_router.router.core.request import Request
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.body import Body, buffer_limit
from uwsgi_router.router.proxy.client import Client
from uwsgi_router.router.proxy.connection import Connection
from uwsgi_router.router.proxy.context import Context
from uwsgi_router.router.proxy.directions import Upload
from uwsgi_router.router.proxy.exchange import Exchange
from uwsgi_router.router.proxy.front import Listener


class RawRequest(Request):
    """Request that is a whole connection, as forwarders see it.

    Args:
        key: the address that it came to.
        client: text of the client's address.
    """

    __slots__ = ()

    def __init__(self, key: bytes, client: bytes) -> None:
        super().__init__(
            key=key,
            key_is_host=False,
            method=b"",
            content_length=0,
            client=client,
            path=b"",
            raw=True,
        )

    def may_switch(self, *, http: bool) -> bool:  # noqa: ARG002
        """Never: there is nothing to switch from."""
        return False

    def packet_for(self, modifiers: tuple[int, int], collected: int | None = None) -> bytes:  # noqa: ARG002
        """Return nothing: there is no head."""
        return b""

    def head_for_http(self, collected: int | None = None) -> bytes:  # noqa: ARG002
        """Return nothing: there is no head."""
        return b""

    @property
    def size(self) -> int:
        """Bytes of the head: none."""
        return 0


class RawConnection(Connection):
    """Connection of one client of any protocol."""

    __slots__ = ("_context", "_listener")

    def __init__(
        self,
        context: Context,
        link: Link,
        peer: Peer,
        number: int,
        listener: Listener,
    ) -> None:
        site = context.site
        Connection.__init__(self, context.connections, link, peer, number, site.limits.timeout)
        self._context = context
        self._listener = listener

    async def serve(self) -> None:
        """Pass everything to a node, and everything back."""
        context = self._context
        limits = context.site.limits
        pump = Upload(self.link, self.fiber, limits.buffer_size, buffer_limit(0))
        request = RawRequest(self._listener.name.encode(), self.peer[0].encode())
        client = Client(self, Body(request, pump, limits), limits)
        pump.start()
        exchange = self.exchange = Exchange(context, client, request, monotonic())
        await exchange.serve()
