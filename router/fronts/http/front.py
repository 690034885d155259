"""HTTP front of an HTTP router: clients and browsers (RFC 9110, RFC 9112)."""

from uwsgi_router.protocol.http.origin import TrustedPeers
from uwsgi_router.router.backs.http import HttpBack
from uwsgi_router.router.backs.uwsgi import UwsgiBack
from uwsgi_router.router.config.model import HttpRouterConfig
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.tls import TlsFacts
from uwsgi_router.router.fronts.http.client import failure_page
from uwsgi_router.router.fronts.http.connection import HttpConnection
from uwsgi_router.router.fronts.http.pages import ErrorPages
from uwsgi_router.router.fronts.http.parser import HttpParser
from uwsgi_router.router.fronts.http.plain import plain_answer
from uwsgi_router.router.fronts.http.rules import HttpListener, HttpRules
from uwsgi_router.router.fronts.http.settings import HttpSettings
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.connection import Connection
from uwsgi_router.router.proxy.context import Context
from uwsgi_router.router.proxy.front import Front, Listener


class HttpFront(Front):
    """Front for clients that speak HTTP/1.

    Args:
        config: of the router.
        pages: whole answers to requests that failed.
        host: the name of this machine, for requests without a Host.
    """

    __slots__ = ("_redirects_plain", "_rules", "_secure", "_settings", "_trusted")

    def __init__(self, config: HttpRouterConfig, pages: ErrorPages, host: bytes) -> None:
        chunked_input = config.chunked_input or config.raw_body
        super().__init__(UwsgiBack(opaque=False, chunked_input=chunked_input), HttpBack())
        self.alpn = ("http/1.1",)
        self._redirects_plain = config.https_plain == "redirect"
        self._rules = HttpRules(config, host)
        self._trusted = TrustedPeers(config.trusted_proxies)
        parser = HttpParser(config, self._rules)
        self._settings = HttpSettings(config, parser, pages)
        self._secure = HttpSettings(config, parser, pages, secure=True)

    def listener(self, port: bytes, name: str, redirect: int | None = None) -> Listener:
        """Return the listener of a listening socket, with its variables."""
        return HttpListener(self._rules, port, name, redirect)

    def is_proxy(self, host: str, told: bool) -> bool:
        """Return True for trusted proxies, and for those that have yet to tell who the client is."""
        return host in self._trusted or (not told and self._settings.wants_proxy_header(host))

    def wants_proxy_header(self, host: str) -> bool:
        """Return True if connections of this address have to begin with a PROXY header."""
        return self._settings.wants_proxy_header(host)

    def answer_plain(self, data: bytes, listener: Listener) -> bytes | None:
        """Return a 400 that says what is wrong, or a redirect."""
        return plain_answer(data, redirects=self._redirects_plain, port=listener.port)

    def refusal(self, failure: Failure, connection_id: str) -> bytes:
        """Return the page that says why."""
        return failure_page(self._settings, failure, connection_id, head_only=False)

    def connection(
        self,
        context: Context,
        link: Link,
        peer: Peer,
        number: int,
        listener: Listener,
        tls: TlsFacts | None,
    ) -> Connection:
        """Return a connection that will carry one request after the other."""
        assert isinstance(listener, HttpListener)
        settings = self._settings if tls is None else self._secure
        return HttpConnection(context, settings, listener, link, peer, number, tls)
