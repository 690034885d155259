"""Requests for a host, one after the other, and what became of them."""

import http.client
import threading
from typing import Self


def ask(port: int, host: str = "shop.example", path: str = "/") -> int:
    """Ask once, and return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()


class Asking:
    """Requests in a thread, on one connection, until the block ends; one that fails is status 0.

    Attributes:
        statuses: of all, in order.
    """

    def __init__(self, port: int, host: str = "shop.example") -> None:
        self.statuses: list[int] = []
        self._port, self._host = port, host
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._over.is_set():
            try:
                connection.request("GET", "/", headers={"Host": self._host})
                answer = connection.getresponse()
                answer.read()
                self.statuses.append(answer.status)
            except (OSError, http.client.HTTPException):
                self.statuses.append(0)
                connection.close()
        connection.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
