"""TLS handshakes of clients: ClientHello, choice of the certificate, handshake, and then the front's connection.

The hello is looked at where it lies, before OpenSSL takes part: certificate, authorities of clients, lowest version and
ciphers all depend on the name in it. (A context that is changed in OpenSSL's callback for names does not bring its
authorities along: who needs a certificate for one name could ask for another one.)
"""

import ssl
from math import inf
from typing import Final

from uwsgi_router.protocol.proxy import ProxyError
from uwsgi_router.protocol.tls.errors import BadHello, NotTls
from uwsgi_router.protocol.tls.hello import MAX_HELLO_BYTES, Hello, read_hello
from uwsgi_router.router.certificates.errors import CertificateFault, UnknownName
from uwsgi_router.router.core.failure import Failure, TimedOut, without_traceback
from uwsgi_router.router.core.tls import TlsFacts
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.net.fiber import Phase
from uwsgi_router.router.net.tls_link import TlsLink
from uwsgi_router.router.proxy.client import linger, send_last
from uwsgi_router.router.proxy.connection import Connection
from uwsgi_router.router.proxy.context import Context
from uwsgi_router.router.proxy.front import Front, Listener
from uwsgi_router.router.proxy.proxy_header import take_header

_MAX_PROXY: Final = 8_192
# What a client that can't be served gets: alerts of RFC 8446 section 6, as records.
_UNRECOGNIZED_NAME: Final = b"\x15\x03\x03\x00\x02\x02\x70"
_DECODE_ERROR: Final = b"\x15\x03\x03\x00\x02\x02\x32"
_INTERNAL_ERROR: Final = b"\x15\x03\x03\x00\x02\x02\x50"

# Why a handshake has failed, by words that OpenSSL's reasons begin with or hold.
_BY_REASON: Final = (
    ("UNSUPPORTED_PROTOCOL", "version"),
    ("VERSION", "version"),
    ("NO_SHARED_CIPHER", "cipher"),
    ("NO_SUITABLE", "cipher"),
    ("PEER_DID_NOT_RETURN", "no-client-certificate"),
    ("CERTIFICATE_VERIFY_FAILED", "bad-client-certificate"),
    ("ALERT", "refused-by-client"),
    ("EOF", "closed"),
)


class Handshakes:
    """Handshakes of one router that are under way.

    Args:
        limit: see below.
        seconds: see below.

    Attributes:
        limit: of them; with one more the oldest is ended.
        seconds: that each may take.
    """

    __slots__ = ("_running", "limit", "seconds")

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        # In the order in which they began.
        self._running: dict[Handshake, None] = {}

    def __len__(self) -> int:
        return len(self._running)

    def add(self, handshake: "Handshake") -> None:
        """Take one in, and end the oldest if there are too many."""
        if len(self._running) >= self.limit:
            next(iter(self._running)).crowd_out()
        self._running[handshake] = None

    def discard(self, handshake: "Handshake") -> None:
        """Forget one that has ended."""
        self._running.pop(handshake, None)


class Handshake(Connection):
    """Connection of a client whose handshake is under way.

    Args:
        context: of the router.
        front: makes the connection that follows.
        handshakes: that are under way.
        link: of the client, not encrypted yet.
        peer: the client's address.
        number: of the connection, since the router started.
        listener: that accepted it.
    """

    __slots__ = (
        "_began",
        "_client_ended_it",
        "_context",
        "_destination",
        "_following",
        "_front",
        "_handshakes",
        "_listener",
        "_name",
        "_tls_link",
    )

    def __init__(
        self,
        context: Context,
        front: Front,
        handshakes: Handshakes,
        link: TlsLink,
        peer: Peer,
        number: int,
        listener: Listener,
    ) -> None:
        Connection.__init__(self, context.connections, link, peer, number, handshakes.seconds)
        self._context = context
        self._front = front
        self._handshakes = handshakes
        self._listener = listener
        self._tls_link = link
        self._following: Connection | None = None
        # The last message of the handshake was the client's, and its request has followed, most likely.
        self._client_ended_it = False
        self._name: str | None = None
        self._destination: tuple[str, int] | None = None
        self._began = context.poller.now

    @property
    def idle_since(self) -> float:
        """Since when it lasts: a client that does not finish makes room for others."""
        return inf if self.connections.stopping else self._began

    def hurry(self, seconds: float) -> None:
        """Stop soon."""
        self.fiber.hurry(seconds)

    def crowd_out(self) -> None:
        """End it for another one."""
        self._failed("crowded", "another one has come, and there may be no more")
        self.fiber.cancel()

    def start(self) -> None:
        """Begin."""
        self._handshakes.add(self)
        super().start()

    # --- the story ---

    async def serve(self) -> None:
        """Do the handshake, and make the connection that follows."""
        link, fiber = self._tls_link, self.fiber
        link.peek_with(self)
        try:
            if self._front.wants_proxy_header(self.peer[0]) and not await self._proxy_header():
                return
            fiber.arm(Phase.HANDSHAKE, self._handshakes.seconds)
            hello = await self._hello()
            if hello is None:
                return
            self._name = hello.server_name
            # It takes 0.1 ms and more: many at once must not hold up the requests of others.
            if not fiber.poller.goes_first():
                await fiber.give_way()
            policy = self._begin(hello.server_name)
            if policy is not None:
                link.end_peeking()
                while not link.handshake():
                    await fiber.pause()
                self._done(policy)
                return
        except TimedOut:
            self._failed("timeout", f"not done within {self._handshakes.seconds:g} s")
            return
        except ssl.SSLError as error:
            self._failed(_word(error.reason or ""), _text(error))
        except OSError as exc:
            self._failed("closed", (exc.strerror or str(exc)).lower())
            return
        # An alert, which a reset would destroy.
        await linger(self)

    async def _proxy_header(self) -> bool:
        """Read the header in which a proxy says who the client is, ahead of TLS; False: there is none."""
        link, fiber = self._tls_link, self.fiber
        fiber.arm(Phase.PROXY, self._handshakes.seconds)
        while True:
            data = link.peek(_MAX_PROXY)
            if data == b"":
                self._failed("closed", "the connection ended ahead of a PROXY header")
                return False
            header = None
            try:
                header = take_header(self, data or b"")
            except ProxyError as exc:
                self._failed("proxy-header", f"it has to begin with a PROXY header: {exc}")
                return False
            except Failure as refused:
                self._context.site.reporter.connection_refused(
                    self.peer[0], without_traceback(refused)
                )
                return False
            if header is not None:
                link.recv(header.size)
                self._destination = header.destination
                return True
            if data is not None and link.peer_ended():
                self._failed("closed", "the connection ended inside a PROXY header")
                return False
            link.await_more()
            await fiber.pause()

    async def _hello(self) -> Hello | None:
        """Return the client's hello; None: it has sent something else, and was told so if it is HTTP."""
        link, fiber = self._tls_link, self.fiber
        while True:
            data = link.peek(MAX_HELLO_BYTES)
            if data == b"":
                self._failed("closed", "the connection ended ahead of a hello")
                return None
            answer: bytes | None = None
            hello = None
            try:
                if data is not None:
                    hello = read_hello(data)
            except NotTls as exc:
                answer = self._front.answer_plain(data or b"", self._listener) if exc.http else b""
                if answer is not None:
                    self._failed("plain-http" if exc.http else "not-tls", str(exc))
            except BadHello as bad:
                self._failed("bad-hello", str(bad))
                answer = _DECODE_ERROR
            if hello is not None:
                return hello
            if answer is not None:
                if answer:
                    await send_last(self, answer, complete=False)
                return None
            if data is not None and link.peer_ended():
                self._failed("closed", "the connection ended inside a hello")
                return None
            link.await_more()
            await fiber.pause()

    def _begin(self, name: str | None) -> str | None:
        """Begin TLS with the certificate for ``name``; return its policy, None: there is none."""
        certificates = self._listener.certificates
        assert certificates is not None
        try:
            context, policy = certificates.choose(name, self._context.poller.now)
        except UnknownName:
            self._failed("unknown-name", "there is no certificate for this name")
            self._tls_link.write(_UNRECOGNIZED_NAME)
            return None
        except CertificateFault as exc:
            self._failed("no-certificate", str(exc))
            self._tls_link.write(_INTERNAL_ERROR)
            return None
        self._tls_link.secure(context)
        return policy

    def _done(self, policy: str) -> None:
        """Make the connection that follows."""
        link = self._tls_link
        tls = link.tls
        version, resumed = tls.version() or "", bool(tls.session_reused)
        self._client_ended_it = resumed or version != "TLSv1.2"
        facts = TlsFacts(
            self._name,
            version,
            resumed=resumed,
            client_certificate=(tls.getpeercert(True) or b"") if policy else b"",
            policy=policy,
            destination=self._destination,
        )
        self._context.site.reporter.handshake_done(facts)
        # Whoever follows says who reads on.
        link.hand_over()
        self._following = self._front.connection(
            self._context, link, self.peer, self.number, self._listener, facts
        )

    # --- the end ---

    def _failed(self, reason: str, text: str) -> None:
        """Note why it has failed."""
        self._context.site.reporter.handshake_failed(self.peer[0], reason, text, self._name)

    def ended(self, error: BaseException | None) -> None:
        """Go on with the connection that follows, or release everything."""
        self._handshakes.discard(self)
        following = self._following
        if following is None:
            super().ended(error)
            return
        self._following = None
        connections = self.connections
        if connections.stopping:
            following.hurry(self._context.timing.last_request)
        following.start()
        connections.discard(self)
        if self._client_ended_it:
            self._tls_link.look()


def _word(reason: str) -> str:
    for part, word in _BY_REASON:
        if part in reason:
            return word
    return "other"


def _text(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")
