"""Parts of a rollout: patterns, files, logs, locks, the health gate, fifos."""

import os
import select
import socket
import threading
from pathlib import Path

import pytest

from uwsgi_router.protocol.uwsgi import decode_header, decode_variables
from uwsgi_router.router.rollout.fifo_guard import TOGGLE, FifoGuard, command
from uwsgi_router.router.rollout.health import HealthGate
from uwsgi_router.router.rollout.lock import EmperorLock, KeptOut, LockTaken
from uwsgi_router.router.rollout.log_tail import LogTail
from uwsgi_router.router.rollout.observer import parent_of, sources
from uwsgi_router.router.rollout.settings import filled_in
from uwsgi_router.router.rollout.views import NodePlace, SeenNode
from uwsgi_router.router.rollout.withdrawal import unsubscribe


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/run/%n.fifo", "/run/one.fifo"),
        ("%d%s.fifo", "/etc/v/one.ini.fifo"),
        ("100%%n", "100%n"),
        ("%%%n%", "%one%"),
        ("%x/%n", "%x/one"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_patterns(pattern: str, path: str) -> None:
    assert filled_in(pattern, "one", "/etc/v/one.ini") == path


def test_files_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "b.ini").write_text("")
    (tmp_path / "a.ini").symlink_to("b.ini")
    (tmp_path / "lost.ini").symlink_to("nothing")
    (tmp_path / "d.ini").mkdir()
    (tmp_path / "other.txt").write_text("")
    os.utime(tmp_path / "b.ini", (5, 5))
    os.utime(tmp_path / "a.ini", (7, 7), follow_symlinks=False)
    a, b, lost = sources(str(tmp_path), ".ini")
    assert (a.name, a.base, a.path) == ("a", "a.ini", str(tmp_path / "a.ini"))
    assert (a.link, a.link_mtime, a.mtime, a.ours) == (True, 7, 5, True)
    assert (b.name, b.link, b.there) == ("b", False, True)
    assert (lost.link, lost.there) == (True, False)


def test_the_parent_of_a_process() -> None:
    assert parent_of(os.getpid()) == os.getppid()
    assert parent_of(2**22 + 1) == 0


def test_the_last_lines_are_those_behind_the_end_that_was_noted(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("old\n")
    tail = LogTail.of_file(str(log))
    assert tail.lines() == []
    with log.open("a") as file:
        file.write("".join(f"line {number}\n\n" for number in range(30)) + "\x1b[31mred\n")
    assert tail.lines()[0] == "line 11"
    assert tail.lines()[-1] == "\\x1b[31mred"
    assert len(tail.lines()) == 20
    log.rename(tmp_path / "x.log.1")
    log.write_text("a new file\n")
    assert tail.lines() == ["a new file"]
    assert LogTail.of_file(str(tmp_path / "later.log")).lines() == []
    assert LogTail.of_process(-1).lines() == []


def test_the_last_lines_are_of_the_last_start_that_failed(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    tail = LogTail.of_file(str(log))
    begin = "*** Starting uWSGI 2.0.31 (64bit) ***\n"
    log.write_text(f"{begin}ImportError: first\n{begin}ImportError: second\n{begin}python\n" * 2)
    assert tail.lines() == [begin.strip(), "ImportError: second"]
    log.write_text(f"gone\n{begin}well\n")
    assert tail.lines() == ["gone", begin.strip(), "well"]


def test_a_lock_is_of_the_directory_however_it_is_called(tmp_path: Path) -> None:
    link = tmp_path.with_name(tmp_path.name + "-link")
    link.symlink_to(tmp_path)
    with EmperorLock(str(tmp_path)), pytest.raises(LockTaken, match="another rollout of"):
        EmperorLock(str(link)).__enter__()
    with EmperorLock(str(link)):
        pass
    with pytest.raises(LockTaken, match="No such file"):
        EmperorLock(str(tmp_path / "none")).__enter__()


def test_nodes_that_were_left_out_are_remembered_and_forgotten(tmp_path: Path) -> None:
    directories = [str(tmp_path / ("way" * 100)), str(tmp_path / "notes")]
    kept = KeptOut(directories, str(tmp_path))
    assert kept.read() == frozenset()
    kept.write({"a", "b"})
    assert KeptOut(directories, str(tmp_path)).read() == {"a", "b"}
    (note,) = (tmp_path / "notes").iterdir()
    assert note.stat().st_mode & 0o777 == 0o600
    note.write_text("nonsense")
    assert kept.read() == frozenset()
    kept.write(())
    assert list((tmp_path / "notes").iterdir()) == []


def node_that_answers(answer: bytes, seen: list[bytes]) -> tuple[str, threading.Thread]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as sock:
            seen.append(sock.recv(65_536))
            sock.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return f"127.0.0.1:{listener.getsockname()[1]}", thread


@pytest.mark.parametrize(
    ("gate", "answer", "trouble", "answered"),
    [
        (HealthGate(), b"HTTP/1.1 200 OK\r\n\r\n", "", True),
        (HealthGate(), b"HTTP/1.1 404 Not Found\r\n\r\n", "", True),
        (HealthGate(), b"HTTP/1.1 500 X\r\n\r\n", "answers GET / for example.com with 500", True),
        (
            HealthGate("/up", 400),
            b"HTTP/1.0 404 X\r\n\r\n",
            "GET /up for example.com with 404",
            True,
        ),
        (HealthGate(), b"rubbish\r\n\r\n", "with no HTTP", True),
        (HealthGate(), b"", "does not answer GET /: Remote end closed", False),
    ],
)
@pytest.mark.parametrize("http", [True, False])
def test_the_health_gate(
    gate: HealthGate, answer: bytes, trouble: str, answered: bool, http: bool
) -> None:
    seen: list[bytes] = []
    address, thread = node_that_answers(answer, seen)
    node = SeenNode(NodePlace("r", "example.com/shop", address), http=http, modifiers=(5, 1))
    why, did = gate.trouble(node)
    thread.join()
    assert trouble in why
    assert bool(why) == bool(trouble)
    assert did == answered
    if http:
        assert seen[0].startswith(b"GET %b HTTP/1.1\r\nHost: example.com\r\n" % gate.path.encode())
    else:
        assert decode_header(seen[0])[::2] == (5, 1)
        variables = dict(decode_variables(seen[0][4:]))
        assert variables[b"HTTP_HOST"] == b"example.com"
        assert variables[b"PATH_INFO"] == gate.path.encode()


def test_nobody_behind_the_gate(tmp_path: Path) -> None:
    node = SeenNode(NodePlace("r", "k", str(tmp_path / "x.sock")))
    why, answered = HealthGate().trouble(node)
    assert (answered, "does not answer GET /: No such file" in why) == (False, True)


@pytest.fixture
def fifo(tmp_path: Path) -> tuple[str, int]:
    path = str(tmp_path / "one.fifo")
    os.mkfifo(path)
    return path, os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def read(descriptor: int) -> bytes:
    """What comes within a moment."""
    readable, _, _ = select.select([descriptor], [], [], 5)
    return os.read(descriptor, 10) if readable else b""


def test_a_command_to_a_fifo(tmp_path: Path, fifo: tuple[str, int]) -> None:
    path, reader = fifo
    assert command(path, TOGGLE)
    assert read(reader) == TOGGLE
    os.close(reader)
    assert not command(path, TOGGLE)
    assert not command(str(tmp_path / "none"), TOGGLE)


def test_the_guard_takes_back_what_is_left(fifo: tuple[str, int]) -> None:
    path, reader = fifo
    guard = FifoGuard()
    assert not guard.silence("/nonexistent")
    assert guard.silence(path)
    assert read(reader) == TOGGLE
    guard.close()
    assert read(reader) == TOGGLE
    guard = FifoGuard()
    assert guard.silence(path)
    assert guard.resume(path)
    assert not guard.resume(path)
    assert guard.silence(path)
    guard.forget(path)
    guard.close()
    os.set_blocking(reader, True)
    assert os.read(reader, 10) == TOGGLE * 3
    os.close(reader)


def test_an_unsubscribe_is_a_datagram_with_the_key_as_it_was_announced(tmp_path: Path) -> None:
    path = str(tmp_path / "subscriptions")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        unsubscribe(path, NodePlace("r", "Example.COM", "/run/one.sock"))
        data = server.recv(4096)
    assert decode_header(data)[0] == 224
    assert decode_header(data)[2] == 1
    assert dict(decode_variables(data[4:])) == {
        b"key": b"Example.COM",
        b"address": b"/run/one.sock",
    }
    # Nobody there, or no address: nothing happens.
    for address in (path, "127.0.0.1:9", "[::1]:9", "nonsense:port"):
        unsubscribe(address, NodePlace("r", "k", "a"))
