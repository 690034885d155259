"""Answers for web servers that speak uwsgi: heads of nodes' answers, error answers."""

from uwsgi_router.protocol.http.response_head import ResponseHead
from uwsgi_router.protocol.http.status import NO_CONTENT, SWITCHING_PROTOCOLS
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.fronts.error_head import error_head


def response_head(head: ResponseHead, length: int | None) -> bytes:
    """Return the head of an answer for a web server that reads it to the end of the connection.

    Args:
        head: of a node that speaks HTTP.
        length: bytes of the body; None if they are not known. Chunks are taken apart: ``uwsgi_pass`` does not.
    """
    parts = [head.start, b"\r\n", head.block]
    if head.status == SWITCHING_PROTOCOLS:
        parts.append(b"Upgrade: %b\r\nConnection: Upgrade\r\n" % head.upgrade)
    elif length:
        parts.append(b"Content-Length: %d\r\n" % length)
    elif head.content_length is not None and head.status != NO_CONTENT:
        parts.append(b"Content-Length: %d\r\n" % head.content_length)
    parts.append(b"\r\n")
    return b"".join(parts)


def failure_answer(failure: Failure, request_id: str) -> bytes:
    """Return the answer that a web server in front passes on (``fastrouter-errors=http``)."""
    status = failure.status
    text = f"{status.value} {status.phrase}: {failure.text}\nrequest {request_id}\n"
    body = text.encode("ascii", "backslashreplace")
    kind = "text/plain; charset=us-ascii"
    return error_head(status.value, failure.reason, request_id, kind, len(body)) + body
