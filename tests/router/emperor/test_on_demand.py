"""Sockets of on-demand vassals: their names, who binds them, when they wake."""

import itertools
import os
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab.processes import free_port
from tests.lab.vassals import need_root, vassals
from tests.lab.waiting import turn_until
from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.process import ProcessConfig
from uwsgi_router.router.emperor.on_demand import (
    OnDemandError,
    OnDemandSocket,
    bind_socket,
    is_on_demand,
    socket_name_of,
)
from uwsgi_router.router.emperor.socket_search import SocketFinder
from uwsgi_router.router.emperor.vassal_file import VassalFile
from uwsgi_router.router.supervision.loop import SelectorLoop

USER = 33
_PROCESS = ProcessConfig()
Found = tuple[OnDemandSocket | None, str]


def file_in(directory: Path, name: str = "one.ini", owner: int = 0) -> VassalFile:
    path = str(directory / name)
    return VassalFile(name, str(directory), path, 1.0, owner, owner, str(directory))


def found(loop: SelectorLoop, file: VassalFile, patience: float = 15.0, **config: Any) -> Found:
    """Return what is found, and how."""
    answers: list[Found] = []
    finder = SocketFinder(loop, EmperorConfig(**config), _PROCESS, patience=patience)
    finder.find(file, lambda sock, fault: answers.append((sock, fault)))
    turn_until(loop, lambda: answers)
    (answer,) = answers
    return answer


# --- names ---


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"127.0.0.1:80\n", "127.0.0.1:80"),
        (b"/run/x.sock", "/run/x.sock"),
        (b"/run/x.sock\nmore", "/run/x.sock"),
        (b"/run/x.sock\r\n", "/run/x.sock"),
        (b"/run/x.sock\tmore", "/run/x.sock"),
        (b"", None),
        (b"\n/run/x.sock", None),
        (b" ", None),
    ],
)
def test_a_file_beside_it_names_the_socket(
    tmp_path: Path, content: bytes, name: str | None
) -> None:
    (tmp_path / "one.ini.socket").write_bytes(content)
    config = EmperorConfig(on_demand_extension=".socket")
    assert socket_name_of(file_in(tmp_path), config) == name


def test_without_such_a_file_a_vassal_starts_at_once(tmp_path: Path) -> None:
    config = EmperorConfig(on_demand_extension=".socket", on_demand_directory="/run")
    assert socket_name_of(file_in(tmp_path), config) is None


def test_what_is_no_file_does_not_hold_us_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "one.ini.socket")
    config = EmperorConfig(on_demand_extension=".socket")
    with pytest.raises(OnDemandError, match="it is no file"):
        socket_name_of(file_in(tmp_path), config)


def test_others_can_not_have_root_read_its_files(tmp_path: Path) -> None:
    need_root()
    os.chown(tmp_path, USER, USER)
    (tmp_path / "one.ini.socket").symlink_to("/etc/shadow")
    config = EmperorConfig(on_demand_extension=".socket")
    with pytest.raises(OnDemandError, match="symbolic link"):
        socket_name_of(file_in(tmp_path), config)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("one.ini", "/run/one.socket"), ("a.b.ini", "/run/a.b.socket"), ("/v/x.ini", "/run/x.socket")],
)
def test_a_directory_has_a_socket_for_each(name: str, expected: str) -> None:
    file = VassalFile(name, "/v", f"/v/{name}", 1.0, 0, 0, "/v")
    assert socket_name_of(file, EmperorConfig(on_demand_directory="/run")) == expected


def test_one_of_three_ways_is_enough() -> None:
    assert not is_on_demand(EmperorConfig())
    for name in ("extension", "directory", "exec"):
        given: dict[str, Any] = {f"on_demand_{name}": "x"}
        assert is_on_demand(EmperorConfig(**given))


def test_a_command_prints_the_address(loop: SelectorLoop, tmp_path: Path) -> None:
    command = f'test "$PWD" = {tmp_path} && printf "%s/%s.sock\\nmore" {tmp_path}'
    sock, fault = found(loop, file_in(tmp_path), on_demand_exec=command)
    assert fault == ""
    assert sock is not None
    assert sock.name == f"{tmp_path}/one.ini.sock"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(sock.name)
    sock.close()


def test_names_are_no_part_of_the_command(loop: SelectorLoop, tmp_path: Path) -> None:
    name = '"; touch broken; echo $(touch broken2) `touch broken3`.ini'
    command = f'printf "%s" > {tmp_path}/seen'
    assert found(loop, file_in(tmp_path, name), on_demand_exec=command) == (None, "")
    assert (tmp_path / "seen").read_text() == name
    assert sorted(one.name for one in tmp_path.iterdir()) == ["seen"]


def test_a_command_that_fails_or_hangs_is_told(loop: SelectorLoop, tmp_path: Path) -> None:
    sock, fault = found(loop, file_in(tmp_path), on_demand_exec="exit 3;")
    assert (sock, fault) == (None, "emperor-on-demand-exec has ended (exit code 3)")
    began = time.monotonic()
    sock, fault = found(loop, file_in(tmp_path), 0.2, on_demand_exec="exec sleep 100;")
    assert (sock, fault) == (None, "no answer within 0.2 s")
    assert time.monotonic() - began < 10.0


def test_a_search_can_be_given_up(loop: SelectorLoop, tmp_path: Path) -> None:
    config = EmperorConfig(on_demand_exec="exec sleep 100;")
    finder = SocketFinder(loop, config, _PROCESS, most=1)
    answers: list[object] = []
    searches = [
        finder.find(file_in(tmp_path, name), lambda *answer: answers.append(answer))
        for name in ("one.ini", "two.ini")
    ]
    # The second one has not begun.
    for search in (*reversed(searches), *searches):
        assert search is not None
        search.cancel()
    for _ in range(3):
        loop.step(0.02)
    assert answers == []


def test_so_many_search_at_once_and_no_more(loop: SelectorLoop, tmp_path: Path) -> None:
    running = tmp_path / "running"
    running.mkdir()
    go = tmp_path / "go"
    command = f'touch {running}/"$0"; while [ ! -e {go} ]; do sleep 0.02; done; true'
    finder = SocketFinder(loop, EmperorConfig(on_demand_exec=command), _PROCESS, most=2)
    answers: list[Found] = []
    for number in range(5):
        file = file_in(tmp_path, f"{number}.ini")
        finder.find(file, lambda sock, fault: answers.append((sock, fault)))
    turn_until(loop, lambda: len(list(running.iterdir())) == 2)
    for _ in range(5):
        loop.step(0.02)
    assert sorted(one.name for one in running.iterdir()) == ["0.ini", "1.ini"]
    go.touch()
    turn_until(loop, lambda: len(answers) == 5)
    assert answers == [(None, "")] * 5
    assert len(list(running.iterdir())) == 5


# --- addresses ---


@pytest.mark.parametrize("host", ["127.0.0.1", "", "[::1]"])
def test_tcp(host: str) -> None:
    sock, file = bind_socket(f"{host}:{free_port()}", "/", _PROCESS)
    assert file is None
    assert sock.getblocking()
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    family = sock.family
    with socket.socket(family) as client:
        client.connect(("::1" if family == socket.AF_INET6 else "127.0.0.1", sock.getsockname()[1]))
    sock.close()


def test_a_unix_socket_is_everybodys_and_begins_in_the_vassals_directory(tmp_path: Path) -> None:
    sock, _ = bind_socket("a.sock", str(tmp_path), _PROCESS)
    status = (tmp_path / "a.sock").stat()
    assert stat.S_IMODE(status.st_mode) == 0o666
    # What a dead process has left is taken away, what a living one has is not.
    with pytest.raises(OnDemandError, match="another process listens there"):
        bind_socket("a.sock", str(tmp_path), _PROCESS)
    sock.close()
    again, file = bind_socket("a.sock", str(tmp_path), ProcessConfig(chmod_socket=0o600))
    assert stat.S_IMODE((tmp_path / "a.sock").stat().st_mode) == 0o600
    assert file is not None
    again.close()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("localhost:80", "the host has to be a number"),
        ("127.0.0.1:x", "port 'x'"),
        ("127.0.0.1:0", "port 0 means nothing"),
        ("=0", "no such|expected|cannot listen"),
        ("/nowhere/at/all/x", "its directory does not exist"),
        ("/etc/passwd", "not a socket"),
    ],
)
def test_what_can_not_be_listened_on(name: str, words: str, tmp_path: Path) -> None:
    if name == "=0":
        # A file of this name: no shared socket of the Emperor's.
        sock, file = bind_socket(name, str(tmp_path), _PROCESS)
        assert file is not None
        assert (tmp_path / "=0").is_socket()
        sock.close()
        return
    with pytest.raises(OnDemandError, match=words):
        bind_socket(name, "/", _PROCESS)


def test_a_tyrant_binds_with_the_owners_rights(loop: SelectorLoop) -> None:
    need_root()
    with vassals() as lab:
        place = lab.place
        theirs = lab.directory / "theirs"
        theirs.mkdir()
        os.chown(theirs, USER, USER)
        demand = place / "one.ini.socket"
        demand.write_text(f"{theirs}/sock")
        file = file_in(place, owner=USER)
        config: dict[str, Any] = {"tyrant": True, "on_demand_extension": ".socket"}
        sock, fault = found(loop, file, **config)
        assert sock is not None, fault
        assert (theirs / "sock").stat().st_uid == USER
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(theirs / "sock"))
        sock.close()
        assert not (theirs / "sock").exists()
        for name in (f"{lab.directory}/roots.sock", "127.0.0.1:77"):
            demand.write_text(name)
            sock, fault = found(loop, file, **config)
            assert sock is None
            assert "permission" in fault
        demand.unlink()
        assert found(loop, file, **config) == (None, "")


# --- waking ---


def bound(tmp_path: Path, **more: float) -> OnDemandSocket:
    name = str(tmp_path / "s")
    sock, file = bind_socket(name, "/", _PROCESS)
    return OnDemandSocket(name, sock, file, **more)


def connected(one: OnDemandSocket) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(one.name)
    return client


def test_the_first_connection_wakes_once_and_waits(loop: SelectorLoop, tmp_path: Path) -> None:
    one, woken = bound(tmp_path), [0]

    def wake() -> None:
        woken[0] += 1

    one.watch(loop, wake)
    loop.step(0.01)
    assert woken == [0]
    clients = [connected(one), connected(one)]
    for _ in range(3):
        loop.step(0.01)
    assert woken == [1]
    # Nobody has accepted them.
    for client in clients:
        one.sock.accept()[0].close()
        assert client.recv(1) == b""
        client.close()
    one.close()


def test_who_never_accepts_is_started_less_and_less_often(
    loop: SelectorLoop, tmp_path: Path
) -> None:
    one = bound(tmp_path, first_pause=0.05, longest_pause=0.3)
    times: list[float] = []
    client = connected(one)
    for count in range(1, 6):
        one.watch(loop, lambda: times.append(loop.time()))
        turn_until(loop, lambda count=count: len(times) == count)  # type: ignore[misc]
        one.ended(served=False)
    gaps = [second - first for first, second in itertools.pairwise(times)]
    for gap, least in zip(gaps, [0.05, 0.1, 0.2, 0.3], strict=True):
        assert gap >= least
    assert one.pause == 0.3
    one.ended(served=True)
    assert one.pause == 0.0
    client.close()
    one.close()


def test_who_has_accepted_is_not_delayed(loop: SelectorLoop, tmp_path: Path) -> None:
    one = bound(tmp_path)
    client = connected(one)
    one.ended(served=False)
    assert one.pause == 1.0
    one.sock.accept()[0].close()
    # It has not said that it has answered a request, but nobody waits.
    one.ended(served=False)
    assert one.pause == 0.0
    client.close()
    one.close()


def test_it_is_waited_for_no_more(loop: SelectorLoop, tmp_path: Path) -> None:
    one = bound(tmp_path, first_pause=0.01)
    one.watch(loop, pytest.fail)
    one.unwatch()
    with connected(one):
        one.ended(served=False)
        one.watch(loop, pytest.fail)
        one.unwatch()
        for _ in range(3):
            loop.step(0.02)
    one.close()


def test_it_lives_on_over_an_exec(loop: SelectorLoop, tmp_path: Path) -> None:
    one = bound(tmp_path)
    client = connected(one)
    one.ended(served=False)
    state = one.state()
    assert os.get_inheritable(one.fileno())
    restored = OnDemandSocket.restore(state)
    one.sock.detach()
    assert (restored.name, restored.pause) == (one.name, 1.0)
    assert not os.get_inheritable(restored.fileno())
    restored.sock.accept()[0].close()
    assert client.recv(1) == b""
    client.close()
    restored.close()
    assert not (tmp_path / "s").exists()


def test_the_file_of_another_socket_is_left_alone(tmp_path: Path) -> None:
    one = bound(tmp_path)
    (tmp_path / "s").unlink()
    (tmp_path / "s").write_text("somebody else's")
    one.close()
    assert (tmp_path / "s").read_text() == "somebody else's"


def test_a_thousand_idle_ones_cost_nothing(loop: SelectorLoop, tmp_path: Path) -> None:
    idle = []
    for number in range(1000):
        sock, file = bind_socket(f"s{number}", str(tmp_path), _PROCESS)
        idle.append(OnDemandSocket(f"s{number}", sock, file))
        idle[-1].watch(loop, pytest.fail)
    began = time.process_time()
    for _ in range(5):
        loop.step(0.1)
    assert time.process_time() - began < 0.25
    for one in idle:
        one.close()
