"""A zerg server in this process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uwsgi_router.router.net.zerg import give_sockets


@contextmanager
def zerg_server(path: Path) -> Iterator[None]:
    """Give a socket to whoever connects there."""
    with (
        socket.create_server(("127.0.0.1", 0)) as given,
        socket.socket(socket.AF_UNIX) as server,
    ):
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            try:
                while True:
                    with server.accept()[0] as client:
                        give_sockets(client, [given])
            except OSError:
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
