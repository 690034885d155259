"""The router itself is restarted under load, on sockets that systemd keeps open."""

import re
import socket
from pathlib import Path

import pytest

from tests.lab import programs
from tests.lab.commands import Command
from tests.lab.place import Place
from tests.lab.processes import free_port
from tests.lab.waiting import wait_until

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


class Readme:
    """What README tells to save and to type: its ini file, and systemd's sockets; on free ports.

    Args:
        lab: where it happens.
        state: its unit's state directory, which systemd makes; None: the unit has none.
    """

    def __init__(self, lab: Place, state: Path | None) -> None:
        self._lab = lab
        readme = (programs.ROOT / "README.md").read_text()
        (ini,) = re.findall(r"^```ini\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
        for port in ("3031", "3032", "3033"):
            ini = ini.replace(f":{port}", f":{free_port()}")
        stream, datagram, _stats = re.findall(r"127\.0\.0\.1:\d+", ini)
        self.address, self.announce = stream, datagram
        self._sockets = [
            socket.create_server(_pair(stream), backlog=1024),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        ]
        self._sockets[1].bind(_pair(datagram))
        for sock in self._sockets:
            lab.closing(sock)
        self._file = lab.directory / "uwsgi-router.ini"
        self._file.write_text(ini)
        # Other users have to get to what is below it.
        lab.directory.chmod(0o755)
        self._env = {} if state is None else {"STATE_DIRECTORY": str(state)}

    def start(self) -> Command:
        return self._lab.command(str(self._file), inherit=self._sockets, env=self._env)


def _pair(address: str) -> tuple[str, int]:
    host, port = address.rsplit(":", 1)
    return host, int(port)


@pytest.mark.parametrize("with_state", [True, False], ids=["state directory", "no state"])
def test_systemctl_restart_as_in_readme_loses_no_request(lab: Place, with_state: bool) -> None:
    state = lab.directory / "state"
    state.mkdir()
    readme = Readme(lab, state if with_state else None)
    router = readme.start()
    vassals = [
        lab.vassal(name, None, options=["--subscribe-to", f"{readme.announce}:example.com"])
        for name in ("one", "two")
    ]
    for vassal in vassals:
        router.wait_for_output(f"new node: {vassal.address}")
    load = lab.load(lab.nginx(readme.address), "/?seconds=0.01", methods=("GET", "POST"))
    for _ in range(2):
        load.wait_for(200)
        router.stop()
        before = len(router.output())
        router = readme.start()
        if with_state:
            router.wait_for_output("2 nodes restored", after=before)
        else:
            wait_until(lambda: len(load.outcomes) > 0, "it is asked")
    load.wait_for(200)
    load.stop()

    assert load.lost() == {}
