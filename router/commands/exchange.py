"""One request and its answer over a blocking socket, with a line for every step."""

import re
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from protocol.address import Address, InetAddress

_CHUNK: Final = 65_536
# No web server takes a longer head; an answer without an end of its head must not fill the memory.
_MAX_HEAD: Final = 1024 * 1024
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"(?:HTTP/\d\.\d|Status:) ?(\d{3})")
_CONTENT_LENGTH = re.compile(
    rb"^content-length:[ \t]*(\d{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)


class GetError(Exception):
    """No (whole) answer came; ``str()`` is the one line for the user."""


@dataclass(slots=True)
class Body:
    """What is sent after the packet.

    Attributes:
        file: where it is read from.
        size: how many bytes of it are sent.
    """

    file: BinaryIO
    size: int


@dataclass(slots=True)
class Phases:
    """When things happened, in milliseconds after the start; printed as they happen with ``-v``."""

    verbose: bool
    started: float = field(default_factory=time.perf_counter)

    def tell(self, what: str) -> None:
        """Say that ``what`` is done."""
        if self.verbose:
            elapsed = (time.perf_counter() - self.started) * 1000
            print(f"* {elapsed:9.2f} ms  {what}", file=sys.stderr, flush=True)


def exchange(
    address: Address,
    packet: bytes,
    body: Body | None,
    timeout: float,
    phases: Phases,
    *,
    bodiless: bool = False,
) -> int:
    """Send ``packet`` and ``body``, write the answer's body to stdout; return its status.

    Args:
        address: where to.
        packet: header and variables.
        body: sent meanwhile, because a node may answer before it has read everything.
        timeout: seconds for each step.
        phases: told of every step.
        bodiless: True if the answer has no body, whatever its head says (HEAD).

    Raises:
        GetError: if no whole answer came.
        BrokenPipeError: if nobody reads standard output any more.
    """
    with _connect(address, timeout) as sock:
        phases.tell(f"connected to {address}")
        try:
            sock.sendall(packet)
        except OSError as exc:
            raise GetError(f"cannot send to {address}: {_reason(exc)}") from exc
        phases.tell(f"sent {len(packet)} bytes of variables")
        if body is None:
            status, missing = _receive(sock, address, timeout, phases)
        else:
            with body.file:
                sender = threading.Thread(target=_send_body, args=(sock, body, phases))
                sender.start()
                try:
                    status, missing = _receive(sock, address, timeout, phases)
                finally:
                    _stop(sock)
                    sender.join()
    if missing > 0 and status != 304 and not bodiless:
        raise GetError(f"the answer of {address} ended {missing} bytes before its Content-Length")
    return status


def _connect(address: Address, timeout: float) -> socket.socket:
    try:
        if isinstance(address, InetAddress):
            return socket.create_connection((address.host or "127.0.0.1", address.port), timeout)
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        try:
            sock.connect(address.path)
        except BaseException:
            sock.close()
            raise
        return sock
    except OSError as exc:
        hint = {
            ConnectionRefusedError: "; nothing listens there",
            FileNotFoundError: "; nothing listens there",
            TimeoutError: f" within {timeout:g} s",
        }.get(type(exc), "")
        raise GetError(f"cannot connect to {address}: {_reason(exc)}{hint}") from exc


def _send_body(sock: socket.socket, body: Body, phases: Phases) -> None:
    left = body.size
    try:
        while left and (chunk := body.file.read(min(left, _CHUNK))):
            sock.sendall(chunk)
            left -= len(chunk)
    except OSError as exc:
        # Not an error yet: who has answered need not read the rest.
        phases.tell(f"the body was not taken whole, {left} bytes are left: {_reason(exc)}")
        return
    phases.tell(f"sent {body.size} bytes of body")


def _stop(sock: socket.socket) -> None:
    """End the connection under a sender that may be waiting to be read."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _receive(
    sock: socket.socket, address: Address, timeout: float, phases: Phases
) -> tuple[int, int]:
    """Read one answer to the end of the connection; return status and missing bytes of body."""
    received = bytearray()
    end = None
    while end is None:
        data = _next(sock, address, timeout, started=bool(received))
        if not received and data:
            phases.tell("first byte of the answer")
        received += data
        end = _HEAD_END.search(received)
        if end is None and (not data or len(received) > _MAX_HEAD):
            break
    if not received:
        raise GetError(
            f"{address} closed the connection without an answer: no node for this host, "
            "or none that could be reached; see the router's log"
        )
    status = _STATUS_LINE.match(received)
    out = sys.stdout.buffer
    if end is None or status is None:
        out.write(received)
        out.flush()
        raise GetError(f"the answer of {address} is not HTTP ({len(received)} bytes, shown as is)")
    head = bytes(received[: end.start()])
    if phases.verbose:
        for line in head.decode("utf-8", "backslashreplace").splitlines():
            print(f"< {line}", file=sys.stderr)
    length = _CONTENT_LENGTH.search(head)
    promised = int(length[1]) if length else None
    data, size = bytes(received[end.end() :]), 0
    while True:
        size += len(data)
        out.write(data)
        try:
            data = _next(sock, address, timeout, started=True)
        except GetError:
            # A whole answer stays one, even if the connection was reset: the server may have
            # closed it without reading all that we sent.
            if promised is None or size < promised:
                raise
            data = b""
        if not data:
            break
    out.flush()
    phases.tell(f"complete, {size} bytes of body")
    return int(status[1]), (promised or 0) - size


def _next(sock: socket.socket, address: Address, timeout: float, *, started: bool) -> bytes:
    try:
        return sock.recv(_CHUNK)
    except TimeoutError:
        what = "the answer of {} stopped" if started else "no answer from {}"
        raise GetError(f"{what.format(address)} for {timeout:g} s (--timeout)") from None
    except OSError as exc:
        where = "within" if started else "before"
        raise GetError(
            f"{address} broke the connection {where} the answer: {_reason(exc)}"
        ) from exc


def _reason(exc: OSError) -> str:
    return (exc.strerror or str(exc)).lower()
