"""A WebSocket echo server of the ``websockets`` package: in a thread, or ``python -m tests.lab.echo PORT``."""

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence
from http import HTTPStatus

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

#: Subprotocols that it knows.
SUBPROTOCOLS = (Subprotocol("chat"), Subprotocol("superchat"))


def handle(connection: ServerConnection) -> None:
    """Echo, by path: ``/close/CODE`` closes first; ``/fragments`` sends each message in three."""
    path = connection.request.path if connection.request else ""
    try:
        if path.startswith("/close/"):
            connection.close(int(path.rpartition("/")[2]), "as you wish")
        for message in connection:
            if path == "/fragments":
                cut = len(message) // 3
                connection.send((message[:cut], message[cut : 2 * cut], message[2 * cut :]))
            else:
                connection.send(message)
    except ConnectionClosed:
        pass  # The test looks at its own end.


def refuse(connection: ServerConnection, request: Request) -> Response | None:
    """Refuse the handshake at ``/refuse``."""
    if request.path == "/refuse":
        return connection.respond(HTTPStatus.FORBIDDEN, "no\n")
    return None


def choose(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Take the first that it knows; none is needed."""
    return next((name for name in offered if name in SUBPROTOCOLS), None)


def server(port: int = 0) -> Server:
    """Return a server on the loopback; it takes messages of any size, and compression."""
    return serve(
        handle,
        "127.0.0.1",
        port,
        process_request=refuse,
        select_subprotocol=choose,
        max_size=None,
        ping_interval=None,
        close_timeout=2,
    )


@contextlib.contextmanager
def echoing() -> Iterator[str]:
    """Serve in a thread; the value is its ``host:port``."""
    with server() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield "{}:{}".format(*running.socket.getsockname())
        finally:
            running.shutdown()
            thread.join()


if __name__ == "__main__":
    with server(int(sys.argv[1])) as running:
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        running.serve_forever()
