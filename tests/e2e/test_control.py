"""Operators see and drain nodes with real commands; the announcing client asks the same before it stops its program."""

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lab import programs
from tests.lab.clients import answer_of
from tests.lab.commands import Router
from tests.lab.messages import OK, request
from tests.lab.place import Place
from tests.lab.processes import Process, accepts, free_port, run_python
from tests.lab.waiting import wait_until
from uwsgi_router.protocol.subscription import Subscription

HOLDING = Path(__file__).with_name("holding.py")

pytestmark = pytest.mark.skipif(
    programs.ROUTER_UNDER_TEST == "uwsgi", reason="uWSGI has no control socket"
)


class Site:
    """A router with a control socket, and a node whose requests end when the test says so."""

    def __init__(self, lab: Place) -> None:
        self.lab = lab
        self.path = str(lab.directory / "control.sock")
        self.router: Router = lab.router(
            f"--control-socket={self.path}", "--fastrouter-errors=http"
        )
        self.address = f"127.0.0.1:{free_port()}"
        self._gate = socket.create_server(("127.0.0.1", 0))
        self._gate.settimeout(15)
        lab.closing(self._gate)
        self.gate = "{}:{}".format(*self._gate.getsockname())

    def node(self) -> None:
        """Start the node, and announce it."""
        self.lab.program("node", sys.executable, str(HOLDING), self.address, self.gate)
        wait_until(lambda: accepts(self.address), "the node listens")
        self.announce()

    def announce(self) -> None:
        self.router.say(Subscription("subscribe", b"example.com", self.address))
        self.router.wait_for_nodes(self.address)

    def heard(self) -> tuple[socket.socket, bytes]:
        """The next thing that the node tells."""
        told, _ = self._gate.accept()
        told.settimeout(15)
        self.lab.closing(told)
        return told, told.recv(100)

    def working(self) -> tuple[socket.socket, socket.socket]:
        """Send a request; return the client, and what lets the node answer it."""
        client = self.router.connect()
        client.settimeout(15)
        self.lab.closing(client)
        client.sendall(request())
        held, what = self.heard()
        assert what == b"REQUEST"
        return client, held

    def answered(self) -> bytes:
        """What a request gets that nobody holds up."""
        return answer_of(self.router.address, request())

    def command(self, *words: str) -> Process:
        name = f"{words[0]}-{free_port()}"
        argv = (programs.uwsgi_router(), *words)
        return self.lab.program(name, *argv, env={"UWSGI_ROUTER_CONTROL": self.path})

    def run(self, *words: str) -> tuple[int, str]:
        process = self.command(*words)
        return process.wait(), process.output()

    def status(self) -> dict[str, Any]:
        code, output = self.run("status", "example.com", "--json")
        assert code == 0, output
        (node,) = json.loads(output)["keys"][0]["nodes"]
        return dict(node)


def rest(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65_536), b""))


@pytest.fixture
def site(lab: Place) -> Site:
    return Site(lab)


def test_a_drain_ends_with_the_last_request(site: Site) -> None:
    site.node()
    client, held = site.working()
    draining = site.command("drain", site.address)
    wait_until(lambda: site.status()["state"] == "drained", "it is drained")
    site.announce()
    assert site.answered().startswith(b"HTTP/1.1 503 ")
    code, output = site.run("drain", site.address, "--timeout", "0.1")
    assert (code, output) == (
        3,
        f"{site.address} is drained, but 1 requests are still running after 0.1 s\n",
    )
    assert draining.running()
    assert site.status()["running"] == 1
    held.sendall(b"!")
    assert rest(client) == OK
    assert draining.wait() == 0
    assert site.run("enable", site.address)[0] == 0
    client, held = site.working()
    held.sendall(b"!")
    assert rest(client) == OK


def test_who_interrupts_a_drain_is_told_that_it_stays(site: Site) -> None:
    site.node()
    _, held = site.working()
    draining = site.command("drain", site.address)
    wait_until(lambda: site.status()["state"] == "drained", "it is drained")
    draining.signal(signal.SIGINT)
    assert draining.wait() == 130
    assert f"`uwsgi-router enable {site.address}` takes that back" in draining.output()
    assert site.status()["state"] == "drained"
    held.sendall(b"!")


def test_watch_redraws_until_it_is_interrupted(site: Site) -> None:
    site.announce()
    watching = site.command("status", "--watch")
    watching.wait_for_output("ready")
    assert site.run("weight", site.address, "4")[0] == 0
    watching.wait_for_output("4 (announced 1)")
    watching.signal(signal.SIGINT)
    assert watching.wait() == 0
    assert "Traceback" not in watching.output()


def test_a_node_that_is_not_there_can_not_be_drained(site: Site) -> None:
    code, output = site.run("drain", site.address)
    assert code == 1
    assert output.startswith(f"uwsgi-router drain: there is no node {site.address};")
    assert site.run("drain", site.address, "--missing-ok")[0] == 0
    assert site.run("enable", site.address)[0] == 1
    assert site.run("drain")[0] == 2
    assert site.run("drain", site.address, "--control", "/nonexistent")[0] == 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root may run commands as somebody else")
def test_other_users_may_not_connect(site: Site) -> None:
    site.lab.directory.chmod(0o755)
    code = (
        "import os\n"
        "from uwsgi_router.subscriptions.client.control import Control\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"try: Control({site.path!r})\n"
        "except Exception as exc: print(exc)\n"
    )
    done = run_python(code, cwd=programs.ROOT)
    assert f"{site.path}: you may not connect there" in done.stdout, done.stderr


def test_the_announcing_client_waits_for_the_last_request(site: Site) -> None:
    """And not a moment longer."""
    options = ("--drain", "50s", "--drain-delay", "50s", "--proto", "uwsgi")
    announced = (
        "--server",
        site.router.announce,
        "--key",
        "example.com",
        "--address",
        site.address,
    )
    node = (sys.executable, str(HOLDING), "{address}", site.gate)
    process = site.command("subscribe", *announced, *options, "--", *node)
    site.router.wait_for_nodes(site.address)
    client, held = site.working()
    process.signal(signal.SIGTERM)
    wait_until(lambda: site.status()["state"] == "gone", "it is withdrawn")
    assert "passing SIGTERM on" not in process.output()
    held.sendall(b"!")
    assert rest(client) == OK
    _, what = site.heard()
    assert what == b"TERM"
    assert process.wait() == 0
    assert "the router says that all requests have ended" in process.output()
