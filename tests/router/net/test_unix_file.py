"""The file of a UNIX socket."""

import os
import socket
import stat
from pathlib import Path

import pytest

from uwsgi_router.router.net.unix_file import SocketFile, SocketFileError, make_free, set_access

KINDS = [socket.SOCK_STREAM, socket.SOCK_DGRAM]


def bound(path: Path, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(str(path))
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_dead_process_left_is_removed(tmp_path: Path, kind: socket.SocketKind) -> None:
    path = tmp_path / "s"
    bound(path, kind).close()
    make_free(os.fsencode(path), kind)
    assert not path.exists()
    make_free(os.fsencode(path), kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("theirs", KINDS)
def test_the_socket_of_a_living_process_stays(
    tmp_path: Path, kind: socket.SocketKind, theirs: socket.SocketKind
) -> None:
    path = tmp_path / "s"
    with bound(path, theirs), pytest.raises(SocketFileError, match="another process listens"):
        make_free(os.fsencode(path), kind)
    assert path.exists()


def test_a_living_process_whose_backlog_is_full_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with bound(path, socket.SOCK_STREAM) as busy, socket.socket(socket.AF_UNIX) as client:
        busy.listen(0)
        client.connect(str(path))
        with pytest.raises(SocketFileError, match="another process listens there"):
            make_free(os.fsencode(path), socket.SOCK_STREAM)
    assert path.exists()


@pytest.mark.parametrize("make", ["file", "directory", "link"])
def test_what_is_not_a_socket_stays(tmp_path: Path, make: str) -> None:
    path = tmp_path / "precious"
    if make == "file":
        path.write_text("data")
    elif make == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SocketFileError, match="a file that is not a socket is there"):
        make_free(os.fsencode(path), socket.SOCK_STREAM)
    assert os.path.lexists(path)


def test_mode_and_owner_are_set(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with bound(path, socket.SOCK_STREAM):
        owner = f"{os.getuid()}:{os.getgid()}"
        set_access(os.fsencode(path), 0o640, owner)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        set_access(os.fsencode(path), None, None)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_names_work_as_owner(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with bound(path, socket.SOCK_STREAM):
        set_access(os.fsencode(path), None, "nobody:daemon")
        status = path.stat()
    assert (status.st_uid, status.st_gid) == (65534, 1)


@pytest.mark.parametrize("owner", ["nobody-here", ":no-such-group", "0:no-such-group"])
def test_an_unknown_owner_is_told(tmp_path: Path, owner: str) -> None:
    path = tmp_path / "s"
    with bound(path, socket.SOCK_STREAM), pytest.raises(SocketFileError, match=owner):
        set_access(os.fsencode(path), None, owner)


def test_our_file_is_removed_even_from_another_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with bound(Path("s"), socket.SOCK_STREAM):
        file = SocketFile(b"s")
        monkeypatch.chdir("/")
        file.remove()
        file.remove()
    assert not (tmp_path / "s").exists()


def test_the_file_of_our_successor_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with bound(path, socket.SOCK_STREAM):
        file = SocketFile(os.fsencode(path))
        # Its inode must be another one: the first is still in use while the second is made.
        path.rename(tmp_path / "old")
        with bound(path, socket.SOCK_STREAM):
            file.remove()
            assert path.exists()
