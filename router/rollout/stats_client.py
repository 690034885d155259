"""Statistics client: reads the document of a stats server, uWSGI's or ours, with a deadline of its own."""

import time
from typing import Any, Final

from uwsgi_router.protocol.address import AddressError, parse_address
from uwsgi_router.protocol.text import show, to_text
from uwsgi_router.router.rollout import tolerant
from uwsgi_router.subscriptions.client.readiness import connect_to

#: Bytes of a document.
MAX_DOCUMENT: Final = 64 * 1024 * 1024
# Seconds after which a server that says nothing is taken for one that waits for a request (stats-http).
_SILENCE: Final = 1.0
_CHUNK: Final = 65_536
_REQUEST: Final = b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"


class StatsError(Exception):
    """Error: there are no statistics; ``str()`` says why, with the address."""


class StatsClient:
    """Client of one stats server. Each question is a connection.

    Args:
        address: as written: a path, ``HOST:PORT``, ``:PORT`` or ``@name``; ``http://`` may stand before it.
        limit: seconds for a whole answer.
        silence: seconds after which a server that says nothing is asked over HTTP.

    Raises:
        StatsError: it is no address.
    """

    def __init__(self, address: str, limit: float = 5.0, silence: float = _SILENCE) -> None:
        self.address = address
        self._limit = limit
        self._silence = silence
        self._http = address.startswith("http://")
        bare = address.removeprefix("http://").rstrip("/") if self._http else address
        try:
            self._where = parse_address(bare)
        except AddressError as exc:
            raise StatsError(f"{show(address)}: {exc}") from exc

    def read(self) -> dict[str, Any]:
        """Return the document.

        Raises:
            StatsError: there is none in time.
        """
        try:
            data = self._received()
        except OSError as exc:
            raise StatsError(f"{show(self.address)}: {_reason(exc)}") from exc
        if data.startswith(b"HTTP/"):
            # uWSGI remembers nothing of it: it is asked so from the beginning the next time.
            self._http = True
            data = data.partition(b"\r\n\r\n")[2]
        try:
            document = tolerant.loads(to_text(data))
        except ValueError as exc:
            raise StatsError(f"{show(self.address)}: no statistics: {exc}") from exc
        if not isinstance(document, dict):
            raise StatsError(f"{show(self.address)}: no statistics, but {type(document).__name__}")
        return document

    def _received(self) -> bytes:
        end = time.monotonic() + self._limit
        with connect_to(self._where, self._limit) as sock:
            asked = self._http
            if asked:
                sock.sendall(_REQUEST)
            parts: list[bytes] = []
            size = 0
            while True:
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                quiet = not (asked or parts)
                sock.settimeout(min(left, self._silence) if quiet else left)
                try:
                    data = sock.recv(_CHUNK)
                except TimeoutError:
                    if not quiet:
                        raise
                    asked = True
                    sock.sendall(_REQUEST)
                    continue
                if not data:
                    return b"".join(parts)
                size += len(data)
                if size > MAX_DOCUMENT:
                    raise OSError(f"more than {MAX_DOCUMENT} bytes")
                parts.append(data)


def _reason(exc: OSError) -> str:
    return {
        ConnectionRefusedError: "nobody listens there",
        FileNotFoundError: "there is no such socket",
        PermissionError: "you may not connect there",
        TimeoutError: "no answer in time",
    }.get(type(exc), exc.strerror or str(exc))
