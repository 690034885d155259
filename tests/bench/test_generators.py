"""The generators of our own: against the lean nodes, against servers that answer wrongly, and how they end."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from bench import heads
from bench.generator import drive
from bench.programs import MeasureError, free_port, module_process
from bench.scenarios.nodes import lean
from bench.transfers import request
from uwsgi_router.protocol.http.request import parse_request


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _echo(stack: ExitStack) -> int:
    port = free_port()
    lean(stack, "bench.echo_node", f"127.0.0.1:{port}", "http")
    return port


def _bulk(stack: ExitStack, size: int) -> int:
    port = free_port()
    lean(stack, "bench.bulk_node", f"127.0.0.1:{port}", "http", str(size))
    return port


def _server(stack: ExitStack, *answers: bytes) -> int:
    """Start a server that answers whatever comes with these, one after the other, and then closes."""

    def serve() -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                client, _peer = listening.accept()
                with client:
                    for answer in answers:
                        client.recv(65536)
                        client.sendall(answer)

    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve)
    thread.start()
    stack.callback(thread.join)
    stack.callback(listening.close)
    stack.callback(listening.shutdown, socket.SHUT_RDWR)  # wakes who accepts
    return int(listening.getsockname()[1])


def test_round_trips_are_counted(stack: ExitStack) -> None:
    run = drive("bench.round_trips", (_echo(stack), 4, 1), os.getpid(), 0.5)
    assert run.failed == 0
    assert run.count > 50
    assert 0.9 < run.seconds < 5


@pytest.mark.parametrize(("kind", "size"), [("get", 1_000_000), ("post", 3)])
def test_transfers_are_counted(stack: ExitStack, kind: str, size: int) -> None:
    port = _bulk(stack, size)
    run = drive("bench.transfers", (kind, port, 2, 1, 1_000_000), os.getpid(), 0.001)
    assert run.failed == 0
    assert run.count > 0.01
    assert run.spent > 0


def test_answers_of_another_size_are_failures(stack: ExitStack) -> None:
    port = _bulk(stack, 1000)
    with pytest.raises(MeasureError, match=r"nothing was answered: the answer was b'HTTP/1\.1 200"):
        drive("bench.transfers", ("get", port, 2, 1, 1001), os.getpid())


def test_answers_that_are_errors_are_failures(stack: ExitStack) -> None:
    port = _server(stack, b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(MeasureError, match=r"nothing was answered: the answer was b'HTTP/1\.1 503"):
        drive("bench.transfers", ("get", port, 2, 1, 1000), os.getpid())


def test_a_node_that_shakes_no_hands_is_one_sentence(stack: ExitStack) -> None:
    port = _bulk(stack, 3)
    with pytest.raises(
        MeasureError, match=r"bench\.round_trips gave up: the handshake was refused"
    ):
        drive("bench.round_trips", (port, 1, 1), os.getpid())


def test_nobody_at_the_port_is_one_sentence() -> None:
    with pytest.raises(MeasureError, match=r"bench\.transfers gave up: .*Connection refused"):
        drive("bench.transfers", ("get", free_port(), 1, 1, 3), os.getpid())


@pytest.mark.parametrize("module", ["bench.round_trips", "bench.transfers"])
def test_a_generator_ends_when_nobody_waits_for_it(stack: ExitStack, module: str) -> None:
    arguments = {
        "bench.round_trips": [str(_echo(stack)), "2", "600"],
        "bench.transfers": ["get", str(_bulk(stack, 1000)), "2", "600", "1000"],
    }[module]
    for told in ("", "go\n"):
        with module_process(module, *arguments) as generator:
            assert generator.stdout
            assert generator.stdin
            assert generator.stdout.readline() == "ready\n"
            generator.stdin.write(told)
            _output, error = generator.communicate(timeout=20)
        assert generator.returncode == 1
        assert error == "nobody waits for the result any more\n"


def test_an_upload_says_how_long_it_is() -> None:
    (head,) = heads.heads(heads.FROM_BROWSER, count=1)
    parsed = parse_request(request(head, 12_345))
    assert parsed is not None
    assert parsed.method == b"POST"
    assert parsed.content_length == 12_345
    download = parse_request(request(head, 0))
    assert download is not None
    assert download.method == b"GET"
    assert not download.has_body
