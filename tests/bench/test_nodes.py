"""The lean nodes, spoken to byte by byte and in one piece."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bench import node
from bench.echo_node import echo, masked
from bench.programs import free_port
from bench.scenarios.nodes import lean
from uwsgi_router.protocol.uwsgi import encode_packet
from uwsgi_router.protocol.websocket import accept_key

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _exchange(sock: socket.socket, request: bytes, *, piece: int) -> bytes:
    """Send a request in pieces, and return everything to the end of the connection."""
    for start in range(0, len(request), piece):
        sock.sendall(request[start : start + piece])
    return b"".join(iter(lambda: sock.recv(65536), b""))


def _unix(stack: ExitStack, address: str) -> socket.socket:
    sock = stack.enter_context(socket.socket(socket.AF_UNIX))
    sock.settimeout(10)
    sock.connect(address)
    return sock


def _tcp(stack: ExitStack, port: int) -> socket.socket:
    return stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=10)))


@pytest.mark.parametrize("piece", [1, 1000])
def test_the_uwsgi_node_answers_a_whole_packet(
    stack: ExitStack, tmp_path: Path, piece: int
) -> None:
    address = lean(stack, "bench.node", f"{tmp_path}/node.sock")
    packet = encode_packet([(b"REQUEST_METHOD", b"GET"), (b"PATH_INFO", b"/" * 300)])
    assert _exchange(_unix(stack, address), packet, piece=piece) == node.ANSWER


def test_the_uwsgi_node_does_not_answer_half_a_packet(stack: ExitStack, tmp_path: Path) -> None:
    address = lean(stack, "bench.node", f"{tmp_path}/node.sock")
    for half in (b"\0", b"\0\5", b"\0\5\0\0abc"):
        sock = _unix(stack, address)
        sock.sendall(half)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""


@pytest.mark.parametrize("piece", [7, 100_000])
def test_the_bulk_node_reads_bodies_and_answers_as_much_as_it_was_told(
    stack: ExitStack, tmp_path: Path, piece: int
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 300000\r\n\r\n"
    body = bytes(5000)
    unix = lean(stack, "bench.bulk_node", f"{tmp_path}/node.sock", "uwsgi", "300000")
    packet = encode_packet([(b"REQUEST_METHOD", b"POST"), (b"CONTENT_LENGTH", b"5000")])
    got = _exchange(_unix(stack, unix), packet + body, piece=piece)
    assert got.startswith(answer)
    assert len(got) == len(answer) + 300_000

    port = free_port()
    lean(stack, "bench.bulk_node", f"127.0.0.1:{port}", "http", "300000")
    post = b"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 5000\r\n\r\n" + body
    sock = _tcp(stack, port)
    sock.sendall(post)
    first = b""
    while len(first) < len(got):
        first += sock.recv(65536)
    assert first == got
    # The connection is kept: a second request is answered, and the last one ends it.
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    sock.shutdown(socket.SHUT_WR)
    assert _exchange(sock, b"", piece=1) == got


def test_the_bulk_node_says_that_it_reads_no_chunks(stack: ExitStack) -> None:
    port = free_port()
    lean(stack, "bench.bulk_node", f"127.0.0.1:{port}", "http", "3")
    post = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert _exchange(_tcp(stack, port), post, piece=1000).startswith(b"HTTP/1.1 411 ")


def test_the_echo_node_shakes_hands_over_both_protocols(stack: ExitStack, tmp_path: Path) -> None:
    port = free_port()
    lean(stack, "bench.echo_node", f"127.0.0.1:{port}", "http")
    unix = lean(stack, "bench.echo_node", f"{tmp_path}/node.sock", "uwsgi")
    http = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nSec-WebSocket-Key: %b\r\n\r\n" % KEY
    uwsgi = encode_packet([(b"REQUEST_METHOD", b"GET"), (b"HTTP_SEC_WEBSOCKET_KEY", KEY)])
    for sock, hello in ((_tcp(stack, port), http), (_unix(stack, unix), uwsgi)):
        sock.sendall(hello)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"\r\nSec-WebSocket-Accept: " + accept_key(KEY) + b"\r\n" in head
        # A frame and a half, then the rest of it.
        mask = b"\1\2\3\4"
        frame = b"\x82\x85" + mask + masked(b"hello", mask)
        sock.sendall(frame + frame[:4])
        assert sock.recv(100) == b"\x82\x05hello"
        sock.sendall(frame[4:])
        assert sock.recv(100) == b"\x82\x05hello"


def test_the_echo_node_answers_who_asks_whether_it_is_up(stack: ExitStack) -> None:
    port = free_port()
    lean(stack, "bench.echo_node", f"127.0.0.1:{port}", "http")
    got = _exchange(_tcp(stack, port), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", piece=1000)
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")


def test_frames_are_echoed_without_their_masks() -> None:
    mask = b"\xaa\xbb\xcc\xdd"
    payload = bytes(range(64))
    frame = b"\x82\xc0" + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    assert echo(frame * 2 + frame[:9]) == ((b"\x82\x40" + payload) * 2, frame[:9])
    assert echo(b"\x89\x80" + mask) == (b"\x89\0", b"")


@pytest.mark.parametrize("frame", [b"\x82\x05hello", b"\x82\xfe\0\x80" + bytes(200)])
def test_frames_that_no_generator_of_ours_sends_are_refused(frame: bytes) -> None:
    with pytest.raises(ValueError, match="too long, or not masked"):
        echo(frame)
