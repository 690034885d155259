"""Rules for HTTP requests: modifiers, variables, raw bodies, RTSP."""

import logging
import re
from typing import Final

from uwsgi_router.protocol.http.fields import tokens
from uwsgi_router.protocol.http.request_head import RequestHead
from uwsgi_router.protocol.http.variables import connection_block
from uwsgi_router.protocol.text import show, to_bytes
from uwsgi_router.protocol.uwsgi import encode_variables
from uwsgi_router.router.config.model import HttpRouterConfig
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.fronts.http.webroot import Webroot
from uwsgi_router.router.proxy.front import Listener

log = logging.getLogger("uwsgi-router.http")

_HTTP_VERSION: Final = re.compile(rb"h2|h3|http/")


class HttpListener(Listener):
    """Listener of an HTTP router, with precomputed variables.

    Attributes:
        block: its variables, encoded.
        webroot: challenges of ACME are read from here; None: nodes answer them.
        plain: all requests go to nodes.
    """

    __slots__ = ("block", "plain", "webroot")

    def __init__(self, rules: "HttpRules", port: bytes, name: str, redirect: int | None) -> None:
        super().__init__(port, name, redirect)
        server_name = None if rules.server_name_as_host else rules.host
        self.block = connection_block(server_name=server_name, server_port=port)
        self.webroot = rules.webroot
        self.plain = redirect is None and rules.webroot is None


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
        webroot: ``acme-webroot``.
    """

    __slots__ = (
        "_limited",
        "_manage_source",
        "_websockets",
        "extra",
        "host",
        "knows_raw",
        "modifier1",
        "modifier2",
        "raw_body",
        "server_name_as_host",
        "webroot",
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
        self.webroot = None if config.acme_webroot is None else Webroot(config.acme_webroot)
        self._manage_source = config.manage_source
        self._websockets = config.websockets
        self._limited = RateLimited(log)

    def is_raw(self, head: RequestHead) -> bool:
        """Return True if only the head is HTTP."""
        if head.protocol == b"RTSP/1.0":
            return True
        return self._manage_source and head.method == b"SOURCE"

    def asks_for_tunnel(self, head: RequestHead) -> bool:
        """Return True if the client asks to go on with something else than HTTP, and some nodes may.

        Other versions of HTTP are none of it: what passes through such a tunnel nobody would read here.
        """
        if head.websocket:
            return True
        wanted = b"upgrade" in head.connection and tokens(head.upgrade)
        if self.raw_body and wanted and not any(map(_HTTP_VERSION.match, wanted)):
            return True
        self._not_passed(head, "to any node")
        return False

    def lets_uwsgi_switch(self, head: RequestHead) -> bool:
        """Return True if nodes that speak uwsgi may do so, too."""
        if self.raw_body or self._websockets:
            return True
        self._not_passed(head, "to nodes that speak uwsgi without http-websockets")
        return False

    def _not_passed(self, head: RequestHead, where: str) -> None:
        self._limited.log(
            logging.DEBUG,
            where,
            "Upgrade: %s of %s %s for %s is not passed on %s",
            show(head.upgrade[:80]),
            show(head.method),
            show(head.path[:200]),
            show(head.host),
            where,
        )
