"""What the kernel tells of senders and files."""

import array
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from uwsgi_router.subscriptions.credentials import ask_for, may_use_key, receive, socket_owner
from uwsgi_router.subscriptions.sender import Credentials

ME = Credentials(os.getpid(), os.getuid(), os.getgid())


class Pair:
    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.path = str(directory / "server")
        self.server = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.server.bind(self.path)
        self.client = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.client.connect(self.path)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(tmp_path, stack)


def test_the_kernel_says_who_sent_it(pair: Pair) -> None:
    ask_for(pair.server)
    pair.client.send(b"hello")
    assert receive(pair.server, 100) == (b"hello", None, ME)


def test_a_datagram_that_was_queued_before_has_nobody(pair: Pair) -> None:
    pair.client.send(b"hello")
    ask_for(pair.server)
    assert receive(pair.server, 100) == (b"hello", None, None)


def test_descriptors_that_a_sender_attaches_stay_outside(pair: Pair) -> None:
    ask_for(pair.server)
    before = os.listdir("/proc/self/fd")
    handed = array.array("i", [0] * 20)
    for _ in range(10):
        pair.client.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handed)])
        assert receive(pair.server, 100)[2] == ME
    assert os.listdir("/proc/self/fd") == before


def test_a_key_belongs_to_whom_its_file_belongs(tmp_path: Path) -> None:
    directories = [os.fsencode(tmp_path / "none"), os.fsencode(tmp_path)]
    (tmp_path / "example.com:80").touch()
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "app").touch()
    assert may_use_key(ME, directories, b"example.com:80")
    assert may_use_key(ME, directories, b"host/app")
    assert not may_use_key(ME, directories, b"example.com")
    assert not may_use_key(Credentials(1, ME.uid + 1, ME.gid), directories, b"example.com:80")
    assert not may_use_key(Credentials(1, ME.uid, ME.gid + 1), directories, b"example.com:80")


@pytest.mark.parametrize(
    "key", [b"../mine", b"a/../../mine", b"/etc/passwd", b"..", b".", b"a//b", b"a\0", b"x" * 255]
)
def test_a_key_can_not_name_a_file_elsewhere(key: bytes, tmp_path: Path) -> None:
    """In uWSGI it can."""
    (tmp_path / "mine").touch()
    (tmp_path / "keys" / "a").mkdir(parents=True)
    assert not may_use_key(ME, [os.fsencode(tmp_path / "keys")], key)


def test_whose_socket_it_is(pair: Pair, tmp_path: Path) -> None:
    assert socket_owner(os.fsencode(pair.path)) == os.getuid()
    (tmp_path / "file").touch()
    for name in ("file", "none", "x" * 5000, "nul\0"):
        assert socket_owner(os.fsencode(tmp_path) + b"/" + name.encode()) is None
