"""Sockets that systemd opened, and telling it how we are."""

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.processes import run_python
from uwsgi_router.router.net.activation import Inherited, SystemdNotifier

LISTEN = """
import os, socket, sys
sys.path.insert(0, {here!r})
from uwsgi_router.router.net.activation import Inherited
os.environ["LISTEN_PID"] = str(os.getpid())
inherited = Inherited.from_environment(os.environ, os.getpid())
for unused in inherited.unused():
    print(unused.fd, unused.name, unused.sock.type.name, unused.sock.getsockname()[1],
          unused.sock.get_inheritable(), unused.sock.getblocking())
print([name for name in os.environ if name.startswith("LISTEN_")])
"""


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def run_with_descriptors(socks: list[socket.socket], names: str, count: str) -> list[str]:
    """Start a process with ``socks`` as descriptors 3, 4…; return the lines that it prints."""
    copies = [fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD, 200) for sock in socks]

    def place() -> None:
        for position, fd in enumerate(copies, 3):
            os.dup2(fd, position)

    root = str(Path(__file__).parents[3])
    try:
        done = run_python(
            LISTEN.format(here=root),
            env={"LISTEN_FDS": count, "LISTEN_FDNAMES": names},
            preexec_fn=place,
            close_fds=False,
            check=True,
        )
    finally:
        for fd in copies:
            os.close(fd)
    return (done.stdout + done.stderr).splitlines()


def test_sockets_of_systemd_are_taken_and_the_variables_are_gone(tcp: socket.socket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp_port = udp.getsockname()[1]
        lines = run_with_descriptors([tcp, udp], "web:table", "2")
    assert lines == [
        f"3 web SOCK_STREAM {tcp.getsockname()[1]} False False",
        f"4 table SOCK_DGRAM {udp_port} False False",
        "[]",
    ]


def test_a_descriptor_that_is_not_a_socket_is_told_and_left_alone(tcp: socket.socket) -> None:
    lines = run_with_descriptors([tcp], "web", "40")
    assert lines[0].startswith("3 web SOCK_STREAM")
    assert "descriptor 42 () of systemd is not a usable socket: Bad file descriptor" in lines


def test_sockets_meant_for_another_process_are_not_touched(
    caplog: pytest.LogCaptureFixture,
) -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "a:b:c", "HOME": "/"}
    assert not Inherited.from_environment(environ, 77).unused()
    assert environ == {"HOME": "/"}
    assert "LISTEN_FDS is meant for process 1, we are 77" in caplog.text


@pytest.mark.parametrize("count", ["-1", "many", "99999", "9999999999", "²"])
def test_a_nonsensical_number_of_sockets_is_told(
    count: str, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {"LISTEN_PID": "77", "LISTEN_FDS": count}
    assert not Inherited.from_environment(environ, 77).unused()
    assert f"LISTEN_FDS={count} is not a number of sockets" in caplog.text


def test_nothing_inherited_is_nothing_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    assert not Inherited.from_environment({}, 1).unused()
    assert not caplog.text


def test_a_socket_is_found_by_its_address_once(tcp: socket.socket) -> None:
    inherited = Inherited([tcp])
    address = tcp.getsockname()
    assert inherited.by_address(socket.AF_INET, socket.SOCK_DGRAM, address) == []
    other = (address[0], address[1] + 1)
    assert inherited.by_address(socket.AF_INET, socket.SOCK_STREAM, other) == []
    assert [unused.sock for unused in inherited.unused()] == [tcp]
    assert inherited.by_address(socket.AF_INET, socket.SOCK_STREAM, address) == [tcp]
    assert inherited.by_address(socket.AF_INET, socket.SOCK_STREAM, address) == []
    assert inherited.unused() == []


def test_the_ipv6_wildcard_of_systemd_serves_the_ipv4_wildcard() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as sock:
        port = sock.getsockname()[1]
        taken = Inherited([sock]).by_address(socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", port))
        assert taken == [sock]
        refused = Inherited([sock]).by_address(
            socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)
        )
        assert refused == []


def test_a_unix_socket_is_found_through_a_link_to_its_directory(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "run")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "run" / "s"))
        wanted = os.fsencode(tmp_path / "var" / "s")
        assert Inherited([sock]).by_address(socket.AF_UNIX, socket.SOCK_DGRAM, wanted) == [sock]


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_hears_of_start_and_stop(tmp_path: Path, abstract: bool) -> None:
    name = f"@router-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0", 1))
        manager.settimeout(5)
        environ = {"NOTIFY_SOCKET": name}
        notifier = SystemdNotifier.from_environment(environ)
        assert environ == {}
        notifier.ready("serving\nREADY=0")
        notifier.status("3 requests")
        notifier.stopping("draining")
        received = [manager.recv(1000) for _ in range(3)]
    assert received == [
        b"READY=1\nSTATUS=serving READY=0",
        b"STATUS=3 requests",
        b"STOPPING=1\nSTATUS=draining",
    ]


def test_nobody_is_notified_who_did_not_ask(caplog: pytest.LogCaptureFixture) -> None:
    SystemdNotifier.from_environment({}).ready("up")
    assert not caplog.text


def test_a_manager_that_is_gone_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    SystemdNotifier(str(tmp_path / "gone")).ready("up")
    SystemdNotifier("vsock:2:1234").ready("up")
    assert "cannot notify the service manager: No such file" in caplog.text
    assert "vsock:2:1234 is not a UNIX socket" in caplog.text
    assert all(record.levelno == logging.WARNING for record in caplog.records)
