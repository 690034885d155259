"""Error pages and redirects to https: answers of the HTTP router itself."""

import os
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from uwsgi_router.router.core.files import open_file
from uwsgi_router.router.fronts.error_head import error_head, phrase_of

#: Bytes that a page may have: each is kept in memory.
MAX_PAGE: Final = 1024 * 1024

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}
# What a Location can't hold as it is: anything but visible ASCII (RFC 3986 section 2).
_not_visible: Final = re.compile(rb"[^!-~]")
_port: Final = re.compile(rb":[0-9]*\Z")


class ErrorPages:
    """Error pages: whole answers to requests that failed.

    The default body tells the status and the request's id, for the operator to find in the log; nothing of nodes, keys
    or options.

    Args:
        pages: (status, file) of ``http-error-page``; files are read once.

    Raises:
        ValueError: if a page can't be used; a sentence for the operator.
    """

    def __init__(self, pages: Sequence[tuple[int, str]]) -> None:
        self._pages: dict[int, tuple[str, bytes]] = {}
        for status, file in pages:
            if not 400 <= status <= 599:
                raise ValueError(f"error page {file}: {status} is no status from 400 to 599")
            if status in self._pages:
                raise ValueError(f"error page {file}: there is a page for {status} already")
            self._pages[status] = _read_page(file)

    def __repr__(self) -> str:
        return f"<ErrorPages {sorted(self._pages)}>"

    def answer(self, status: int, reason: str, request_id: str, *, head_only: bool) -> bytes:
        """Return a whole HTTP/1.1 answer, whose connection is closed.

        Args:
            status: 400 to 599.
            reason: one word, as in :class:`uwsgi_router.router.core.failure.Failure`.
            request_id: what the log calls the request.
            head_only: the request's method is HEAD.
        """
        page = self._pages.get(status)
        if page is None:
            text = f"{status} {phrase_of(status)}\nrequest {request_id}\n"
            page = "text/plain; charset=us-ascii", text.encode("ascii", "backslashreplace")
        kind, body = page
        head = error_head(status, reason, request_id, kind, len(body))
        return head if head_only else head + body


def _read_page(file: str) -> tuple[str, bytes]:
    kind = _TYPES.get(os.path.splitext(file)[1].lower())
    if kind is None:
        raise ValueError(f"error page {file}: its name must end in .html, .json or .txt")
    try:
        with open(open_file(file, os.O_RDONLY), "rb") as page:
            body = page.read(MAX_PAGE + 1)
    except OSError as exc:
        raise ValueError(f"error page {file} cannot be read: {exc.strerror}") from exc
    if len(body) > MAX_PAGE:
        raise ValueError(f"error page {file} is larger than {MAX_PAGE} bytes")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"error page {file} is not UTF-8 (byte {error.start})") from error
    return kind, body


def redirect(method: bytes, host: bytes, port: int | None, target: bytes) -> bytes:
    """Return a whole answer that sends a client to the same target over https.

    301, or 308 for methods other than GET and HEAD, which clients would turn into GET (RFC 9110 section 15.4).

    Args:
        method: of the request.
        host: its validated host, with or without a port, which is replaced; an IPv6 address is in brackets.
        port: where https is, None for its default port.
        target: path and query as sent; ``*`` becomes ``/``.
    """
    name = _port.sub(b"", host)
    if port is not None and port != 443:
        name += b":%d" % port
    if not target.startswith(b"/"):
        target = b"/"
    location = _not_visible.sub(lambda found: b"%%%02X" % found[0][0], name + target)
    status = (
        HTTPStatus.MOVED_PERMANENTLY
        if method in {b"GET", b"HEAD"}
        else HTTPStatus.PERMANENT_REDIRECT
    )
    return (
        b"HTTP/1.1 %d %s\r\nLocation: https://%s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        % (status, status.phrase.encode(), location)
    )
