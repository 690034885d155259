"""Raw connections: no head is parsed, and no answer of ours can explain a failure."""

from time import monotonic
from typing import Final

from uwsgi_router.protocol.proxy import ProxyHeader
from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.protocol.tls.errors import BadHello, NotTls
from uwsgi_router.protocol.tls.hello import read_hello
from uwsgi_router.router.core.failure import Failure, TimedOut, without_traceback
from uwsgi_router.router.core.reasons import BAD_PROXY_HEADER
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.core.tls import TlsFacts
from uwsgi_router.router.fronts.raw.settings import RawSettings
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.net.fiber import Phase
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.body import Body, buffer_limit
from uwsgi_router.router.proxy.client import Client
from uwsgi_router.router.proxy.connection import Connection
from uwsgi_router.router.proxy.context import Context
from uwsgi_router.router.proxy.directions import Requests
from uwsgi_router.router.proxy.exchange import Exchange
from uwsgi_router.router.proxy.front import Listener
from uwsgi_router.router.proxy.proxy_header import read_proxy_header
from uwsgi_router.router.proxy.relay_pump import RelayPump
from uwsgi_router.router.report.access_entry import AccessEntry
from uwsgi_router.router.report.requests import Outcome

# Bytes of a PROXY header and a hello, and of what follows them, that are read before there is a node.
_BEGINNING: Final = 32_768


class RawRequest(Request):
    """Request that is a whole connection, as forwarders see it.

    Args:
        key: the address that it came to, or a name.
        key_is_host: it is a name.
        client: text of the client's address.
        header: what a node is told of the client before all else.
    """

    __slots__ = ("_header",)

    def __init__(self, key: bytes, key_is_host: bool, client: bytes, header: bytes) -> None:
        super().__init__(
            key=key,
            key_is_host=key_is_host,
            method=b"",
            content_length=0,
            client=client,
            path=b"",
            raw=True,
        )
        self._header = header

    def may_switch(self, *, http: bool) -> bool:  # noqa: ARG002
        """Never: there is nothing to switch from."""
        return False

    def packet_for(self, modifiers: tuple[int, int], collected: int | None = None) -> bytes:  # noqa: ARG002
        """Return what a node is told of the client."""
        return self._header

    def head_for_http(self, collected: int | None = None) -> bytes:  # noqa: ARG002
        """Return the same."""
        return self._header

    @property
    def size(self) -> int:
        """Bytes of the head: none."""
        return 0


class RawConnection(Connection):
    """Connection of one client of any protocol."""

    __slots__ = ("_context", "_listener", "_settings", "_started", "_tls")

    def __init__(
        self,
        context: Context,
        settings: RawSettings,
        listener: Listener,
        link: Link,
        peer: Peer,
        number: int,
        tls: TlsFacts | None,
    ) -> None:
        site = context.site
        Connection.__init__(self, context.connections, link, peer, number, site.limits.timeout)
        self._context = context
        self._settings = settings
        self._listener = listener
        self._tls = tls
        self._started = monotonic()

    async def serve(self) -> None:
        """Pass everything to a node, and everything back."""
        context, settings, link, tls = self._context, self._settings, self.link, self._tls
        limits, relays = context.site.limits, settings.relays
        if relays.keepalive:
            link.keep_alive(relays.keepalive)
        destination, name, early = None, None, b""
        if tls is not None:
            # The header has come before the handshake.
            name = tls.server_name if settings.by_name else None
            destination = tls.destination
        elif settings.by_name or settings.proxies.has(self.peer[0]):
            reader = Requests(link, self.fiber, limits.buffer_size, buffer_limit(_BEGINNING))
            reader.start()
            if settings.proxies.has(self.peer[0]):
                told = await self._header(reader)
                if told is None:
                    return
                destination = told.destination
            if settings.by_name:
                name = await self._name(reader)
            early = reader.buffered
        pump = RelayPump(link, self.fiber, relays, buffer_limit(0))
        pump.start(early)
        header = b""
        if settings.sends_header:
            header = settings.header(self.peer, destination or link.local_address())
        request = RawRequest(
            to_bytes(name or self._listener.name), bool(name), self.peer[0].encode(), header
        )
        client = Client(self, Body(request, pump, limits), limits)
        exchange = self.exchange = Exchange(context, client, request, self._started)
        try:
            await exchange.serve()
        finally:
            if context.site.reporter.access_log is not None:
                self._account(pump, exchange.outcome(), exchange.reason)

    async def _header(self, reader: Requests) -> ProxyHeader | None:
        """Return the PROXY header that the connection begins with; None: there is none, and it ends."""
        failure = None
        try:
            return await read_proxy_header(self, reader, self._settings.header_timeout)
        except Failure as exc:
            failure = without_traceback(exc)
        self._refuse(failure)
        return None

    async def _name(self, reader: Requests) -> str | None:
        """Return the name in the hello that a TLS client begins with; None: it names none, or begins otherwise."""
        fiber = self.fiber
        fiber.arm(Phase.HANDSHAKE, self._settings.header_timeout)
        while True:
            hello = None
            try:
                if reader.buffered:
                    hello = read_hello(reader.buffered)
            except (NotTls, BadHello):
                return None
            if hello is not None:
                return hello.server_name
            if reader.ended:
                return None
            try:
                await fiber.pause()
            except TimedOut:
                # The server may be the first to speak.
                return None

    def _refuse(self, failure: Failure) -> None:
        """Count and log a connection that no node hears of."""
        reporter = self._context.site.reporter
        if failure.cause is not BAD_PROXY_HEADER:
            reporter.connection_refused(self.peer[0], failure)
        reporter.counters.requests += 1
        outcome = Outcome(self.id, self.fiber.phase.value, started=self._started, peer=self.peer[0])
        reporter.failed(outcome, failure)

    def _account(self, pump: RelayPump, outcome: Outcome, reason: str) -> None:
        """Write the connection's line of the access log."""
        access_log = self._context.site.reporter.access_log
        assert access_log is not None
        access_log.write(
            AccessEntry(
                id=self.id,
                client=outcome.client or outcome.peer.encode(),
                method=b"",
                target=b"",
                protocol=b"",
                key=outcome.key,
                status=0,
                bytes_in=pump.count,
                bytes_out=self.link.written,
                node=outcome.node,
                tries=outcome.tries,
                connect=outcome.connect,
                first_byte=None,
                total=monotonic() - self._started,
                reason=reason,
            )
        )
