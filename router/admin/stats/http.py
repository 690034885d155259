"""HTTP for the stats port: detection, request parser, answer heads.

Pure functions over bytes. A general HTTP parser has no place here: nothing but the request line
and Host is of interest, no body is ever read, and each connection serves one request.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from uwsgi_router.protocol.address import is_ip

MAX_HEAD: Final = 8192
"""Bytes of request line and headers that are read at most."""

#: The document; metrics; whether the process turns; whether new requests are welcome here.
PATHS: Final = frozenset({"/", "/metrics", "/healthz", "/readyz"})

_METHOD = re.compile(rb"[A-Z]{1,20}(?:\Z| )")
_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]+) HTTP/1\.[0-9]\r?\n")
_HOST = re.compile(rb"^host:[ \t]*([^\r\n]*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_END = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class StatsRequest:
    """Request for a page that can be answered.

    Attributes:
        path: without the query.
        head_only: True for HEAD.
    """

    path: str
    head_only: bool


class RequestRefused(ValueError):
    """Refusal of a request; ``str()`` is the text of the answer."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


def speaks_http(received: bytes | bytearray) -> bool | None:
    """Return whether a client that sent these bytes wants HTTP; None if too few came to tell."""
    match = _METHOD.match(received)
    if match is None:
        return None if not received else False
    return True if match[0].endswith(b" ") else None


def head_is_complete(received: bytes | bytearray) -> bool:
    """Return True if the empty line after the headers has come."""
    return _END.search(received) is not None


def parse(received: bytes, *, loopback: bool) -> StatsRequest:
    """Read a request whose head is complete.

    Args:
        received: everything the client sent so far.
        loopback: the connection came in on a loopback address. A web page can make a browser send
            requests there under a name of its own (DNS rebinding) and read the answer, so only
            names that no stranger can own are served.

    Raises:
        RequestRefused: with the status to answer.
    """
    line = _REQUEST_LINE.match(received)
    if line is None:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "This is no HTTP/1 request.")
    end = _END.search(received)
    hosts = _HOST.findall(received, line.end() - 1, end.end() if end else len(received))
    if len(hosts) > 1:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "There is more than one Host.")
    if loopback and hosts and not _is_local(hosts[0]):
        raise RequestRefused(
            HTTPStatus.MISDIRECTED_REQUEST,
            "On loopback only localhost, IP addresses and names without a dot are served.",
        )
    method = line[1]
    path = line[2].partition(b"?")[0].decode("ascii")
    if path not in PATHS:
        text = "There are / (the stats document), /metrics, /healthz and /readyz."
        raise RequestRefused(HTTPStatus.NOT_FOUND, text)
    if method not in {b"GET", b"HEAD"}:
        raise RequestRefused(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD.")
    return StatsRequest(path, method == b"HEAD")


def answer_head(status: HTTPStatus, content_type: str) -> bytes:
    """Return the head of an answer whose body ends with the connection.

    There is deliberately no ``Access-Control-Allow-Origin``, not even with ``stats-http``, where
    uWSGI sends ``*``: any page that an operator has open could read the keys, node addresses and
    paths of a router within its reach.
    """
    allow = "Allow: GET, HEAD\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else ""
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {content_type}\r\n"
        f"{allow}"
        "Cache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n"
        "\r\n"
    ).encode("ascii")


def _is_local(host: bytes) -> bool:
    text = host.decode("latin-1").lower()
    name = text if text.endswith("]") else re.sub(r":\d*\Z", "", text)
    return is_ip(name.strip("[]")) or "." not in name or name.rstrip(".").endswith(".localhost")
