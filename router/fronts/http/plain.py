"""Answers to clients that speak HTTP without TLS to a listener that wants it."""

from typing import Final

from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.request import parse_request
from uwsgi_router.router.fronts.http.pages import redirect

_TEXT: Final = b"This port speaks HTTPS: write https:// in front of its address.\n"
_BAD: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%b" % (len(_TEXT), _TEXT)
)


def plain_answer(data: bytes, *, redirects: bool, port: bytes) -> bytes | None:
    """Return the answer, None if more bytes are needed for it.

    Args:
        data: what the client has sent; it looks like a request.
        redirects: it is sent to https; otherwise, or if it names no host, it is told what is wrong.
        port: that it came to, where https is.
    """
    if not redirects:
        return _BAD
    try:
        head = parse_request(data, max_head=8_192, max_fields=200)
    except HttpError:
        return _BAD
    if head is None:
        return None
    if not head.host or not port:
        return _BAD
    return redirect(head.method, head.host, int(port), head.target)
