"""Keys of on-demand vassals: looked up in a directory, and told to the Emperor, not too often."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from uwsgi_router.protocol.emperor import ON_DEMAND, WANTED, file_name_of
from uwsgi_router.router.routing.on_demand import OnDemandKeys


class Emperor:
    """The other side: files and the datagram socket."""

    def __init__(self, directory: Path) -> None:
        self.files = directory / ON_DEMAND
        self.files.mkdir()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(directory / WANTED))
        self.sock.setblocking(False)

    def put(self, key: bytes) -> None:
        (self.files / file_name_of(key)).touch()

    def heard(self) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(self.sock.recv(4096))
            except BlockingIOError:
                return found


@pytest.fixture
def emperor(tmp_path: Path) -> Iterator[Emperor]:
    made = Emperor(tmp_path)
    yield made
    made.sock.close()


def test_only_keys_that_the_emperor_has_are_told_and_once_in_a_while(
    emperor: Emperor, tmp_path: Path
) -> None:
    now = [10.0]
    keys = OnDemandKeys(str(tmp_path), lambda: now[0], pause=1.0)
    emperor.put(b"shop.example")
    assert not keys.wake([b"other.example"])
    assert keys.has([b"other.example", b"shop.example"])
    assert emperor.heard() == []
    assert keys.wake([b"other.example", b"shop.example"])
    assert keys.wake([b"shop.example"])
    assert emperor.heard() == [b"shop.example"]
    now[0] += 1.0
    assert keys.wake([b"shop.example"])
    assert emperor.heard() == [b"shop.example"]
    keys.close()


def test_keys_are_any_bytes(emperor: Emperor, tmp_path: Path) -> None:
    keys = OnDemandKeys(str(tmp_path), lambda: 0.0)
    key = b"../../etc/passwd\x00\xff/" + b"x" * 500
    assert not keys.wake([key])
    emperor.put(key)
    assert keys.wake([key])
    assert emperor.heard() == [key]
    keys.close()


def test_an_emperor_that_starts_again_hears_of_the_next_request(tmp_path: Path) -> None:
    keys = OnDemandKeys(str(tmp_path), lambda: 0.0)
    (tmp_path / ON_DEMAND).mkdir()
    (tmp_path / ON_DEMAND / file_name_of(b"a")).touch()
    assert keys.wake([b"a"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / WANTED))
        assert keys.wake([b"a"])
        assert sock.recv(10) == b"a"
    keys.close()
