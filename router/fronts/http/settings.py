"""Settings of an HTTP router: timeouts, body limits, WebSocket limits, parser."""

from uwsgi_router.router.config.model import HttpRouterConfig
from uwsgi_router.router.fronts.http.answers import AnswerWriter, StrictWriter
from uwsgi_router.router.fronts.http.client_certificates import ClientCertificates
from uwsgi_router.router.fronts.http.pages import ErrorPages
from uwsgi_router.router.fronts.http.parser import HttpParser
from uwsgi_router.router.proxy.proxy_header import ProxyPeers


class HttpSettings:
    """Settings: values of the configuration, copied once.

    Args:
        config: of the router.
        parser: see below.
        pages: see below.
        secure: they are for connections over TLS.

    Attributes:
        strict: the field that answers over TLS have, with its line end, ``https-hsts``; b"": none.
        certificates: tells nodes of clients' certificates.
        parser: reads requests.
        pages: whole answers to requests that failed.
        writer: heads of answers.
        keeps: connections serve one request after the other.
        idle_timeout: seconds between two requests.
        head_timeout: seconds for a whole head.
        body_limit: bytes of a body's payload.
        body_rate: minimum rate of a body, bytes a second; 0: any.
        post_buffering: bytes of a spooled body in memory.
        request_id: nodes and clients are told the ids of requests.
        raw_body: bytes behind a head pass as they come.
        response_buffering: bytes of an answer that are taken from the node although the client reads slowly.
        websocket_check: the frames of WebSockets are checked; ``websocket_frame`` and ``websocket_message`` are their
            limits in bytes.
        websocket_timeout: seconds of silence that end a tunnel.
    """

    __slots__ = (
        "_proxies",
        "body_limit",
        "body_rate",
        "certificates",
        "head_timeout",
        "idle_timeout",
        "keeps",
        "pages",
        "parser",
        "post_buffering",
        "raw_body",
        "request_id",
        "response_buffering",
        "strict",
        "websocket_check",
        "websocket_frame",
        "websocket_message",
        "websocket_timeout",
        "writer",
    )

    def __init__(
        self,
        config: HttpRouterConfig,
        parser: HttpParser,
        pages: ErrorPages,
        *,
        secure: bool = False,
    ) -> None:
        self.parser = parser
        self.certificates = ClientCertificates(
            config.https_client_cert_header.encode(),
            as_pem=config.https_export_cert or any(one.exports for one in config.secure),
        )
        self.pages = pages
        gzip, chunked = config.auto_gzip, config.auto_chunked
        self.strict = b""
        self.writer = AnswerWriter(auto_gzip=gzip, auto_chunked=chunked)
        if secure and config.hsts is not None:
            self.strict = b"Strict-Transport-Security: max-age=%d\r\n" % config.hsts
            self.writer = StrictWriter(self.strict, auto_gzip=gzip, auto_chunked=chunked)
        self.keeps = config.keepalive is not None and not config.raw_body
        self.idle_timeout = config.keepalive or config.timeout
        timeout = config.headers_timeout
        self.head_timeout = config.timeout if timeout is None else timeout
        self.body_limit = config.body_limit
        self.body_rate = config.body_rate
        self.post_buffering = config.post_buffering
        self.raw_body = config.raw_body
        self.request_id = config.request_id
        self.response_buffering = config.response_buffering
        self.websocket_check = config.websocket_check
        self.websocket_frame = config.websocket_max_frame
        self.websocket_message = config.websocket_max_message
        self.websocket_timeout = config.websocket_timeout
        self._proxies = ProxyPeers(config.proxy_protocol)

    def wants_proxy_header(self, address: str) -> bool:
        """Return True if connections of this peer ("" on a UNIX socket) have to begin with a PROXY header."""
        return self._proxies.has(address)
