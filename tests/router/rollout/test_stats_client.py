"""Statistics over sockets: what uWSGI and others do there, and how long that may take."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from uwsgi_router.router.rollout.stats_client import StatsClient, StatsError


@contextmanager
def server(serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server on a free port, which serves one client after the other in this way."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                serve(sock)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_a_document_in_pieces() -> None:
    def serve(sock: socket.socket) -> None:
        for piece in (b'{"a":', b'["b",]', b"}"):
            sock.sendall(piece)

    with server(serve) as address:
        assert StatsClient(address).read() == {"a": ["b"]}


def test_a_server_that_waits_for_a_request_gets_one_and_the_next_time_at_once() -> None:
    asked: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        asked.append(sock.recv(4096))
        sock.sendall(b'HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n{"a":1}')

    with server(serve) as address:
        client = StatsClient(address, silence=0.5)
        assert client.read() == {"a": 1}
        began = time.monotonic()
        assert client.read() == {"a": 1}
        assert time.monotonic() - began < 0.5
        assert StatsClient(f"http://{address}/", silence=60.0).read() == {"a": 1}
    assert all(one.startswith(b"GET / HTTP/1.0\r\n") for one in asked)


def test_a_server_that_trickles_has_so_long_in_all() -> None:
    def serve(sock: socket.socket) -> None:
        try:
            while True:
                sock.sendall(b" ")
                time.sleep(0.02)
        except OSError:
            pass

    with server(serve) as address, pytest.raises(StatsError, match="no answer in time"):
        StatsClient(address, limit=0.2).read()


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "no statistics"), (b"[1]", "no statistics, but list"), (b"<html>", "no statistics")],
)
def test_what_is_no_document(data: bytes, reason: str) -> None:
    with (
        server(lambda sock: sock.sendall(data)) as address,
        pytest.raises(StatsError, match=reason),
    ):
        StatsClient(address).read()


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(StatsError, match="there is no such socket"):
        StatsClient(str(tmp_path / "none.sock")).read()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "dead.sock"))
    with pytest.raises(StatsError, match="nobody listens there"):
        StatsClient(str(tmp_path / "dead.sock")).read()
    with pytest.raises(StatsError, match="port"):
        StatsClient("127.0.0.1:port")
