"""Real application servers that ``subscribe`` starts: they believe the router, and join its pool."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import programs
from tests.lab.place import Place
from tests.lab.processes import Process, free_port
from tests.lab.waiting import wait_until

APPLICATIONS = Path(__file__).parent
BIN = Path(programs.uwsgi_router()).parent
KEY = "example.com"
#: uvicorn stops in order and then lets SIGTERM end it.
ORDERLY = (0, 128 + signal.SIGTERM)

GUNICORN = (f"{BIN}/gunicorn", "--no-control-socket", "--chdir", str(APPLICATIONS))
UVICORN = (f"{BIN}/uvicorn", "--app-dir", str(APPLICATIONS), "client_seen:asgi")
SERVERS = {
    "gunicorn": (*GUNICORN, "-b", "unix:{address}", "client_seen:wsgi"),
    "gunicorn with uvicorn": (
        *GUNICORN,
        *("-b", "unix:{address}", "-k", "uvicorn.workers.UvicornWorker", "client_seen:asgi"),
    ),
    "uvicorn": (*UVICORN, "--uds", "{address}"),
}


def subscribed(
    lab: Place, server: str, address: str, *program: str, proto: str = "http", **settings: object
) -> Process:
    options = ("--server", server, "--key", KEY, "--address", address, "--proto", proto)
    argv = (programs.uwsgi_router(), "subscribe", *options, "--drain", "300ms", "--", *program)
    return lab.program("subscribe", *argv, **settings)


def seen(address: str) -> list[str | None]:
    """Ask as a router does for a client 203.0.113.9 that came over TLS."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(address)
        sock.sendall(
            b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n"
            b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\r\n"
        )
        answer = b"".join(iter(lambda: sock.recv(65_536), b""))
    found: list[str | None] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


@pytest.mark.parametrize("server", SERVERS)
def test_over_a_unix_socket_the_routers_fields_are_believed(lab: Place, server: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as table:
        table.bind(("127.0.0.1", 0))
        table.settimeout(20)
        address = str(lab.directory / "app.sock")
        process = subscribed(
            lab, "127.0.0.1:{1}".format(*table.getsockname()), address, *SERVERS[server],
            env={"FORWARDED_ALLOW_IPS": None},
        )  # fmt: skip
        table.recv(5000)
        assert seen(address) == ["https", "203.0.113.9", "example.com"]
        process.signal(signal.SIGTERM)
        assert process.wait() in ORDERLY


def test_whom_the_user_trusts_is_left_to_the_user(lab: Place) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as table:
        table.bind(("127.0.0.1", 0))
        table.settimeout(20)
        address = str(lab.directory / "app.sock")
        subscribed(
            lab, "127.0.0.1:{1}".format(*table.getsockname()), address, *SERVERS["uvicorn"],
            env={"FORWARDED_ALLOW_IPS": "10.0.0.1"},
        )  # fmt: skip
        table.recv(5000)
        assert seen(address) == ["http", None, "example.com"]


IN_A_POOL = {
    "gunicorn over uwsgi": (
        "uwsgi",
        (*GUNICORN, "--protocol", "uwsgi", "-b", "{address}", "client_seen:wsgi"),
    ),
    "gunicorn": ("http", (*GUNICORN, "-b", "{address}", "client_seen:wsgi")),
    "uvicorn": ("http", (*UVICORN, "--host", "{host}", "--port", "{port}")),
    "granian": (
        "http",
        (
            *(f"{BIN}/granian", "--interface", "asgi", "--working-dir", str(APPLICATIONS)),
            *("--host", "{host}", "--port", "{port}", "client_seen:asgi"),
        ),
    ),
}


@pytest.mark.parametrize("server", IN_A_POOL)
def test_it_joins_the_pool_and_leaves_it(lab: Place, server: str) -> None:
    proto, program = IN_A_POOL[server]
    router = lab.router()
    address = f"127.0.0.1:{free_port()}"
    process = subscribed(lab, router.announce, address, *program, proto=proto)
    router.wait_for_nodes(address)
    argv = (programs.uwsgi_router(), "get", router.address, "-H", KEY)
    asked = lab.program("get", *argv)
    assert asked.wait() == 0
    assert json.loads(asked.output())[2] == KEY
    assert "accepted by the router" in process.output()
    process.signal(signal.SIGTERM)
    wait_until(lambda: not router.nodes(), "it has left the table")
    assert process.running(), "it serves on while it drains"
    assert process.wait() in ORDERLY


#: granian knows no forwarded fields: the application wraps itself, as its manual says.
GRANIAN_OVER = {
    "tcp": ("--host", "{host}", "--port", "{port}"),
    "unix": ("--uds", "{address}"),
}
BEHIND_THE_ROUTER = {
    ("gunicorn", "tcp"): (*GUNICORN, "-b", "{address}", "client_seen:wsgi"),
    ("gunicorn", "unix"): SERVERS["gunicorn"],
    ("uvicorn", "tcp"): (*UVICORN, "--host", "{host}", "--port", "{port}"),
    ("uvicorn", "unix"): SERVERS["uvicorn"],
    **{
        ("granian", over): (
            *(f"{BIN}/granian", "--interface", "asgi", "--working-dir", str(APPLICATIONS)),
            *(*options, "client_seen:asgi_behind_a_proxy"),
        )
        for over, options in GRANIAN_OVER.items()
    },
}


@pytest.mark.parametrize(("server", "over"), BEHIND_THE_ROUTER)
def test_behind_the_http_router_it_sees_scheme_client_and_host(
    lab: Place, server: str, over: str
) -> None:
    router = lab.http_router("--http-keepalive", subscriptions=True)
    address = str(lab.directory / "app.sock") if over == "unix" else f"127.0.0.1:{free_port()}"
    program = BEHIND_THE_ROUTER[server, over]
    process = subscribed(lab, router.announce, address, *program, env={"FORWARDED_ALLOW_IPS": None})
    process.wait_for_output("accepted by the router")
    # As a proxy in front says it that ends TLS.
    forwarded = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https")
    with router.client() as client:
        scheme, seen_client, host = json.loads(client.get("/", *forwarded, host=KEY).body)
    assert (scheme, host) == ("https", KEY)
    assert "203.0.113.9" in seen_client
    process.signal(signal.SIGTERM)
    assert process.wait() in ORDERLY


@pytest.mark.peers
@pytest.mark.parametrize("server", IN_A_POOL)
def test_rolling_all_nodes_under_load_loses_no_request(lab: Place, server: str) -> None:
    proto, program = IN_A_POOL[server]
    router = lab.router()
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    nodes = {a: subscribed(lab, router.announce, a, *program, proto=proto) for a in addresses}
    router.wait_for_nodes(*addresses)
    load = lab.load(lab.nginx(router.address))
    load.wait_for(50)
    for address in addresses:
        nodes[address].signal(signal.SIGTERM)
        assert nodes[address].wait() in ORDERLY
        nodes[address] = subscribed(lab, router.announce, address, *program, proto=proto)
        router.wait_for_nodes(*addresses)
        load.wait_for(50)
    load.stop()
    assert load.lost() == {}
    assert len(load.outcomes) >= 150


def test_a_refusal_is_told_with_its_reason(lab: Place) -> None:
    router = lab.router()
    address = f"127.0.0.1:{free_port()}"
    program = (sys.executable, "-m", "http.server", "-b", "{host}", "{port}")
    process = subscribed(lab, router.announce, address, *program, proto="scgi")
    process.wait_for_output(f"refused by the router: {KEY} => {address}: ")
    assert router.nodes() == {}


def make_keys(directory: Path, names: list[str]) -> None:
    """Make NAME.pem, public, as uWSGI wants it, and private/NAME.pem; the name begins with rsa or ec."""
    (directory / "private").mkdir()
    for name in names:
        private = f"private/{name}.pem"
        how = ["genrsa", "-out", private, "2048"]
        if name.startswith("ec"):
            how = ["ecparam", "-name", "prime256v1", "-genkey", "-out", private]
        for argv in (how, ["pkey", "-in", private, "-pubout", "-out", f"{name}.pem"]):
            subprocess.run(["openssl", *argv], cwd=directory, check=True, capture_output=True)


@pytest.mark.sources
@pytest.mark.peers
@pytest.mark.parametrize("digest", ["SHA1", "SHA256"])
def test_real_uwsgi_takes_signed_announces_and_obeys_the_unsubscribe(
    lab: Place, digest: str
) -> None:
    # Without site packages there is no `cryptography`, and openssl signs.
    modes = {
        "cryptography": (programs.uwsgi_router(), "subscribe"),
        "openssl": (sys.executable, "-S", "-m", "uwsgi_router.subscriptions.client"),
    }
    keys = [f"{kind}.{mode}.example" for kind in ("rsa", "ec") for mode in modes]
    make_keys(lab.directory, keys)
    server = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    routing = (
        "--fastrouter",
        f"127.0.0.1:{free_port()}",
        "--fastrouter-subscription-server",
        server,
    )
    check = ("--subscriptions-sign-check", f"{digest}:{lab.directory}")
    uwsgi = lab.program("uwsgi", programs.uwsgi(), "--master", *routing, *check)
    uwsgi.wait_for_output("subscription server bound")
    nodes = {}
    for key in keys:
        address = f"127.0.0.1:{free_port()}"
        sign = f"{digest}:{lab.directory}/private/{key}.pem"
        options = ("--server", server, "--key", key, "--address", address, "--sign", sign)
        program = (sys.executable, "-m", "http.server", "-b", "{host}", "{port}")
        argv = (*modes[key.split(".")[1]], *options, "--drain", "0", "--", *program)
        nodes[key] = lab.program(key, *argv, cwd=programs.ROOT), address
    for key, (_, address) in nodes.items():
        uwsgi.wait_for_output(f"{key} => new node: {address}")
    for key, (process, address) in nodes.items():
        process.signal(signal.SIGTERM)
        process.wait()
        uwsgi.wait_for_output(f"{key} => marking {address} as failed")
