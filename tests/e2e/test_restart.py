"""The router itself is restarted under load, on sockets that systemd keeps open."""

import socket

import pytest

from tests.lab.place import Place
from tests.lab.processes import free_port

pytestmark = pytest.mark.peers


@pytest.fixture(params=["tcp", "unix"])
def listener(lab: Place, request: pytest.FixtureRequest) -> socket.socket:
    """Open what systemd would open for ``ListenStream=``; it outlives every router."""
    if request.param == "tcp":
        sock = socket.create_server(("127.0.0.1", free_port()), backlog=1024)
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(lab.directory / "router.sock"))
        sock.listen(1024)
    lab.closing(sock)
    return sock


def name_of(sock: socket.socket) -> str:
    """Return the socket's address as an option takes it."""
    name = sock.getsockname()
    return name if isinstance(name, str) else f"{name[0]}:{name[1]}"


def test_sigterm_and_restart_on_an_inherited_listener_lose_no_request(
    lab: Place, listener: socket.socket
) -> None:
    vassal = lab.vassal("static", None)
    address = name_of(listener)
    nginx = lab.nginx(address)
    options = [f"--fastrouter-to={vassal.address}"]
    settings = {"listen": address, "subscriptions": False, "inherit": [listener]}
    router = lab.router(*options, **settings)
    load = lab.load(nginx, "/?seconds=0.01", methods=("GET", "POST"))
    for _ in range(3):
        load.wait_for(100)
        router.stop()
        router = lab.router(*options, **settings)
    load.wait_for(100)
    load.stop()

    assert load.lost() == {}


def test_with_hold_a_restart_loses_no_request_while_the_table_fills_again(
    lab: Place, listener: socket.socket
) -> None:
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", free_port(socket.SOCK_DGRAM)))
    lab.closing(datagrams)
    settings = {
        "listen": name_of(listener),
        "announce": name_of(datagrams),
        "inherit": [listener, datagrams],
    }
    router = lab.router("--fastrouter-hold=10", **settings)
    vassal = lab.vassal("announced", router, announce_every=1)
    router.wait_for_nodes(vassal.address)
    load = lab.load(lab.nginx(router.address), "/?seconds=0.01", methods=("GET", "POST"))
    load.wait_for(100)
    router.stop()
    lab.router("--fastrouter-hold=10", **settings)
    load.wait_for(100)
    load.stop()

    assert load.lost() == {}


def test_sigterm_ends_the_router_only_after_the_requests_under_way(lab: Place) -> None:
    vassal = lab.vassal("static", None)
    router = lab.router(f"--fastrouter-to={vassal.address}", subscriptions=False)
    load = lab.load(lab.nginx(router.address), "/?seconds=1", clients=4)
    router.wait_for_sessions(4)
    load.end_soon()
    router.stop()
    load.stop()

    assert [o.status for o in load.outcomes] == [200] * 4
