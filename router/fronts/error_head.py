"""The head of an error answer of our own, the same for HTTP clients and for web servers that speak uwsgi."""

from http import HTTPStatus
from typing import Final

_PHRASES: Final = {int(status): status.phrase for status in HTTPStatus}
# CONNECT is what is refused (RFC 9110 section 15.5.6 wants the others named).
_ALLOW: Final = "Allow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, TRACE"


def phrase_of(status: int) -> str:
    """Return what a status line says beside the number."""
    return _PHRASES.get(status, "Error")


def error_head(status: int, reason: str, request_id: str, kind: str, length: int) -> bytes:
    """Return a head whose connection is closed after the body; ``kind`` and ``length`` are the body's."""
    lines = [
        f"HTTP/1.1 {status} {phrase_of(status)}",
        f"Content-Type: {kind}",
        f"Content-Length: {length}",
        "Cache-Control: no-store",
        f"X-Uwsgi-Router-Request: {request_id}",
        f"X-Uwsgi-Router-Reason: {reason}",
    ]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        lines.append("Retry-After: 1")
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append(_ALLOW)
    lines.append("Connection: close")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
