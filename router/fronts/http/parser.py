"""HTTP request parser with the limits of a router."""

from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.origin import Origin, TrustedPeers, origin_of_request
from uwsgi_router.protocol.http.request import parse_request
from uwsgi_router.router.config.model import HttpRouterConfig
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.fronts.http.request import HttpRequest, as_failure
from uwsgi_router.router.fronts.http.rules import HttpListener, HttpRules
from uwsgi_router.router.net.acceptor import Peer


class HttpParser:
    """Parser of requests.

    Args:
        config: of the router.
        rules: what the configuration makes of a head.

    Attributes:
        max_head: bytes that a head may have.
        rules: see above.
    """

    __slots__ = (
        "_body_limit",
        "_dropped",
        "_expect_limit",
        "_max_fields",
        "_rtsp",
        "_trusted",
        "max_head",
        "rules",
    )

    def __init__(self, config: HttpRouterConfig, rules: HttpRules) -> None:
        self.rules = rules
        self.max_head = config.max_head
        self._max_fields = config.max_fields
        self._rtsp = config.manage_rtsp
        self._trusted = TrustedPeers(config.trusted_proxies)
        self._body_limit = config.body_limit
        self._dropped = config.https_client_cert_header.lower().encode()
        self._expect_limit = config.manage_expect

    def parse(
        self, data: bytes, origin: Origin, peer: Peer, listener: HttpListener, seen: int
    ) -> HttpRequest | None:
        """Read a request from the first bytes of ``data``; of these ``seen`` were found to be too few before.

        Returns:
            The request, or None if more bytes are needed.

        Raises:
            Failure: it is refused.
        """
        try:
            head = parse_request(
                data,
                max_head=self.max_head,
                max_fields=self._max_fields,
                rtsp=self._rtsp,
                seen=seen,
            )
        except HttpError as exc:
            raise as_failure(exc) from exc
        if head is None:
            return None
        if self._dropped:
            head.drop(self._dropped)
        if head.forwarded:
            origin = origin_of_request(head, origin, peer[0] in self._trusted, self._trusted)
        return HttpRequest(self.rules, listener, head, origin)

    def check(self, request: HttpRequest) -> None:
        """Check the body's announced length.

        Raises:
            Failure: it is too long.
        """
        length, limit, option = request.content_length, self._body_limit, "body-limit"
        expected = self._expect_limit
        if expected and request.head.expect_continue and expected < limit:
            limit, option = expected, "manage-expect"
        if length > limit:
            text = f"the body has {length} bytes"
            raise Failure(reasons.BODY_TOO_LARGE, text, limit, option=option)
