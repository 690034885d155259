"""Much data, in both directions, and towards a client that does not take it."""

import fcntl
import hashlib
import socket
import struct
import termios
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.commands import Router
from tests.lab.messages import from_web_server
from tests.lab.place import Place
from tests.lab.waiting import wait_until
from tests.peers.app import pattern

pytestmark = pytest.mark.peers

MEGABYTE = 1_000_000


def send_request(router: Router, path: str, query: str, content_length: int = 0) -> socket.socket:
    """Open a connection as a web server does and send the request, without its body."""
    sock = router.connect()
    sock.settimeout(20)
    sock.sendall(from_web_server(path, query, length=content_length, protocol="HTTP/1.0"))
    return sock


def read_answer(sock: socket.socket) -> bytes:
    """Read to the end and return what follows the head."""
    answer = b"".join(iter(lambda: sock.recv(1 << 20), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"HTTP/1.0 200 OK", head[:200]
    return body


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_8_mb_in_both_directions_at_once_pass(lab: Place, family: str) -> None:
    router = lab.router()
    address = str(lab.directory / "app.sock") if family == "unix" else None
    vassal = lab.vassal("duplex", router, address=address)
    router.wait_for_nodes(vassal.address)
    size = 8 * MEGABYTE
    upload = b"".join(pattern(size))
    with (
        ThreadPoolExecutor() as thread,
        send_request(router, "/duplex", f"size={size}", size) as sock,
    ):
        sending = thread.submit(sock.sendall, upload)
        body = read_answer(sock)
        sending.result()
    assert hashlib.sha256(body[:size]).digest() == hashlib.sha256(upload).digest()
    assert body[size:].decode() == hashlib.sha256(upload).hexdigest()


def test_a_client_that_reads_nothing_of_a_large_answer_does_not_fill_the_router(lab: Place) -> None:
    router = lab.router()
    vassal = lab.vassal("large", router)
    router.wait_for_nodes(vassal.address)
    size = 200 * MEGABYTE
    with send_request(router, "/download", f"size={size}") as sock:
        wait_until_nothing_moves(sock)
        assert router.peak_memory() < 64 * 1024 * 1024
        assert len(read_answer(sock)) == size
    assert router.peak_memory() < 64 * 1024 * 1024


def wait_until_nothing_moves(sock: socket.socket) -> None:
    """Wait until the kernel's buffer of unread bytes has not grown for half a second."""
    last, since = 0, time.monotonic()

    def full() -> bool:
        nonlocal last, since
        (unread,) = struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4))
        if unread != last:
            last, since = unread, time.monotonic()
        return bool(unread) and time.monotonic() - since > 0.5

    wait_until(full, "the client's buffer is full")
