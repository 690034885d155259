"""uwsgi front of a fastrouter: web servers."""

from uwsgi_router.router.backs.http import HttpBack
from uwsgi_router.router.backs.uwsgi import UwsgiBack
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.tls import TlsFacts
from uwsgi_router.router.fronts.uwsgi.answers import failure_answer
from uwsgi_router.router.fronts.uwsgi.connection import UwsgiConnection
from uwsgi_router.router.fronts.uwsgi.parser import UwsgiParser
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.connection import Connection
from uwsgi_router.router.proxy.context import Context
from uwsgi_router.router.proxy.front import Front, Listener


class UwsgiFront(Front):
    """Front for web servers that speak uwsgi.

    Args:
        parser: reads their packets.
    """

    __slots__ = ("_parser",)

    def __init__(self, parser: UwsgiParser) -> None:
        super().__init__(UwsgiBack(opaque=True), HttpBack())
        self._parser = parser

    def refusal(self, failure: Failure, connection_id: str) -> bytes:
        """Return an answer that the web server passes on."""
        return failure_answer(failure, connection_id)

    def connection(
        self,
        context: Context,
        link: Link,
        peer: Peer,
        number: int,
        listener: Listener,  # noqa: ARG002
        tls: TlsFacts | None,  # noqa: ARG002
    ) -> Connection:
        """Return a connection that will carry one request."""
        return UwsgiConnection(context, self._parser, link, peer, number)
