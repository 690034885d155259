"""Sockets of the master: opened once, shared out, kept by address, handed over an exec."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.processes import free_port
from uwsgi_router.router.app.master.sockets import Asker, MasterSockets
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.net.activation import InheritedSocket, SocketRequest
from uwsgi_router.router.net.listeners import OPTIONS, BindError, BoundSocket

PROCESS = ProcessConfig(defer_accept=False)


def request(text: str, workers: int = 1, **options: object) -> SocketRequest:
    process = replace(PROCESS, **options)  # type: ignore[arg-type]
    given = {name: getattr(process, name) for name in OPTIONS}
    return SocketRequest(socket.SOCK_STREAM, text, given, workers=workers)


@pytest.fixture
def sockets() -> Iterator[MasterSockets]:
    one = MasterSockets()
    yield one
    one.close()


@pytest.fixture
def address() -> str:
    return f"127.0.0.1:{free_port()}"


def asker(user: str = "1", slot: int = 0) -> Asker:
    return Asker(user, slot, os.getcwd(), 0o022)


def numbers(bound: list[BoundSocket]) -> list[int]:
    return [one.sock.fileno() for one in bound]


def accepted(bound: BoundSocket) -> int:
    count = 0
    while True:
        try:
            bound.sock.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_who_asks_again_gets_the_same(sockets: MasterSockets, address: str) -> None:
    first = numbers(sockets.open(request(address), asker()))
    assert numbers(sockets.open(request(address), asker())) == first
    assert numbers(sockets.open(request(address), asker("2"))) == first


def test_the_kernel_spreads_connections_over_the_sockets_of_workers(
    sockets: MasterSockets, address: str
) -> None:
    found = [sockets.open(request(address, 3), asker(slot=slot)) for slot in range(3)]
    assert [len(one) for one in found] == [1, 1, 1]
    assert len({*map(tuple, map(numbers, found))}) == 3
    host, port = address.split(":")
    clients = [socket.create_connection((host, int(port))) for _ in range(60)]
    counts = [accepted(one) for (one,) in found]
    assert sum(counts) == 60
    assert all(counts)
    for client in clients:
        client.close()


def test_another_program_on_the_address_is_noticed_whatever_the_number_of_workers(
    sockets: MasterSockets, address: str
) -> None:
    sockets.open(request(address, 2), asker())
    others = MasterSockets()
    with pytest.raises(BindError, match="address already in use"):
        others.open(request(address, 2), asker())


def test_more_workers_get_more_sockets_and_fewer_share_them_out(
    sockets: MasterSockets, address: str
) -> None:
    (first,) = numbers(sockets.open(request(address), asker("1")))
    four = [numbers(sockets.open(request(address, 4), asker("2", slot))) for slot in range(4)]
    assert four[0] == [first]
    assert len({number for one in four for number in one}) == 4
    two = [numbers(sockets.open(request(address, 2), asker("3", slot))) for slot in range(2)]
    assert two == [four[0] + four[2], four[1] + four[3]]


def test_unix_sockets_are_one_for_all(sockets: MasterSockets, tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    found = [numbers(sockets.open(request(path, 2), asker(slot=slot))) for slot in range(2)]
    assert found[0] == found[1]
    assert len(found[0]) == 1


def test_an_address_by_another_name_is_the_same_socket(
    sockets: MasterSockets, address: str
) -> None:
    before = numbers(sockets.open(request(address), asker("1")))
    port = address.split(":")[1]
    assert numbers(sockets.open(request(f"localhost:{port}"), asker("2")))[:1] == before
    assert sockets.leaving({"2"}) == []
    sockets.release({"2"})
    socket.create_connection(("127.0.0.1", int(port))).close()


def test_what_nobody_uses_is_closed_and_its_file_removed(
    sockets: MasterSockets, tmp_path: Path
) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        sockets.open(request(str(path)), asker("1"))
    sockets.open(request(str(paths[1])), asker("2"))
    assert sockets.leaving({"2"}) == [(socket.SOCK_STREAM, str(paths[0]))]
    sockets.release({"2"})
    assert [path.exists() for path in paths] == [False, True]


def test_paths_are_meant_from_where_the_process_is(sockets: MasterSockets, tmp_path: Path) -> None:
    here, umask = os.getcwd(), os.umask(0o022)
    os.umask(umask)
    sockets.open(request("a.sock"), Asker("1", 0, str(tmp_path), 0o077))
    assert (tmp_path / "a.sock").is_socket()
    assert (tmp_path / "a.sock").stat().st_mode & 0o777 == 0o700
    assert os.getcwd() == here
    assert os.umask(umask) == umask
    with pytest.raises(BindError, match="is gone"):
        sockets.open(request("b.sock"), Asker("1", 0, str(tmp_path / "no"), 0o077))


def test_a_reload_changes_what_the_options_say_of_a_socket(
    sockets: MasterSockets, tmp_path: Path
) -> None:
    path = tmp_path / "a.sock"
    sockets.open(request(str(path), chmod_socket=0o600), asker("1"))
    sockets.open(request(str(path), chmod_socket=0o666), asker("2"))
    assert path.stat().st_mode & 0o777 == 0o666


def test_inherited_sockets_are_used_by_address_and_never_closed(address: str) -> None:
    host, port = address.split(":")
    with socket.create_server((host, int(port))) as listener:
        sockets = MasterSockets([InheritedSocket(listener, listener.fileno(), "web")])
        assert [one.name for one in sockets.unused()] == ["web"]
        for user in ("1", "2"):
            found = sockets.open(request(address, 2), asker(user, 1))
            assert (numbers(found), found[0].inherited) == ([listener.fileno()], True)
        assert sockets.unused() == []
        sockets.release(set())
        sockets.open(request(address), asker("3"))
        assert listener.fileno() >= 0


def test_they_are_the_same_after_an_exec(tmp_path: Path, address: str) -> None:
    path = tmp_path / "a.sock"
    before = MasterSockets()
    tcp = [numbers(before.open(request(address, 2), asker("1", slot))) for slot in range(2)]
    unix = numbers(before.open(request(str(path)), asker("1")))
    # What an exec does: numbers stay, objects do not.
    state = before.state()
    kept = sorted(set(before.descriptors()))
    for place in before._places:
        for bound in place.sockets:
            bound.sock.detach()
    after = MasterSockets.restore(state)
    assert sorted(set(after.descriptors())) == kept
    again = [numbers(after.open(request(address, 2), asker("2", slot))) for slot in range(2)]
    assert again == tcp
    assert numbers(after.open(request(str(path)), asker("2"))) == unix
    after.release({"2"})
    assert path.is_socket()
    after.close()
    assert not path.exists()
