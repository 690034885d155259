"""Load generator of new connections: each is opened, asks once, and is closed; over TLS or without.

``python -m bench.handshakes KIND PORT CONNECTIONS SECONDS`` (see :mod:`bench.generator`). KIND is ``plain``, or a
version of TLS with ``full`` or ``resumed``: ``1.3-full``. CONNECTIONS are those open at once, each by a thread: OpenSSL
works outside of the interpreter's lock.
"""

import json
import socket
import ssl
import sys
import threading
import time
from dataclasses import asdict

from bench.generator import Done
from bench.heads import HOST

PLAIN = "plain"
KINDS = (PLAIN, "1.3-full", "1.3-resumed", "1.2-full", "1.2-resumed")
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()


def main() -> None:
    """Load a router."""
    kind, *numbers = sys.argv[1:]
    port, connections, seconds = map(int, numbers)
    callers = [Caller(kind, port) for _ in range(connections)]
    for caller in callers:
        # The first one has no session to resume.
        caller.call()
    print("ready", flush=True)
    if not sys.stdin.readline():
        sys.exit("nobody waits for the result any more")
    done, began = Done(), time.monotonic()
    threads = [
        threading.Thread(target=caller.call_until, args=(began + seconds,)) for caller in callers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.seconds = time.monotonic() - began
    done.count = sum(caller.count for caller in callers)
    for caller in callers:
        if caller.error:
            done.fail(caller.error)
    print(json.dumps(asdict(done)), flush=True)


class Caller:
    """Caller that makes one connection after the other.

    Args:
        kind: one of KINDS.
        port: of the router.

    Attributes:
        count: connections whose request was answered.
        error: why it has given up; "": it has not.
    """

    def __init__(self, kind: str, port: int) -> None:
        self._port = port
        self._context: ssl.SSLContext | None = None
        self._resumes = kind.endswith("-resumed")
        self._session: ssl.SSLSession | None = None
        self.count = 0
        self.error = ""
        if kind != PLAIN:
            context = self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            # Whose certificate it is, costs the router nothing.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.minimum_version = context.maximum_version = _VERSIONS[kind[:3]]

    def call_until(self, end: float) -> None:
        """Make connections until then, or until one fails."""
        try:
            while time.monotonic() < end:
                self.call()
                self.count += 1
        except (OSError, ValueError) as exc:
            self.error = str(exc)

    def call(self) -> None:
        """Make one connection.

        Raises:
            OSError: it has failed.
            ValueError: it was not answered as it should, or not resumed where it should.
        """
        with socket.create_connection(("127.0.0.1", self._port), timeout=10) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is None:
                _ask(sock)
                return
            with self._context.wrap_socket(
                sock, server_hostname=HOST, session=self._session
            ) as tls:
                _ask(tls)
                if self._resumes:
                    if self._session is not None and not tls.session_reused:
                        raise ValueError("the session was not resumed")
                    self._session = tls.session


def _ask(sock: socket.socket) -> None:
    sock.sendall(_REQUEST)
    answer = b""
    while data := sock.recv(65_536):
        answer += data
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise ValueError(f"the answer was {answer[:200]!r}")


if __name__ == "__main__":
    main()
