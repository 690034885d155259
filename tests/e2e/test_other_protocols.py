"""Real servers behind a router, or told to ``subscribe``, that speak another protocol than was configured."""

import socket

import pytest

from tests.lab import programs
from tests.lab.place import Place
from tests.lab.servers import KINDS, Server

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_says_what_to_set(lab: Place, kind: str) -> None:
    server = lab.server(kind)
    asked, spoken = ("http", "uwsgi") if kind == "uwsgi" else ("uwsgi", "http")
    to = f"--http-to={asked}://{server.address}"
    router = lab.http_router(to, "--http-keepalive", "--http-timeout=1")
    with router.client() as client:
        status = client.get("/").status
    assert status in {400, 502, 504}
    router.wait_for_output(f"set http-to = {spoken}://{server.address}")


def announced_as(lab: Place, server: Server, proto: str) -> str:
    """Announce a server with this protocol; return what ``subscribe`` says first about it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as table:
        table.bind(("127.0.0.1", 0))
        to = f"127.0.0.1:{table.getsockname()[1]}"
        options = ("--server", to, "--key", "k.example", "--address", server.address)
        subscribe = (programs.uwsgi_router(), "subscribe", *options, "--proto", proto)
        process = lab.program(
            f"subscribe-as-{proto}", *subscribe, "--drain", "0s", "--", "sleep", "60"
        )
        process.wait_for_output(f"{server.address} ")
        table.setblocking(False)
        try:
            table.recv(4096)
        except BlockingIOError:
            assert "announcing" not in process.output()
        output = process.output()
        process.kill()
    return output


# uWSGI's own HTTP parser takes a packet for a request, and its application answers: that can't be told from here.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "uwsgi-http11"])
def test_subscribe_announces_no_program_that_speaks_something_else(lab: Place, kind: str) -> None:
    server = lab.server(kind)
    other = "http" if kind == "uwsgi" else "uwsgi"
    wrong = announced_as(lab, server, other)
    assert f"not announced yet: {server.address} speaks {server.proto}, and is to be" in wrong
    assert f"write --proto {server.proto}" in wrong
    assert "announcing k.example" in announced_as(lab, server, server.proto)
