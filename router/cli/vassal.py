"""Demo vassal: an application server that speaks uwsgi and announces itself.

It exists so that the demo needs nothing but this program; a real vassal is uWSGI. It answers one
request at a time, which is all that a demo asks for.
"""

import os
import selectors
import signal
import socket
import time
from typing import Final

from uwsgi_router.protocol.subscription import Command, Subscription, encode
from uwsgi_router.protocol.text import show
from uwsgi_router.protocol.uwsgi import HEADER_SIZE, PacketError, decode_header, decode_variables

#: Seconds between two announces; a router believes 17 s of silence.
ANNOUNCE_EVERY: Final = 2.0
# A client that connects and says nothing must not keep the others waiting for long.
_PATIENCE: Final = 2.0


class DemoVassal:
    """Vassal of a demonstration: application server for one key.

    Args:
        name: what its answers say.
        key: the host that it serves.
        table: address of the subscription server.
        lifeline: a socket that breaks when the parent process ends, and with it this one.
    """

    def __init__(
        self, name: str, key: str, table: tuple[str, int], lifeline: socket.socket
    ) -> None:
        self._name = name
        self._key = key.encode()
        self._table = table
        self._lifeline = lifeline
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._stopping = False
        self._requests = 0

    def run(self) -> None:
        """Serve until SIGTERM, or until the parent is gone."""
        woken, waker = socket.socketpair()
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        signal.signal(signal.SIGTERM, self._stop)
        # Ctrl-C reaches the whole terminal; the parent decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        next_announce = 0.0
        with selectors.DefaultSelector() as selector:
            for sock in (self._listener, self._lifeline, woken):
                selector.register(sock, selectors.EVENT_READ)
            while not self._stopping:
                if time.monotonic() >= next_announce:
                    self._announce("subscribe")
                    next_announce = time.monotonic() + ANNOUNCE_EVERY
                ready = selector.select(max(0.0, next_announce - time.monotonic()))
                readable = {key.fileobj for key, _ in ready}
                if self._lifeline in readable:
                    self._stopping = True
                if self._listener in readable:
                    self._accept()
        self._announce("unsubscribe")
        # Who was sent here before the router heard of it is still answered.
        while self._accept():
            pass

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _announce(self, command: Command) -> None:
        host, port = self._listener.getsockname()
        packet = encode(Subscription(command, self._key, f"{host}:{port}", cores=1))
        try:
            self._udp.sendto(packet, self._table)
        except OSError:
            # Nobody listens just now; the next announce will be heard.
            pass

    def _accept(self) -> bool:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return False
        with sock:
            sock.settimeout(_PATIENCE)
            try:
                self._answer(sock)
            except (OSError, PacketError):
                # The client went away or spoke something else: the next one may do better.
                pass
        return True

    def _answer(self, sock: socket.socket) -> None:
        _, size, _ = decode_header(_read(sock, HEADER_SIZE))
        variables = dict(decode_variables(_read(sock, size)))
        length = variables.get(b"CONTENT_LENGTH", b"")
        left = int(length) if length.isdigit() and len(length) < 19 else 0
        while left and (data := sock.recv(min(left, 65_536))):
            left -= len(data)
        self._requests += 1
        target = show(variables.get(b"REQUEST_URI", b"/"))
        text = (
            f"Hello from node {self._name}, pid {os.getpid()}: request {self._requests}, {target}\n"
        ).encode()
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(text)}\r\n\r\n"
        )
        sock.sendall(head.encode() + text)


def _read(sock: socket.socket, size: int) -> bytes:
    """Read exactly ``size`` bytes.

    Raises:
        PacketError: if the client sends fewer.
        OSError: if it is silent or gone.
    """
    received = b""
    while len(received) < size:
        data = sock.recv(size - len(received))
        if not data:
            raise PacketError(f"{len(received)} of {size} bytes came")
        received += data
    return received
