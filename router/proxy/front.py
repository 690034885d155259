"""Front base class: client protocols, which make a connection of each accepted socket."""

from abc import abstractmethod

from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.certificates.listener import ListenerCertificates
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.tls import TlsFacts
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.connection import Connection
from uwsgi_router.router.proxy.context import Context


class Listener:
    """Listener: port, name and redirect of one listening socket.

    Attributes:
        port: decimal; b"" for a UNIX socket.
        name: its address, as configured.
        redirect: requests are redirected to https; to this port, 0 for the default one. None: they are served.
        certificates: of a listener whose clients speak TLS; None: they don't.
    """

    __slots__ = ("certificates", "name", "port", "redirect")

    def __init__(self, port: bytes, name: str, redirect: int | None = None) -> None:
        self.port = port
        self.name = name
        self.redirect = redirect
        self.certificates: ListenerCertificates | None = None


class Front:
    """Front: the clients' protocol of one router. No I/O but through the connections that it makes.

    Attributes:
        alpn: protocols that clients may ask for by TLS (ALPN), the preferred one first.
        uwsgi_back: how nodes are spoken to that speak uwsgi.
        http_back: how nodes are spoken to that speak HTTP.
    """

    __slots__ = ("alpn", "http_back", "uwsgi_back")

    def __init__(self, uwsgi_back: Back, http_back: Back) -> None:
        self.alpn: tuple[str, ...] = ()
        self.uwsgi_back = uwsgi_back
        self.http_back = http_back

    def listener(self, port: bytes, name: str, redirect: int | None = None) -> Listener:
        """Return the listener of a listening socket."""
        return Listener(port, name, redirect)

    def is_proxy(self, host: str, told: bool) -> bool:  # noqa: ARG002
        """Return True if many clients come over connections of this address ("": of a UNIX socket).

        Args:
            host: the address.
            told: a PROXY header told it.
        """
        return not host

    def refusal(self, failure: Failure, connection_id: str) -> bytes:  # noqa: ARG002
        """Return the answer to a connection that is refused; b"": none."""
        return b""

    def wants_proxy_header(self, host: str) -> bool:  # noqa: ARG002
        """Return True if connections of this address ("": of a UNIX socket) have to begin with a PROXY header."""
        return False

    def answer_plain(self, data: bytes, listener: Listener) -> bytes | None:  # noqa: ARG002
        """Return the answer to a client that speaks no TLS where it has to; b"": none, None: more bytes are needed.

        Args:
            data: that it has sent; it looks like HTTP.
            listener: that accepted it.
        """
        return b""

    @abstractmethod
    def connection(
        self,
        context: Context,
        link: Link,
        peer: Peer,
        number: int,
        listener: Listener,
        tls: TlsFacts | None,
    ) -> Connection:
        """Return a connection of an accepted socket, which has not begun to serve.

        Args:
            context: of the router.
            link: the connection owns it.
            peer: the client's address.
            number: of the connection, since the router started.
            listener: that accepted it.
            tls: what its handshake has settled; None: it is not encrypted.
        """
