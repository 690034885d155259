"""uwsgi client of ``get``: one request and its answer."""

import re
import sys
from typing import Final

from uwsgi_router.protocol.address import Address
from uwsgi_router.router.cli.peer import GetError, PeerConnection, Phases, RequestBody

# No web server takes a longer head; an answer without an end of its head must not fill the memory.
MAX_HEAD: Final = 1024 * 1024
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"(?:HTTP/\d\.\d|Status:) ?(\d{3})")
_CONTENT_LENGTH = re.compile(
    rb"^content-length:[ \t]*(\d{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)


def exchange(
    address: Address,
    packet: bytes,
    body: RequestBody | None,
    timeout: float,
    phases: Phases,
    *,
    bodiless: bool = False,
) -> int:
    """Send ``packet`` and ``body``, write the answer's body to stdout; return its status.

    Args:
        address: where to.
        packet: header and variables.
        body: sent meanwhile.
        timeout: seconds for each step.
        phases: told of every step.
        bodiless: True if the answer has no body, whatever its head says (HEAD).

    Raises:
        GetError: if no whole answer came.
        BrokenPipeError: if nobody reads standard output any more.
    """
    with PeerConnection(address, timeout, phases) as peer:
        peer.send(packet, "variables")
        with peer.sending(body):
            status, missing = _receive(peer)
    if missing > 0 and status != 304 and not bodiless:
        raise GetError(f"the answer of {address} ended {missing} bytes before its Content-Length")
    return status


def _receive(peer: PeerConnection) -> tuple[int, int]:
    """Read one answer to the end of the connection; return status and missing bytes of body."""
    received = bytearray()
    end = None
    while end is None:
        data = peer.receive(started=bool(received))
        received += data
        end = _HEAD_END.search(received)
        if end is None and (not data or len(received) > MAX_HEAD):
            break
    if not received:
        raise GetError(
            f"{peer.address} closed the connection without an answer: no node for this host, "
            "or none that could be reached; see the router's log"
        )
    status = _STATUS_LINE.match(received)
    if end is None or status is None:
        raise not_http(peer, received)
    head = bytes(received[: end.start()])
    peer.phases.show_head(head)
    length = _CONTENT_LENGTH.search(head)
    promised = int(length[1]) if length else None
    out = sys.stdout.buffer
    data, size = bytes(received[end.end() :]), 0
    while True:
        size += len(data)
        out.write(data)
        try:
            data = peer.receive(started=True)
        except GetError:
            # A whole answer stays one, even if the connection was reset: the server may have
            # closed it without reading all that we sent.
            if promised is None or size < promised:
                raise
            data = b""
        if not data:
            break
    out.flush()
    peer.phases.tell(f"complete, {size} bytes of body")
    return int(status[1]), (promised or 0) - size


def not_http(peer: PeerConnection, received: bytes | bytearray) -> GetError:
    """Show what came, and return the error that says what it is not."""
    sys.stdout.buffer.write(received)
    sys.stdout.buffer.flush()
    return GetError(
        f"the answer of {peer.address} is not HTTP ({len(received)} bytes, shown as is)"
    )
