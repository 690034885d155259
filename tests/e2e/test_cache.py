"""Real uWSGI instances fill our cache with their own client; our router reads a real uWSGI's cache."""

import socket
from urllib.parse import urlencode

import pytest

from tests.lab.clients import answer_of, connected
from tests.lab.commands import Router
from tests.lab.messages import HOST, from_web_server
from tests.lab.place import Place
from tests.lab.processes import free_port
from tests.lab.servers import Vassal
from uwsgi_router.protocol.uwsgi import encode_packet

pytestmark = pytest.mark.peers


def ask(where: Router | Vassal, path: str = "/", **query: str) -> str:
    """Send one request as a web server would, and return the body ("" if there is no answer)."""
    answer = answer_of(where.address, from_web_server(path, urlencode(query)))
    return answer.partition(b"\r\n\r\n")[2].decode()


def who(router: Router) -> str:
    """Return the name of the vassal that answers."""
    return ask(router).partition(" ")[0]


@pytest.fixture(params=["tcp", "unix"])
def cache_socket(request: pytest.FixtureRequest, lab: Place) -> str:
    if request.param == "unix":
        return str(lab.directory / "cache.sock")
    return f"127.0.0.1:{free_port()}"


def test_a_real_uwsgi_fills_our_cache_with_its_own_client(lab: Place, cache_socket: str) -> None:
    first = lab.vassal("first", None)
    second = lab.vassal("second", None)
    router = lab.router(
        "--fastrouter-use-cache=nodes",
        "--cache2=name=other,items=10",
        "--cache2=name=nodes,items=10",
        f"--cache-socket={cache_socket}",
        subscriptions=False,
    )
    there = {"key": HOST, "in": f"nodes@{cache_socket}"}
    assert who(router) == ""

    assert ask(first, "/cache", what="update", value=first.address, **there) == "True"
    assert {who(router) for _ in range(3)} == {"first"}

    assert ask(first, "/cache", what="set", value=second.address, **there) == "None"
    assert who(router) == "first"

    both = f"{second.address}|{first.address},0"
    assert ask(second, "/cache", what="update", value=both, **there) == "True"
    assert sorted(who(router) for _ in range(4)) == ["first", "first", "second", "second"]

    assert ask(first, "/cache", what="get", **there) == repr(both.encode())
    assert ask(first, "/cache", what="exists", **there) == "True"
    assert ask(first, "/cache", what="exists", key="none", **{"in": there["in"]}) == "None"
    assert ask(first, "/cache", what="del", **there) == "True"
    assert who(router) == ""
    assert ask(first, "/cache", what="set", value=second.address, **there) == "True"
    assert who(router) == "second"
    assert ask(first, "/cache", what="clear", **there) == "True"
    assert who(router) == ""


@pytest.mark.parametrize("name", ["nodes", ""])
def test_our_router_reads_a_real_uwsgis_cache(lab: Place, name: str) -> None:
    vassal = lab.vassal(
        "vassal",
        None,
        options=["--cache2", "name=nodes,items=10", "--cache2", "name=other,items=10"],
    )
    router = lab.router(f"--fastrouter-use-cache={name}@{vassal.address}", subscriptions=False)
    stored = ask(vassal, "/cache", what="set", key=HOST, value=vassal.address, **{"in": "nodes"})
    assert stored == "True"
    assert [who(router) for _ in range(3)] == ["vassal"] * 3


def test_a_key_that_the_other_cache_lacks_goes_to_the_fallback_if_asked_for(lab: Place) -> None:
    vassal = lab.vassal("vassal", None, options=["--cache2", "name=nodes,items=10"])
    options = [f"--fastrouter-use-cache=nodes@{vassal.address}"]
    options += [f"--fastrouter-fallback={vassal.address}", "--fastrouter-fallback-on-no-key"]
    router = lab.router(*options, subscriptions=False)
    assert who(router) == "vassal"


def test_items_that_are_there_from_the_start(lab: Place) -> None:
    vassal = lab.vassal("vassal", None)
    router = lab.router(
        "--fastrouter-use-cache",
        "--cache=100",
        f"--add-cache-item=default {HOST}={vassal.address}",
        subscriptions=False,
    )
    assert who(router) == "vassal"


def test_bad_bytes_on_the_cache_socket_harm_nobody(lab: Place, cache_socket: str) -> None:
    vassal = lab.vassal("vassal", None)
    router = lab.router(
        "--fastrouter-use-cache=nodes",
        "--cache2=name=nodes,items=10",
        f"--add-cache-item=nodes {HOST}={vassal.address}",
        f"--cache-socket={cache_socket}",
        subscriptions=False,
    )
    bad = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"o\xff\xff\x11" + b"\0" * 70_000,
        b"o\x04\x00\x11\xff\xff\xff\xff",
        encode_packet([(b"cmd", b"update"), (b"key", b"k"), (b"size", b"9" * 12)], 111, 17),
        encode_packet([(b"cmd", b"update"), (b"key", b"k"), (b"size", b"-1")], 111, 17),
        encode_packet([(b"cmd", b"halt")], 111, 17),
        b"o",
    ]
    silent = []
    for data in bad:
        sock = connected(cache_socket, 15)
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        silent.append(sock)
    # As many that say nothing as the socket serves at once: they keep nobody but themselves waiting.
    silent += [connected(cache_socket, 15) for _ in range(64)]
    for sock in silent:
        lab.closing(sock)
    assert [who(router) for _ in range(5)] == ["vassal"] * 5
    for sock in silent[: len(bad)]:
        assert ended(sock)
    assert "refused a cache command" in router.output()


def ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
