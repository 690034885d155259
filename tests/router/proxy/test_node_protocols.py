"""Nodes of both protocols behind one router: wherever a node is named, its address says what it speaks."""

import socket
from typing import Any, Literal

import pytest

from tests.lab.lab import Lab
from tests.lab.log import Log
from tests.lab.messages import KEY, ask, from_web_server
from tests.lab.nodes import Node
from tests.lab.router import Router
from tests.lab.scripts import with_its_request
from uwsgi_router.protocol.uwsgi import encode_packet
from uwsgi_router.router.config.model import CacheConfig, CacheItem

Proto = Literal["uwsgi", "http"]
OTHER: dict[Proto, Proto] = {"uwsgi": "http", "http": "uwsgi"}


def node_of(lab: Lab, proto: Proto, **where: Any) -> Node:
    make = lab.http_node if proto == "http" else lab.uwsgi_node
    return make(with_its_request, **where)


def named(node: Node, proto: Proto) -> str:
    """The node's address, with the scheme that says what it speaks."""
    if node.address.startswith("/"):
        return f"{proto}+unix:{node.address}"
    return f"{proto}://{node.address}"


def nodes_named(how: str, name: str, lab: Lab) -> dict[str, Any]:
    """Options of a router that finds its node in this way."""
    items = (CacheItem("nodes", KEY.decode(), name),)
    options: dict[str, dict[str, Any]] = {
        "to": {"to": (name,)},
        "fallback": {"to": (lab.refused_tcp(),), "fallback": (name,)},
        "use-pattern": {"use_pattern": name},
        "use-socket": {"use_socket": name},
        "use-code-string": {"use_code_string": lambda _key: name},
        "use-cache": {
            "use_cache": "nodes",
            "process": {"named_caches": (CacheConfig("nodes", 10),), "cache_items": items},
        },
    }
    return options[how]


async def asked(lab: Lab, router: Router, *, http: bool) -> bytes:
    """The whole answer to a GET of /x."""
    return await lab.ask(router, ask("/x", "Connection: close") if http else from_web_server("/x"))


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
@pytest.mark.parametrize("proto", ["uwsgi", "http"])
@pytest.mark.parametrize("client", ["uwsgi", "http"])
@pytest.mark.parametrize(
    "how", ["to", "fallback", "use-pattern", "use-socket", "use-code-string", "use-cache"]
)
async def test_a_scheme_says_what_a_node_speaks_whatever_the_others_do(
    lab: Lab, how: str, client: Proto, proto: Proto, unix: bool
) -> None:
    node = node_of(lab, proto, unix=unix)
    options = nodes_named(how, named(node, proto), lab)
    router = await (lab.http if client == "http" else lab.router)(
        backend_http=proto == "uwsgi", **options
    )
    answer = await asked(lab, router, http=client == "http")
    assert b"GET /x HTTP/1.1" in answer
    assert len(node.requests) == 1


@pytest.mark.parametrize("proto", ["uwsgi", "http"])
@pytest.mark.parametrize("option", ["use_pattern", "use_base"])
async def test_a_scheme_stands_before_the_key(lab: Lab, option: str, proto: Proto) -> None:
    path = lab.path()
    node = node_of(lab, proto, unix=True, at=str(path.with_name(KEY.decode())))
    start = f"{proto}+unix:{path.parent}/"
    text = f"{start}%s" if option == "use_pattern" else start
    options: dict[str, Any] = {option: text}
    router = await lab.http(backend_http=proto == "uwsgi", **options)
    assert b"GET /x HTTP/1.1" in await asked(lab, router, http=True)
    assert len(node.requests) == 1


@pytest.mark.parametrize("proto", ["uwsgi", "http"])
async def test_the_key_may_be_the_port_behind_a_scheme(lab: Lab, proto: Proto) -> None:
    node = node_of(lab, proto)
    router = await lab.http(backend_http=proto == "uwsgi", use_pattern=f"{proto}://127.0.0.1:%s")
    port = node.address.rpartition(":")[2]
    request = f"GET /x HTTP/1.1\r\nHost: {port}\r\nConnection: close\r\n\r\n".encode()
    assert b"GET /x HTTP/1.1" in await lab.ask(router, request)


async def test_nodes_of_both_protocols_share_one_router(lab: Lab) -> None:
    http, uwsgi, usual = node_of(lab, "http"), node_of(lab, "uwsgi"), node_of(lab, "uwsgi")
    names = (named(http, "http"), named(uwsgi, "uwsgi"), f"unix:{usual.address}")
    usual_unix = node_of(lab, "uwsgi", unix=True)
    router = await lab.http(to=(*names[:2], usual.address, f"unix:{usual_unix.address}"))
    for _ in range(8):
        assert b"GET /x HTTP/1.1" in await asked(lab, router, http=True)
    assert [len(n.requests) for n in (http, uwsgi, usual, usual_unix)] == [2, 2, 2, 2]


async def test_a_host_name_with_a_scheme_stands_for_its_addresses(lab: Lab) -> None:
    node = node_of(lab, "http")
    port = node.address.rpartition(":")[2]
    router = await lab.http(to=(f"http://localhost:{port}",))
    assert b"GET /x HTTP/1.1" in await asked(lab, router, http=True)


# --- announces ---


def announce(address: str, *variables: tuple[bytes, bytes]) -> bytes:
    return encode_packet([(b"key", KEY), (b"address", address.encode()), *variables], 224)


@pytest.mark.parametrize("proto", ["uwsgi", "http"])
@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
async def test_an_announced_address_may_have_a_scheme(
    lab: Lab, log: Log, proto: Proto, unix: bool
) -> None:
    node = node_of(lab, proto, unix=unix)
    server = str(lab.path())
    router = await lab.http(subscription_servers=(server,))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(announce(named(node, proto)), server)
        assert f"new node: {node.address} " in await log.line("new node")
        assert b"GET /x HTTP/1.1" in await asked(lab, router, http=True)
        sock.sendto(announce(node.address, (b"proto", proto.encode())), server)
        # It is the same node: the plain address is its name.
        sock.sendto(announce("http://127.0.0.1:1", (b"proto", b"uwsgi")), server)
        await log.line("the address 'http://127.0.0.1:1' says http, proto says uwsgi")
        assert [one.name for one in router.table.registry.pools[KEY].nodes] == [node.address]
