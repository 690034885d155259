"""Servers are found and told; what the network says of those who don't listen is passed on."""

import socket
from pathlib import Path

import pytest

from tests.subscriptions.client.conftest import Hearing
from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.servers import Server, ServerAddress, Sockets


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("127.0.0.1:3032", True),
        ("[::1]:3032", True),
        ("localhost:3032", True),
        ("/run/announce.sock", True),
        ("./announce.sock", True),
        ("10.0.0.1:3032", False),
        ("router.internal:3032", False),
    ],
)
def test_what_a_server_is(text: str, local: bool) -> None:
    server = Server.parse(text)
    assert str(server) == text
    assert server.is_local is local


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("router.internal", "has no port: write router.internal:3032"),
        ("", "has no port"),
        ("router.internal:0", "port 0"),
        ("router.internal:announce", "port 'announce'"),
        (":3032", "where to listen: write where it is found"),
        ("0.0.0.0:3032", "where to listen"),
        ("::1:3032", "in brackets"),
        ("http://router:3032", "write router:3032"),
    ],
)
def test_mistakes(text: str, reason: str) -> None:
    with pytest.raises(SubscribeError) as caught:
        Server.parse(text)
    assert reason in str(caught.value)


def test_all_addresses_of_a_name() -> None:
    found = Server.parse("localhost:3032").resolve()
    assert ServerAddress(socket.AF_INET, ("127.0.0.1", 3032)) in found
    assert len(found) == len(set(found))


def test_a_name_without_address() -> None:
    with pytest.raises(OSError, match=r"."):
        Server.parse("nobody.invalid:3032").resolve()


def test_nobody_listens_is_known_after_the_second_datagram(hearing: Hearing) -> None:
    (target,) = Server.parse(hearing.address).resolve()
    sockets = Sockets()
    assert sockets.send(target, b"1") is None
    assert hearing.sock.recv(10) == b"1"
    port = hearing.sock.getsockname()[1]
    hearing.sock.close()
    assert sockets.send(target, b"2") is None
    assert isinstance(sockets.send(target, b"3"), ConnectionRefusedError)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))
        again.settimeout(5)
        sockets.send(target, b"4")
        assert again.recv(10) == b"4"
        assert sockets.send(target, b"5") is None
    sockets.close()


def test_a_server_on_a_unix_socket_may_be_restarted(tmp_path: Path) -> None:
    path = tmp_path / "announce.sock"
    (target,) = Server.parse(str(path)).resolve()
    sockets = Sockets()
    assert isinstance(sockets.send(target, b"0"), FileNotFoundError)
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(str(path))
            assert sockets.send(target, b"1") is None
            assert server.recv(10) == b"1"
        assert isinstance(sockets.send(target, b"2"), ConnectionRefusedError)
        path.unlink()


def test_a_full_queue_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "announce.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        (target,) = Server.parse(str(path)).resolve()
        sockets = Sockets()
        outcomes = {type(sockets.send(target, b"x" * 1000)) for _ in range(2000)}
    assert outcomes == {type(None), BlockingIOError}
