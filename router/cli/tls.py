"""TLS of ``get``: a socket that is encrypted, which one thread may read while another one writes."""

import socket
import ssl
import threading
from dataclasses import dataclass
from typing import Final

_CHUNK: Final = 65_536


@dataclass(frozen=True, slots=True)
class TlsClient:
    """TLS that a connection is to speak.

    Attributes:
        context: OpenSSL's settings.
        name: that is asked for, and that the certificate has to be for: a host name or an address.
    """

    context: ssl.SSLContext
    name: str


def tls_client(name: str, authorities: str | None, *, trusting: bool) -> TlsClient:
    """Return the TLS of a client.

    Args:
        name: see :class:`TlsClient`.
        authorities: file of those that are believed, PEM; None: the system's.
        trusting: take any certificate.

    Raises:
        OSError: the file can't be read, or holds none (``ssl.SSLError``).
    """
    context = ssl.create_default_context(cafile=authorities)
    if trusting:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return TlsClient(context, name)


class TlsSocket:
    """Connected socket that speaks TLS.

    OpenSSL's object is used by one thread at a time; both wait for the network outside of that.

    Args:
        sock: connected, with a timeout; it is closed by :meth:`close`.
        client: what to speak.

    Raises:
        OSError: the handshake has failed (``ssl.SSLError``), or the connection.
    """

    def __init__(self, sock: socket.socket, client: TlsClient) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = client.context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=client.name
        )
        self._lock, self._sending = threading.Lock(), threading.Lock()
        try:
            while not self._try_handshake():
                self._read_more()
        except ssl.SSLError:
            # The alert says why.
            self._flush()
            raise

    @property
    def spoken(self) -> str:
        """Version and cipher."""
        cipher = self._tls.cipher()
        return f"{self._tls.version()}, {cipher[0] if cipher else 'no cipher'}"

    def _try_handshake(self) -> bool:
        try:
            self._tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = False
        self._flush()
        return done

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        for start in range(0, len(data), _CHUNK):
            with self._lock:
                self._tls.write(data[start : start + _CHUNK])
            self._flush()

    def recv(self, size: int) -> bytes:
        """Return some bytes, b"" at the end."""
        while True:
            try:
                with self._lock:
                    return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._read_more()
            except ssl.SSLZeroReturnError:
                return b""

    def shutdown(self, how: int) -> None:
        """End one direction of the connection, or both, as it is: without a word of TLS."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Close it."""
        self._sock.close()

    def _flush(self) -> None:
        # Whoever comes first sends for both: records stay in order.
        with self._sending:
            with self._lock:
                data = self._outgoing.read()
            self._sock.sendall(data)

    def _read_more(self) -> None:
        data = self._sock.recv(_CHUNK)
        with self._lock:
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()
