"""Request heads for nodes that speak HTTP/1.1, X-Forwarded fields included (RFC 9112 section 3)."""

from collections.abc import Iterable
from typing import Final

from uwsgi_router.protocol.http.origin import Origin
from uwsgi_router.protocol.http.request import RequestHead

_FORWARDED_HOST: Final = b"\r\nX-Forwarded-Host: "


def request_head(
    head: RequestHead,
    origin: Origin | None,
    *,
    content_length: int | None,
    chunked: bool = False,
    expect: bool = False,
    tunnel: bool = False,
    default_host: bytes = b"localhost",
    extra: Iterable[bytes] = (),
) -> bytes:
    """Make the head; the node's connection is kept unless the node closes it.

    Args:
        head: the request.
        origin: who its client is; None: the head's X-Forwarded fields are right as they are (see
            :func:`uwsgi_router.protocol.http.from_variables.head_from_variables`).
        content_length: bytes of body that the node will get; None: no Content-Length.
        chunked: the body is sent chunked, whatever ``content_length`` says.
        expect: ask for a 100 before the body.
        tunnel: ask for the upgrade that the client asked for.
        default_host: Host of a request that has none, which only HTTP/1.0 allows.
        extra: lines of our own, ``Name: value`` without their ends.
    """
    target, lines, host = head.target, head.lines, head.host or default_host
    if not target.isascii():
        target = _escaped(target)
    if head.forwarded and origin is not None:
        lines = origin.passing(lines)
    parts = [b"%b %b HTTP/1.1\r\nHost: %b" % (head.method, target, host), *lines]
    if origin is not None:
        before, after = origin.as_http or _forwarded_lines(origin)
        if origin.server_port is None:
            parts.append(before)
        elif head.host:
            parts.append(before + host + after)
        else:
            parts.append(before.removesuffix(_FORWARDED_HOST) + after)
    if chunked:
        parts.append(b"Transfer-Encoding: chunked")
    elif content_length is not None:
        parts.append(b"Content-Length: %d" % content_length)
    if expect:
        parts.append(b"Expect: 100-continue")
    if tunnel:
        upgrade = b"websocket" if head.websocket else head.upgrade
        parts.append(b"Connection: Upgrade\r\nUpgrade: " + upgrade)
    if extra:
        parts += extra
    parts.append(b"\r\n")
    return b"\r\n".join(parts)


def _forwarded_lines(origin: Origin) -> tuple[bytes, bytes]:
    """Return the X-Forwarded block, split around the Host value if X-Forwarded-Host is sent."""
    before = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b" % (origin.forwarded_for, origin.scheme)
    after = b""
    if origin.server_port is not None:
        before += _FORWARDED_HOST
        if origin.server_port:
            after = b"\r\nX-Forwarded-Port: " + origin.server_port
    origin.as_http = (before, after)
    return before, after


def _escaped(target: bytes) -> bytes:
    # RFC 3986 knows no bytes above 0x7f, and nodes refuse them; browsers of old send them.
    return b"".join(b"%%%02X" % byte if byte > 0x7F else bytes((byte,)) for byte in target)
