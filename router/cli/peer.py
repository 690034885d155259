"""Peer of ``get``: a blocking socket with timeouts, and a log line for every step."""

import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO, Final, Self

from uwsgi_router.protocol.address import Address
from uwsgi_router.protocol.text import show
from uwsgi_router.router.cli.tls import TlsClient, TlsSocket
from uwsgi_router.subscriptions.client.readiness import connect_to

_CHUNK: Final = 65_536


class GetError(Exception):
    """Error: no (whole) answer came; ``str()`` is the one line for the user."""


@dataclass(slots=True)
class RequestBody:
    """Body of the request, from a file.

    Attributes:
        file: where it is read from.
        size: how many bytes of it are sent.
    """

    file: BinaryIO
    size: int


@dataclass(slots=True)
class Phases:
    """Timestamps of the steps, in milliseconds after the start; printed as they happen with ``-v``."""

    verbose: bool
    started: float = field(default_factory=time.perf_counter)

    def tell(self, what: str) -> None:
        """Say that ``what`` is done."""
        if self.verbose:
            elapsed = (time.perf_counter() - self.started) * 1000
            print(f"* {elapsed:9.2f} ms  {what}", file=sys.stderr, flush=True)

    def show_head(self, head: bytes) -> None:
        """Show the head of an answer."""
        if self.verbose:
            for line in show(head).splitlines():
                print(f"< {line}", file=sys.stderr)


class PeerConnection:
    """Connection to a server, from connect to close. Use it in ``with``.

    Args:
        address: where to.
        timeout: seconds for each step.
        phases: told of every step.
        tls: what the connection speaks; None: no TLS.

    Raises:
        GetError: if nobody takes the connection.
    """

    def __init__(
        self, address: Address, timeout: float, phases: Phases, tls: TlsClient | None = None
    ) -> None:
        self.address = address
        self.phases = phases
        self._timeout = timeout
        sock = self._connect()
        phases.tell(f"connected to {address}")
        self._sock: socket.socket | TlsSocket = sock
        if tls is not None:
            self._sock = self._secured(sock, tls)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sock.close()

    def _connect(self) -> socket.socket:
        address, timeout = self.address, self._timeout
        try:
            return connect_to(address, timeout)
        except OSError as exc:
            hint = {
                ConnectionRefusedError: "; nothing listens there",
                FileNotFoundError: "; nothing listens there",
                TimeoutError: f" within {timeout:g} s",
            }.get(type(exc), "")
            raise GetError(f"cannot connect to {address}: {_reason(exc)}{hint}") from exc

    def _secured(self, sock: socket.socket, tls: TlsClient) -> TlsSocket:
        """Shake hands."""
        address, hint = self.address, ""
        try:
            secured = TlsSocket(sock, tls)
        except OSError as exc:
            sock.close()
            reason = _reason(exc)
            if isinstance(exc, ssl.SSLCertVerificationError):
                reason = f"its certificate is refused: {exc.verify_message}"
                hint = "; --cacert FILE names who is to be believed, -k takes any certificate"
            elif isinstance(exc, TimeoutError):
                reason = f"no answer within {self._timeout:g} s"
            elif isinstance(exc, ssl.SSLError):
                reason = (exc.reason or reason).lower().replace("_", " ")
            raise GetError(f"no TLS with {address} for {tls.name}: {reason}{hint}") from exc
        self.phases.tell(f"shook hands: {secured.spoken}")
        return secured

    def send(self, data: bytes, what: str) -> None:
        """Send the head of a request; ``what`` it is made of.

        Raises:
            GetError: if it was not taken.
        """
        try:
            self._sock.sendall(data)
        except OSError as exc:
            raise GetError(f"cannot send to {self.address}: {_reason(exc)}") from exc
        self.phases.tell(f"sent {len(data)} bytes of {what}")

    @contextmanager
    def sending(self, body: RequestBody | None) -> Iterator[None]:
        """Send a body meanwhile, because a server may answer before it has read everything."""
        if body is None:
            yield
            return
        with body.file:
            sender = threading.Thread(target=self._send_body, args=(body,))
            sender.start()
            try:
                yield
            finally:
                # The sender may be waiting to be read.
                try:
                    self._sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                sender.join()

    def _send_body(self, body: RequestBody) -> None:
        left = body.size
        try:
            while left and (chunk := body.file.read(min(left, _CHUNK))):
                self._sock.sendall(chunk)
                left -= len(chunk)
        except OSError as exc:
            # Not an error yet: who has answered need not read the rest.
            self.phases.tell(f"the body was not taken whole, {left} bytes are left: {_reason(exc)}")
            return
        self.phases.tell(f"sent {body.size} bytes of body")

    def receive(self, *, started: bool) -> bytes:
        """Return the next bytes, b"" at the end; ``started``: there were some before.

        Raises:
            GetError: if none came in time, or the connection broke.
        """
        try:
            data = self._sock.recv(_CHUNK)
        except TimeoutError:
            what = "the answer of {} stopped" if started else "no answer from {}"
            text = f"{what.format(self.address)} for {self._timeout:g} s (--timeout)"
            raise GetError(text) from None
        except OSError as exc:
            where = "within" if started else "before"
            raise GetError(
                f"{self.address} broke the connection {where} the answer: {_reason(exc)}"
            ) from exc
        if data and not started:
            self.phases.tell("first byte of the answer")
        return data


def _reason(exc: OSError) -> str:
    return (exc.strerror or str(exc)).lower()
