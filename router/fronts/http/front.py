"""The HTTP front: what clients and browsers send to an HTTP router (http-router sheet; RFC 9110, RFC 9112)."""

import socket
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from uwsgi_router.protocol.http.body import ChunkedEncoder, Encoder, Identity
from uwsgi_router.protocol.http.content_coding import Gzip, accepts_gzip, gzip_lines, vary_lines
from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.forward import request_head
from uwsgi_router.protocol.http.origin import (
    Origin,
    TrustedPeers,
    origin_of_peer,
    origin_of_request,
)
from uwsgi_router.protocol.http.request import RequestHead, parse_request
from uwsgi_router.protocol.http.response import ResponseHead
from uwsgi_router.protocol.http.variables import connection_block, request_block
from uwsgi_router.protocol.uwsgi import encode_header, encode_variables
from uwsgi_router.router.config.model import HttpRouterConfig
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.fronts.http.pages import ErrorPages
from uwsgi_router.router.net.acceptor import Peer

ACME: Final = b"/.well-known/acme-challenge/"


@dataclass(frozen=True, slots=True)
class Door:
    """A listener, as far as requests are told of it.

    Attributes:
        port: decimal; b"" for a UNIX socket.
        block: its variables, encoded.
        redirect: requests are redirected to https; to this port, 0 for the default one. None: they are served.
    """

    port: bytes
    block: bytes
    redirect: int | None = None


class HttpRequest(Request):
    """A request that came as HTTP.

    Attributes:
        head: as parsed.
        origin: who its client is.
    """

    __slots__ = ("_door", "_front", "_http", "_packet", "announced", "head", "origin")

    def __init__(self, front: "HttpFront", door: Door, head: RequestHead, origin: Origin) -> None:
        # What Request.__init__ does, without the call: this is done for every request.
        self.key = head.host or front.host
        self.key_is_host = True
        self.method = head.method
        self.content_length = head.content_length or 0
        self.client = origin.address
        self.path = head.path
        self.chunked = head.chunked
        self.raw = front.knows_raw and front.is_raw(head)
        self.tunnel = bool(head.upgrade) and front.is_tunnel(head)
        self.found = None
        self._front = front
        self._door = door
        self.head = head
        self.origin = origin
        self._packet = b""
        self._http = b""

    def collected(self, length: int) -> None:
        """The body is in a spool, and has ``length`` bytes."""
        self.content_length = length
        self.chunked = False
        self.head.content_length = length
        # Whoever waited has been told to go on.
        self.head.expect_continue = False
        self._packet = self._http = b""

    def packet_for(self, modifiers: tuple[int, int]) -> bytes:
        """Return header and variables; modifiers of the configuration come before the node's.

        Raises:
            Failure: the variables need more than a packet holds.
        """
        front = self._front
        if not self._packet:
            try:
                self._packet = request_block(
                    self.head,
                    self.origin,
                    self._door.block,
                    content_length=self.head.content_length,
                    chunked=self.chunked,
                    tunnel=self.tunnel,
                    server_name_as_host=front.server_name_as_host,
                    extra=front.extra,
                )
            except HttpError as exc:
                raise as_failure(exc) from exc
        modifier1 = front.modifier1 or modifiers[0]
        return (
            encode_header(modifier1, len(self._packet), front.modifier2 or modifiers[1])
            + self._packet
        )

    def head_for_http(self) -> bytes:
        """Return the head, re-written.

        Raises:
            Failure: it is RTSP's.
        """
        if self.head.protocol == b"RTSP/1.0":
            raise Failure(
                HTTPStatus.NOT_IMPLEMENTED,
                "rtsp",
                "RTSP can only be passed on to nodes that speak uwsgi",
            )
        if not self._http:
            self._http = request_head(
                self.head,
                self.origin,
                content_length=self.head.content_length,
                chunked=self.chunked,
                expect=self.head.expect_continue,
                tunnel=self.tunnel,
                default_host=self._front.host,
            )
        return self._http

    @property
    def size(self) -> int:
        """Bytes of the head as received."""
        return self.head.size


class HttpFront:
    """Reads requests and writes answers. No I/O.

    Args:
        config: the router.

    Raises:
        ValueError: with a sentence, if an error page can't be read.
    """

    def __init__(self, config: HttpRouterConfig) -> None:
        self._config = config
        self.host = socket.gethostname().encode("ascii", "replace")
        self.modifier1, self.modifier2 = config.modifier1, config.modifier2
        self.websockets, self.raw_body = config.websockets, config.raw_body
        self.knows_raw = config.manage_source or config.manage_rtsp
        self.server_name_as_host = config.server_name_as_http_host
        self.extra = encode_variables(
            (name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape"))
            for name, value in config.variables
        )
        self.trusted = TrustedPeers(config.trusted_proxies)
        self.pages = ErrorPages(config.error_pages)
        self._proxies = TrustedPeers(config.proxy_protocol) if config.proxy_protocol else None

    def door(self, port: bytes, redirect: int | None = None) -> Door:
        """Return what requests are told of a listener on ``port`` (b"" for a UNIX socket)."""
        name = None if self.server_name_as_host else self.host
        return Door(port, connection_block(server_name=name, server_port=port), redirect)

    def wants_proxy_header(self, address: str) -> bool:
        """True if connections of this peer ("" on a UNIX socket) have to begin with a PROXY header."""
        if self._config.proxy_protocol is None:
            return False
        return self._proxies is None or address in self._proxies

    def is_raw(self, head: RequestHead) -> bool:
        """True if only the head is HTTP (``http-manage-source``, ``http-manage-rtsp``)."""
        if head.protocol == b"RTSP/1.0":
            return True
        return self._config.manage_source and head.method == b"SOURCE"

    def is_tunnel(self, head: RequestHead) -> bool:
        """True if the client asks to go on with something else than HTTP, and may."""
        if self.websockets and head.websocket:
            return True
        return self.raw_body and b"upgrade" in head.connection and bool(head.upgrade)

    def parse(
        self, data: bytes, origin: Origin, peer: Peer, door: Door, seen: int
    ) -> HttpRequest | None:
        """Read a request from the first bytes of ``data``; of these ``seen`` were found to be too few before.

        Returns:
            The request, or None if more bytes are needed.

        Raises:
            Failure: it is refused.
        """
        config = self._config
        try:
            head = parse_request(
                data,
                max_head=config.max_head,
                max_fields=config.max_fields,
                rtsp=config.manage_rtsp,
                seen=seen,
            )
        except HttpError as exc:
            raise as_failure(exc) from exc
        if head is None:
            return None
        if head.forwarded:
            origin = origin_of_request(head, origin, peer[0] in self.trusted, self.trusted)
        return HttpRequest(self, door, head, origin)

    def check(self, request: HttpRequest) -> None:
        """Look at what the body's length alone decides.

        Raises:
            Failure: it is too long.
        """
        config, length = self._config, request.content_length
        limit, option = config.body_limit, "body-limit"
        if config.manage_expect and request.head.expect_continue and config.manage_expect < limit:
            limit, option = config.manage_expect, "manage-expect"
        if length > limit:
            raise Failure(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "body-too-large",
                f"the body has {length} bytes",
                f"http-{option}={limit}",
            )

    @staticmethod
    def connection_origin(peer: Peer, door: Door) -> Origin:
        """Return who the requests of a connection are from."""
        return origin_of_peer(peer, https=False, server_port=door.port)

    def answer_head(
        self, request: HttpRequest, head: ResponseHead, length: int | None, *, keep: bool
    ) -> tuple[bytes, Encoder | None, bool]:
        """Make the head of an answer.

        Args:
            request: what is answered.
            head: the node's.
            length: bytes of its body; None if only its end tells.
            keep: the client's connection could serve another request.

        Returns:
            The bytes; how the body is encoded, None if it has ``length`` bytes and passes as it is; whether the
            connection is kept.
        """
        asked, lines = request.head, head.lines
        encoder: Encoder | None = None
        gzip = False
        if self._config.auto_gzip and head.gzip_wanted:
            gzip = (
                length != 0
                and head.status != HTTPStatus.PARTIAL_CONTENT
                and not head.content_encoding
                and not _must_not_be_changed(lines)
                and accepts_gzip(_value(asked, b"accept-encoding"))
            )
            lines = gzip_lines(lines) if gzip else vary_lines(lines)
        framing = b""
        if length is None or gzip:
            if asked.minor and (
                head.chunked or (keep and self._config.auto_chunked) or (keep and gzip)
            ):
                framing = b"Transfer-Encoding: chunked"
                encoder = ChunkedEncoder()
            else:
                keep = False
                encoder = Identity()
            if gzip:
                encoder = Gzip(encoder)
        elif length:
            framing = b"Content-Length: %d" % length
        elif head.content_length is not None and head.status != HTTPStatus.NO_CONTENT:
            # Of HEAD and 304 it tells of a body that is not there.
            framing = b"Content-Length: %d" % head.content_length
        parts = [head.start, *lines]
        if framing:
            parts.append(framing)
        if not keep:
            parts.append(b"Connection: close")
        elif not asked.minor:
            parts.append(b"Connection: keep-alive")
        parts.append(b"\r\n")
        return b"\r\n".join(parts), encoder, keep


def switch_head(head: ResponseHead) -> bytes:
    """Return a 101 for the client."""
    return b"\r\n".join(
        (
            b"HTTP/1.1 101 " + (head.reason or b"Switching Protocols"),
            *head.lines,
            b"Upgrade: " + head.upgrade,
            b"Connection: Upgrade\r\n\r\n",
        )
    )


def interim_head(head: ResponseHead) -> bytes:
    """Return a 1xx for the client."""
    return b"\r\n".join((head.start, *head.lines, b"\r\n"))


def as_failure(error: HttpError) -> Failure:
    """Return why a request is refused, as the engine says it."""
    return Failure(HTTPStatus(error.status), error.reason, error.text)


def _must_not_be_changed(lines: list[bytes]) -> bool:
    """True with ``Cache-Control: no-transform`` (RFC 9111 section 5.2.2.6)."""
    return any(
        line[:14].lower() == b"cache-control:" and b"no-transform" in line.lower() for line in lines
    )


def _value(head: RequestHead, wanted: bytes) -> bytes:
    return b", ".join(value for name, value in head.fields if name == wanted)
