"""Rules for HTTP requests: modifiers, variables, raw bodies, RTSP."""

from uwsgi_router.protocol.http.request import RequestHead
from uwsgi_router.protocol.http.variables import connection_block
from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.protocol.uwsgi import encode_variables
from uwsgi_router.router.config.model import HttpRouterConfig
from uwsgi_router.router.proxy.front import Listener


class HttpListener(Listener):
    """Listener of an HTTP router, with precomputed variables.

    Attributes:
        block: its variables, encoded.
    """

    __slots__ = ("block",)

    def __init__(self, rules: "HttpRules", port: bytes, name: str, redirect: int | None) -> None:
        super().__init__(port, name, redirect)
        server_name = None if rules.server_name_as_host else rules.host
        self.block = connection_block(server_name=server_name, server_port=port)


class HttpRules:
    """Rules of the configuration for requests.

    Args:
        config: of the router.
        host: what stands for a Host that a request does not have.

    Attributes:
        host: see above.
        knows_raw: some protocols only look like HTTP (``http-manage-source``, ``http-manage-rtsp``).
        raw_body: bytes behind a head pass as they come (``http-raw-body``).
        modifier1: replaces the node's if not 0; likewise ``modifier2``.
        server_name_as_host: SERVER_NAME is the request's host.
        extra: ``http-var``, encoded.
    """

    __slots__ = (
        "_manage_source",
        "_websockets",
        "extra",
        "host",
        "knows_raw",
        "modifier1",
        "modifier2",
        "raw_body",
        "server_name_as_host",
    )

    def __init__(self, config: HttpRouterConfig, host: bytes) -> None:
        self.host = host
        self.modifier1, self.modifier2 = config.modifier1, config.modifier2
        self.raw_body = config.raw_body
        self.knows_raw = config.manage_source or config.manage_rtsp
        self.server_name_as_host = config.server_name_as_http_host
        self.extra = encode_variables(
            (to_bytes(name), to_bytes(value)) for name, value in config.variables
        )
        self._manage_source = config.manage_source
        self._websockets = config.websockets

    def is_raw(self, head: RequestHead) -> bool:
        """Return True if only the head is HTTP."""
        if head.protocol == b"RTSP/1.0":
            return True
        return self._manage_source and head.method == b"SOURCE"

    def is_tunnel(self, head: RequestHead) -> bool:
        """Return True if the client asks to go on with something else than HTTP, and may."""
        if self._websockets and head.websocket:
            return True
        return self.raw_body and b"upgrade" in head.connection and bool(head.upgrade)
