"""Where to connect, and what a failure means."""

import errno
import os
import select
import socket
from pathlib import Path

import pytest

from tests.lab.nodes import BusyUnix
from uwsgi_router.protocol.address import InetAddress, UnixAddress, parse_address
from uwsgi_router.router.net.connect import BUSY, SHORTAGE, begin, endpoint, is_name, outcome


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:80", (socket.AF_INET, ("127.0.0.1", 80))),
        (":80", (socket.AF_INET, ("127.0.0.1", 80))),
        ("0.0.0.0:80", (socket.AF_INET, ("127.0.0.1", 80))),
        ("[::1]:80", (socket.AF_INET6, ("::1", 80))),
        ("/run/a.sock", (socket.AF_UNIX, b"/run/a.sock")),
        ("@a", (socket.AF_UNIX, b"\0a\0")),
        ("app.test:80", None),
    ],
)
def test_endpoint(text: str, expected: object) -> None:
    address = parse_address(text)
    assert endpoint(address) == expected
    assert is_name(address) is (expected is None)


def test_a_unix_node_is_connected_at_once(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        sock, connected = begin((socket.AF_UNIX, os.fsencode(tmp_path / "s")))
        with sock:
            assert connected
            assert not sock.getblocking()


def test_a_tcp_node_is_connected_when_it_is_writable_and_without_nagle() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        sock, connected = begin((socket.AF_INET, listener.getsockname()))
        with sock:
            if not connected:
                select.select([], [sock], [], 5)
                outcome(sock)
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not sock.getblocking()


def test_a_refused_tcp_connect_is_told_by_its_outcome() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        sock, _connected = begin((socket.AF_INET, nobody.getsockname()))
        with sock:
            select.select([], [sock], [], 5)
            with pytest.raises(ConnectionRefusedError) as caught:
                outcome(sock)
            assert caught.value.strerror


def test_a_missing_and_a_dead_unix_node_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        begin((socket.AF_UNIX, os.fsencode(tmp_path / "missing")))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "dead"))
    with pytest.raises(ConnectionRefusedError):
        begin((socket.AF_UNIX, os.fsencode(tmp_path / "dead")))


def test_a_path_that_no_socket_can_have_is_an_error_of_that_node() -> None:
    with pytest.raises(OSError, match="too long"):
        begin((socket.AF_UNIX, b"/" + b"x" * 200))


def test_a_full_backlog_is_busy(tmp_path: Path) -> None:
    busy = BusyUnix(tmp_path / "busy")
    with pytest.raises(BlockingIOError) as caught:
        begin((socket.AF_UNIX, os.fsencode(busy.address)))
    assert caught.value.errno in BUSY
    busy.close()


def test_what_says_something_about_the_node_is_no_shortage_of_ours() -> None:
    assert not {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENOENT, errno.EACCES} & SHORTAGE
    assert endpoint(UnixAddress(b"/a")) is not None
    assert endpoint(InetAddress("app.test", 1)) is None


def test_a_tenants_socket_is_connected_only_while_it_is_the_tenants(tmp_path: Path) -> None:
    """Also through a link, for what counts is what is there at that moment."""
    path, link = tmp_path / "s", tmp_path / "link"
    link.symlink_to(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        for where in (path, link):
            target = (socket.AF_UNIX, os.fsencode(where))
            sock, connected = begin(target, os.getuid())
            with sock:
                assert connected
                assert sock.getpeername() == str(path)
            before = len(os.listdir("/proc/self/fd"))
            with pytest.raises(PermissionError, match="belongs to user") as caught:
                begin(target, os.getuid() + 1)
            assert caught.value.errno not in BUSY | SHORTAGE
            assert len(os.listdir("/proc/self/fd")) == before


def test_what_a_tenant_put_in_a_sockets_place_is_not_connected(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PermissionError, match="is no socket"):
        begin((socket.AF_UNIX, os.fsencode(tmp_path / "file")), os.getuid())
    with pytest.raises(FileNotFoundError):
        begin((socket.AF_UNIX, os.fsencode(tmp_path / "none")), os.getuid())


def test_tcp_nodes_have_no_owner_to_look_at() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock, _ = begin((socket.AF_INET, listener.getsockname()), os.getuid() + 1)
        sock.close()
