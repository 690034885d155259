"""Configuration of the HTTP router: clients, heads, bodies, WebSockets, answers, access log."""

from dataclasses import dataclass
from typing import Final, Literal

from uwsgi_router.router.config import http_values as values_of_http
from uwsgi_router.router.config import tls_values, values
from uwsgi_router.router.config.option import Provenance, Scope, Spelling, option, switch
from uwsgi_router.router.config.router import RouterConfig
from uwsgi_router.router.config.routing import RouterKind
from uwsgi_router.router.config.types import RedirectListener, SecureListener
from uwsgi_router.router.config.values import BYTES, MAX_BYTES, SECONDS, SWITCH_WORD, integer

_OURS: Final = Provenance.OURS
_ROUTER: Final = Scope.ROUTER


@dataclass(frozen=True, slots=True)
class HttpRouterConfig(RouterConfig):
    """The HTTP router.

    ``post_buffering``: 0 streams bodies of known length; otherwise all bodies are read whole before a node is
    connected. Those that must be read whole anyway (chunked, for a uwsgi node) then use 1 MiB of memory.
    """

    kind: RouterKind = "http"
    listen: tuple[str, ...] = option(
        "",
        values.LISTEN,
        "Listen here for HTTP.",
        default=(),
        scope=_ROUTER,
        also=("httprouter",),
        repeatable=True,
    )

    secure: tuple[SecureListener, ...] = option(
        "https",
        tls_values.HTTPS,
        "Listen here for HTTP over TLS, with this certificate and key; with a CA clients may have a certificate, with"
        " !CA they must.",
        default=(),
        scope=_ROUTER,
        repeatable=True,
        whole=True,
        spellings=(
            Spelling(
                "https2",
                tls_values.HTTPS2,
                "The same with keys: addr, cert, key, ciphers, clientca.",
            ),
        ),
    )

    https_plain: Literal["400", "redirect"] = option(
        "https-plain",
        values.choice("400", "redirect"),
        "What a client gets that speaks HTTP without TLS to https: a 400 that says so, or a redirect.",
        default="400",
        scope=_ROUTER,
        origin=_OURS,
        whole=True,
        needs=("secure",),
    )

    # Seconds; None: nothing is said. 0 takes back what was said before.
    hsts: int | None = option(
        "https-hsts",
        integer("N", 0, 10 * 365 * 86_400),
        "Tell browsers over TLS to come over TLS only, for so many seconds (Strict-Transport-Security), unless a node"
        " says it.",
        default=None,
        scope=_ROUTER,
        origin=_OURS,
        whole=True,
        needs=("secure",),
        shown="off",
    )
    https_export_cert: bool = switch(
        "https-export-cert",
        "Send the client's certificate, PEM, to nodes that speak uwsgi as HTTPS_CC.",
        scope=_ROUTER,
        whole=True,
        needs=("secure",),
    )
    https_client_cert_header: str = option(
        "https-client-cert-header",
        tls_values.HEADER,
        "Send the client's certificate to nodes that speak HTTP in this field, in the form of RFC 9440; the field of a"
        " client itself is dropped.",
        default="",
        scope=_ROUTER,
        origin=_OURS,
        whole=True,
        shown="not sent",
    )

    # --- clients ---

    redirects: tuple[RedirectListener, ...] = option(
        "to-https",
        values_of_http.REDIRECT,
        "Listen here, and redirect every request to https, at this port (443).",
        default=(),
        scope=_ROUTER,
        repeatable=True,
    )
    acme_webroot: str | None = option(
        "acme-webroot",
        values.DIRECTORY,
        "Answer /.well-known/acme-challenge/TOKEN with that file below here, before redirects and nodes; certbot's"
        " --webroot-path.",
        default=None,
        scope=_ROUTER,
        also=("acme-webroot",),
        origin=_OURS,
    )
    trusted_proxies: tuple[str, ...] = option(
        "trusted-proxy",
        values_of_http.TRUSTED,
        "Believe X-Forwarded fields from here; unix: UNIX sockets, none: nobody.",
        default=("127.0.0.0/8", "::1", "unix"),
        scope=_ROUTER,
        repeatable=True,
        origin=_OURS,
    )
    max_connections_per_client: int = option(
        "max-connections-per-client",
        integer("N", 0, 10_000_000),
        "The same of one IPv4 address, or IPv6 network of 64 bits; trusted proxies have no such limit, behind a PROXY"
        " header the client counts.",
        default=1_000,
        scope=_ROUTER,
        origin=_OURS,
        zero="any number",
    )
    # None: each connection serves one request. Seconds that an idle one is kept; 0: ``timeout``.
    keepalive: float | None = option(
        "keepalive",
        values_of_http.KEEPALIVE,
        "Let a connection serve several requests, and wait so long for the next.",
        default=None,
        scope=_ROUTER,
        shown="off; without a value http-timeout",
    )
    headers_timeout: float | None = option(
        "headers-timeout",
        SECONDS,
        "Seconds in which a whole head has to arrive.",
        default=None,
        scope=_ROUTER,
        shown="as http-timeout",
    )
    max_head: int = option(
        "max-head",
        integer("BYTES", 1024, 1024 * 1024),
        "Answer 431 to a head that is larger.",
        default=65_536,
        scope=_ROUTER,
        origin=_OURS,
    )
    max_fields: int = option(
        "max-fields",
        integer("N", 1, 10_000),
        "Answer 431 to a head with more fields.",
        default=200,
        scope=_ROUTER,
        origin=_OURS,
    )
    body_limit: int = option(
        "body-limit",
        integer("BYTES", 1, MAX_BYTES, zero=MAX_BYTES),
        "Answer 413 to a request whose body is larger.",
        default=1024**3,
        origin=_OURS,
        zero="no limit",
    )
    body_rate: int = option(
        "body-rate",
        BYTES,
        "Bytes a second that a body has to keep up over 30 s.",
        default=500,
        origin=_OURS,
        zero="any",
    )
    manage_expect: int = option(
        "manage-expect",
        values_of_http.EXPECT,
        "Answer 413 to a client that waits for 100 Continue with a larger body (100 is sent without this option, too).",
        default=0,
        shown="",
    )

    # --- requests ---

    modifier1: int = option(
        "modifier1",
        values_of_http.MODIFIER1,
        "Send this modifier to nodes instead of their own.",
        default=0,
        shown="0: their own",
    )
    modifier2: int = option(
        "modifier2",
        values_of_http.MODIFIER,
        "Send this second modifier instead of theirs.",
        default=0,
        shown="0: theirs",
    )
    # In order: they come last and so override.
    variables: tuple[tuple[str, str], ...] = option(
        "var",
        values.ASSIGNMENT,
        "Send this variable to nodes, in place of a request's own of that name.",
        default=(),
        repeatable=True,
    )
    server_name_as_http_host: bool = switch(
        "server-name-as-http-host",
        "SERVER_NAME is what the client wrote as Host, and not this machine's name.",
        kind=SWITCH_WORD,
    )
    chunked_input: bool = switch(
        "chunked-input",
        "Pass chunked bodies on as they come, in chunks; otherwise they are read whole, and get a length.",
    )
    raw_body: bool = switch(
        "raw-body",
        "Pass on everything that follows a head without a length, both ways, until one side closes.",
    )
    websockets: bool = switch(
        "websockets",
        "Pass WebSockets to nodes that speak uwsgi, too; those that speak HTTP get them anyway.",
    )
    websocket_timeout: float = option(
        "websocket-timeout",
        SECONDS,
        "End a tunnel that was silent in both directions for so long.",
        default=3600.0,
        origin=_OURS,
        needs=("websockets", "has_http_nodes"),
    )
    websocket_check: bool = switch(
        "websocket-check",
        "Check the handshake's answer and every frame, and end a WebSocket that breaks the rules.",
        origin=_OURS,
        needs=("websockets", "has_http_nodes"),
    )
    websocket_max_frame: int = option(
        "websocket-max-frame",
        integer("BYTES", 125, MAX_BYTES),
        "With http-websocket-check: the largest frame.",
        default=1024 * 1024,
        origin=_OURS,
        needs=("websocket_check",),
    )
    websocket_max_message: int = option(
        "websocket-max-message",
        integer("BYTES", 125, MAX_BYTES),
        "With http-websocket-check: the largest message.",
        default=16 * 1024 * 1024,
        origin=_OURS,
        needs=("websocket_check",),
    )
    manage_source: bool = switch(
        "manage-source", "The same as http-raw-body for the method SOURCE."
    )
    manage_rtsp: bool = switch(
        "manage-rtsp",
        "Understand RTSP/1.0: its target names the key, and what follows is passed on as with http-raw-body.",
    )

    # --- answers ---

    auto_chunked: bool = switch(
        "auto-chunked",
        "With http-keepalive: chunk an answer without a length, so that the connection can be kept.",
        needs=("keepalive",),
    )
    auto_gzip: bool = switch(
        "auto-gzip", "Compress an answer without a length whose node says uWSGI-Encoding: gzip."
    )
    response_buffering: int = option(
        "response-buffering",
        BYTES,
        "Take up to this much of an answer from its node although the client reads slowly.",
        default=0,
        origin=_OURS,
        shown="0: 64 KiB",
    )
    request_id: bool = switch(
        "request-id",
        "Send X-Request-ID to nodes and with answers: the id of the access log, or what a trusted proxy has sent.",
        origin=_OURS,
    )
    errors: Literal["close", "http"] = option(
        "errors",
        values.choice("close", "http"),
        "When a request fails: answer with the status that says why, or close, as uWSGI does.",
        default="http",
        origin=_OURS,
    )
    # Each is a status and a file.
    error_pages: tuple[tuple[int, str], ...] = option(
        "error-page",
        values_of_http.ERROR_PAGE,
        "What such an answer with this status has in its body.",
        default=(),
        repeatable=True,
        origin=_OURS,
    )

    @property
    def secured(self) -> tuple[SecureListener, ...]:
        """Listeners whose clients speak TLS."""
        return self.secure
