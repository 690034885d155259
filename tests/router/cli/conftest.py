"""A server that does as it is told, for ``uwsgi-router get``."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

import pytest

from uwsgi_router.protocol.uwsgi import decode_header, decode_variables
from uwsgi_router.router.cli import get

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Server:
    """Takes one request, over uwsgi or HTTP, and answers with given bytes.

    Attributes:
        address: for the command line.
        variables: of a uwsgi request.
        head: of an HTTP request.
        body: of the request, as far as its length says.
    """

    def __init__(self, answer: bytes, family: int, where: object) -> None:
        self.answer = answer
        self.reset = False
        self.hold: threading.Event | None = None
        self.read_body = True
        self.variables: dict[bytes, bytes] = {}
        self.head = b""
        self.body = b""
        self._listener = socket.socket(family)
        self._listener.bind(where)  # type: ignore[arg-type]
        self._listener.listen()
        name = self._listener.getsockname()
        if family == socket.AF_UNIX:
            self.address = "@" + name[1:-1].decode() if isinstance(name, bytes) else name
        else:
            self.address = f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def fields(self) -> dict[str, str]:
        """Of an HTTP request."""
        lines = self.head.decode("utf-8", "surrogateescape").split("\r\n")[1:-2]
        return dict(line.split(": ", 1) for line in lines)

    def _serve(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        with sock, sock.makefile("rb") as stream:
            length = self._read(stream)
            if self.read_body:
                self.body = stream.read(length)
            sock.sendall(self.answer)
            if self.hold is not None:
                self.hold.wait(30)
            if self.reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def _read(self, stream: BinaryIO) -> int:
        """Read a request's head; return the length of its body."""
        start = stream.read(4)
        if start[:1] == b"\0":
            self.variables = dict(decode_variables(stream.read(decode_header(start)[1])))
            return int(self.variables[b"CONTENT_LENGTH"] or 0)
        self.head = start
        while not self.head.endswith(b"\r\n\r\n") and (line := stream.readline()):
            self.head += line
        return int(self.fields.get("Content-Length", 0))

    def close(self) -> None:
        if self.hold is not None:
            self.hold.set()
        # Wakes a server that nobody came to.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def start(
        answer: bytes = OK, family: int = socket.AF_INET, where: object = ("127.0.0.1", 0)
    ) -> Server:
        servers.append(Server(answer, family, where))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def fails(capfd: pytest.CaptureFixture[str], *arguments: str, status: int = 1) -> str:
    """Run ``get``; return its one line on standard error."""
    assert get.main(list(arguments)) == status
    err = capfd.readouterr().err
    assert err.startswith("uwsgi-router get: ")
    assert err.count("\n") == 1
    return err[len("uwsgi-router get: ") : -1]
