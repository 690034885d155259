"""Request heads for nodes that speak HTTP/1.1, X-Forwarded fields included (RFC 9112 section 3)."""

from typing import Final

from uwsgi_router.protocol.http.origin import Origin
from uwsgi_router.protocol.http.request_head import RequestHead

_FORWARDED_HOST: Final = b"X-Forwarded-Host: "


def request_head(
    head: RequestHead,
    origin: Origin | None,
    *,
    content_length: int | None,
    chunked: bool = False,
    expect: bool = False,
    tunnel: bool = False,
    default_host: bytes = b"localhost",
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
    """
    target, block, host = head.target, head.block, head.host or default_host
    if not target.isascii():
        target = _escaped(target)
    if head.forwarded and origin is not None:
        block = origin.passing(head)
    parts = [head.method, b" ", target, b" HTTP/1.1\r\nHost: ", host, b"\r\n", block]
    if origin is not None:
        before, after = origin.as_http or _forwarded_lines(origin)
        if origin.server_port is None:
            parts.append(before)
        elif head.host:
            parts += (before, host, after)
        else:
            parts += (before.removesuffix(_FORWARDED_HOST), after.removeprefix(b"\r\n"))
    if chunked:
        parts.append(b"Transfer-Encoding: chunked\r\n")
    elif content_length is not None:
        parts.append(b"Content-Length: %d\r\n" % content_length)
    if expect:
        parts.append(b"Expect: 100-continue\r\n")
    if tunnel:
        upgrade = b"websocket" if head.websocket else head.upgrade
        parts += (b"Connection: Upgrade\r\nUpgrade: ", upgrade, b"\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


def _forwarded_lines(origin: Origin) -> tuple[bytes, bytes]:
    """Return the X-Forwarded block, split around the Host value if X-Forwarded-Host is sent."""
    chain, scheme, ours = origin.forwarded_for, origin.scheme, origin.server_port
    before = b"%bX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\n" % (
        origin.certificate[0],
        chain,
        scheme,
    )
    after = b""
    if ours is not None:
        before += _FORWARDED_HOST
        after = b"\r\nX-Forwarded-Port: %b\r\n" % ours if ours else b"\r\n"
    origin.as_http = (before, after)
    return before, after


def _escaped(target: bytes) -> bytes:
    # RFC 3986 knows no bytes above 0x7f, and nodes refuse them; browsers of old send them.
    return b"".join(b"%%%02X" % byte if byte > 0x7F else bytes((byte,)) for byte in target)
