"""Configuration of the raw and the SSL router: listeners, timeouts, what nodes are told of clients."""

from dataclasses import dataclass
from typing import Final, Literal

from uwsgi_router.router.config import tls_values, values
from uwsgi_router.router.config.option import Provenance, Scope, Spelling, option, switch
from uwsgi_router.router.config.router import RouterConfig
from uwsgi_router.router.config.routing import RouterKind
from uwsgi_router.router.config.types import SecureListener
from uwsgi_router.router.config.values import integer, seconds

_OURS: Final = Provenance.OURS
_ROUTER: Final = Scope.ROUTER
_BUFFER: Final = 262_144
_RAW: Final = ("rawrouter",)


@dataclass(frozen=True, slots=True)
class RawRouterConfig(RouterConfig):
    """The raw router: each connection goes to a node as it is, and the key is the listener's address."""

    kind: RouterKind = "rawrouter"
    listen: tuple[str, ...] = option(
        "",
        values.LISTEN,
        "Listen here for clients of any protocol; this address, as it is written, is the key.",
        default=(),
        scope=_ROUTER,
        repeatable=True,
    )

    sni: bool = switch(
        "sni",
        "The key is the name that a TLS client asks for, if it asks for one; its bytes, TLS and all, go to the node.",
        origin=_OURS,
    )

    # --- what nodes are told ---

    send_proxy: Literal["", "1", "2"] = option(
        "send-proxy",
        values.choice("1", "2"),
        "Begin each connection to a node with a PROXY header of this version, which tells who the client is.",
        default="",
        origin=_OURS,
        shown="none",
    )
    xclient: bool = switch(
        "xclient",
        "Tell nodes, which are SMTP servers, the client's address with XCLIENT; clients could send one, too.",
        only=_RAW,
    )

    # --- bytes ---

    timeout: float = option(
        "timeout",
        seconds(zero=0.0),
        "End a connection over which nothing moved, or whose one end took nothing of what waits for it, for so long.",
        default=60.0,
        zero="never",
    )
    client_timeout: float = option(
        "client-timeout",
        seconds(zero=0.0),
        "End a connection whose client sent nothing for so long, whatever its node sends.",
        default=0.0,
        origin=_OURS,
        zero="never",
    )
    backend_timeout: float = option(
        "backend-timeout",
        seconds(zero=0.0),
        "End a connection whose node sent nothing for so long, whatever its client sends.",
        default=0.0,
        origin=_OURS,
        zero="never",
    )
    # What tcp(7) takes.
    tcp_keepalive: int = option(
        "tcp-keepalive",
        integer("N", 0, 32_767),
        "Probe a TCP client or node that is silent for N seconds; without an answer the connection ends after 2 N.",
        default=300,
        origin=_OURS,
        zero="never",
    )
    buffer_size: int = option(
        "buffer-size",
        integer("BYTES", 1, 16 * 1024 * 1024, zero=_BUFFER),
        "Bytes read at once from a connection.",
        default=_BUFFER,
    )

    pipes: int = option(
        "pipes",
        integer("N", 0, 1024),
        "Directions at once whose bulk passes inside the kernel (splice), through a pipe of 1 MiB each.",
        default=32,
        only=_RAW,
        origin=_OURS,
        zero="bytes are copied",
    )

    @property
    def server_first(self) -> bool:
        """True."""
        return True


@dataclass(frozen=True, slots=True)
class SslRouterConfig(RawRouterConfig):
    """The SSL router: TLS of clients ends here, and what they say goes to a node as the raw router's does."""

    kind: RouterKind = "sslrouter"
    # All its listeners have certificates.
    listen: tuple[str, ...] = ()
    secure: tuple[SecureListener, ...] = option(
        "",
        tls_values.SSLROUTER,
        "Listen here for clients that speak TLS, with this certificate; the address, as it is written, is the key.",
        default=(),
        scope=_ROUTER,
        repeatable=True,
        spellings=(
            Spelling(
                "sslrouter2",
                tls_values.SSLROUTER2,
                "The same as sslrouter, by names: addr, cert, key, ciphers, clientca.",
            ),
        ),
    )
    sni: bool = switch(
        "sni",
        "The key is the name that a client asks for, if it asks for one, and not the listener's address.",
    )

    @property
    def secured(self) -> tuple[SecureListener, ...]:
        """Listeners whose clients speak TLS: all."""
        return self.secure

    @property
    def server_first(self) -> bool:
        """False: clients begin with a hello."""
        return False
