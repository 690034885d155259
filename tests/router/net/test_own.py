"""Which addresses lead back to the router itself."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from uwsgi_router.protocol.address import InetAddress, parse_address
from uwsgi_router.router.net.own import OwnAddresses

Listen = Callable[[int, object], socket.socket]


@pytest.fixture
def listen() -> Iterator[Listen]:
    with ExitStack() as stack:

        def bound(family: int, address: object) -> socket.socket:
            sock = stack.enter_context(socket.socket(family))
            sock.bind(address)  # type: ignore[arg-type]
            return sock

        yield bound


def own(sock: socket.socket, *texts: str) -> list[bool]:
    addresses = OwnAddresses([sock])
    return [parse_address(text) in addresses for text in texts]


def test_one_interface(listen: Listen) -> None:
    sock = listen(socket.AF_INET, ("127.0.0.1", 0))
    port = sock.getsockname()[1]
    assert (
        own(
            sock,
            f"127.0.0.1:{port}",
            f"[::ffff:127.0.0.1]:{port}",
            f"localhost:{port}",
            f"LOCALHOST.:{port}",
            f":{port}",
            f"0.0.0.0:{port}",
        )
        == [True] * 6
    )
    assert (
        own(sock, f"127.0.0.2:{port}", "127.0.0.1:1", "localhost:1", f"app.test:{port}", "/a")
        == [False] * 5
    )


def test_every_interface(listen: Listen) -> None:
    sock = listen(socket.AF_INET, ("0.0.0.0", 0))
    port = sock.getsockname()[1]
    assert own(sock, f"127.0.0.1:{port}", f"127.9.9.9:{port}", f"localhost:{port}") == [True] * 3
    # One for documentation: nobody has it.
    assert own(sock, f"192.0.2.1:{port}", "127.0.0.1:1", f"[2001:db8::1]:{port}") == [False] * 3


def test_an_address_of_an_interface_is_found_without_asking_anybody(listen: Listen) -> None:
    sock = listen(socket.AF_INET, ("0.0.0.0", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no route to anywhere")
        mine = probe.getsockname()[0]
    assert InetAddress(mine, sock.getsockname()[1]) in OwnAddresses([sock])


def test_socket_files_by_whatever_path(
    listen: Listen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sock = listen(socket.AF_UNIX, str(tmp_path / "router"))
    (tmp_path / "link").symlink_to("router")
    (tmp_path / "other").touch()
    monkeypatch.chdir(tmp_path)
    assert (
        own(sock, f"{tmp_path}/router", f"{tmp_path}/link", f"{tmp_path}/./router", "router")
        == [True] * 4
    )
    assert own(sock, f"{tmp_path}/other", f"{tmp_path}/none", "@router") == [False] * 3
    assert repr(OwnAddresses([sock])) == "<OwnAddresses 1>"


def test_abstract_names(listen: Listen) -> None:
    sock = listen(socket.AF_UNIX, b"\0test-own-addresses\0")
    assert own(sock, "@test-own-addresses", "@other") == [True, False]
