"""Answers of the router's own to good requests: challenges of ACME, and redirects to https."""

from typing import Final

from uwsgi_router.protocol.text import show
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.fronts.http.pages import redirect
from uwsgi_router.router.fronts.http.request import HttpRequest
from uwsgi_router.router.fronts.http.rules import HttpListener

#: Path of the challenges (RFC 8555 section 8.3).
ACME: Final = b"/.well-known/acme-challenge/"


def own_answer(listener: HttpListener, request: HttpRequest) -> bytes | Failure | None:
    """Return a whole answer to a request that needs no node, or why it is refused; None: a node has to answer.

    The connection is closed behind these answers.
    """
    if request.path.startswith(ACME):
        if listener.webroot is None:
            return None
        content = None
        if request.method in {b"GET", b"HEAD"}:
            content = listener.webroot.read(request.path[len(ACME) :])
        if content is None:
            return Failure(
                reasons.NO_CHALLENGE, f"no challenge {show(request.path[len(ACME) :][:80])}"
            )
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n" % len(content)
        )
        return head if request.method == b"HEAD" else head + content
    if listener.redirect is None:
        return None
    return redirect(request.method, request.key, listener.redirect or None, request.head.target)
