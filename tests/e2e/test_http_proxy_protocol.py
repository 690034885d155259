"""PROXY headers, versions 1 and 2, as nginx and HAProxy send them."""

import ipaddress
import struct
from collections.abc import Iterator

import pytest

from tests.lab.nodes import Node, in_a_thread
from tests.lab.place import Place


@pytest.fixture
def node() -> Iterator[Node]:
    with in_a_thread("uwsgi") as node:
        yield node


SOURCE, PORT = "203.0.113.7", 4711
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def proxy_v1() -> bytes:
    """As nginx's stream module sends it."""
    return f"PROXY TCP4 {SOURCE} 127.0.0.1 {PORT} 80\r\n".encode()


def proxy_v2() -> bytes:
    """As HAProxy sends it, with a CRC-32C, a NOOP and an unknown TLV behind the addresses."""
    addresses = ipaddress.ip_address(SOURCE).packed + bytes([127, 0, 0, 1])
    tlvs = b"\x03\0\x04" + bytes(4) + b"\x04\0\x02ab" + b"\xe5\0\x03xyz"
    rest = addresses + struct.pack("!HH", PORT, 80) + tlvs
    return SIGNATURE + b"\x21\x11" + struct.pack("!H", len(rest)) + rest


@pytest.mark.parametrize("header", [proxy_v1(), proxy_v2()], ids=["v1", "v2"])
def test_a_proxy_header_says_who_the_client_is_for_the_whole_connection(
    lab: Place, node: Node, header: bytes
) -> None:
    router = lab.http_before(node, "--http-enable-proxy-protocol")
    with router.client() as client:
        client.send(header)
        assert [client.get("/").status for _ in range(2)] == [200, 200]
    assert [
        (seen.variables[b"REMOTE_ADDR"], seen.variables[b"REMOTE_PORT"]) for seen in node.seen
    ] == [(SOURCE.encode(), b"%d" % PORT)] * 2


@pytest.mark.parametrize("header", [proxy_v1(), proxy_v2()], ids=["v1", "v2"])
def test_a_second_proxy_header_is_a_bad_request(lab: Place, node: Node, header: bytes) -> None:
    router = lab.http_before(node, "--http-enable-proxy-protocol")
    with router.client() as client:
        client.send(header)
        assert client.get("/").status == 200
        client.send(header)
        client.request("GET", "/")
        assert client.answer().status == 400
        assert client.ending() == (b"", "closed")
    assert len(node.seen) == 1


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        SIGNATURE + b"\x21\x11\0\x01!" * 2,
        b"PROXY\r\n",
    ],
    ids=["none", "short v2", "short v1"],
)
def test_a_connection_without_a_good_proxy_header_is_refused(
    lab: Place, node: Node, start: bytes
) -> None:
    router = lab.http_router("--http-enable-proxy-protocol", f"--http-to={node.address}")
    with router.client() as client:
        client.send(start)
        assert client.answer().status == 400
        assert client.ending() == (b"", "closed")
    assert node.seen == []


def test_of_peers_outside_the_list_a_proxy_header_is_not_believed(lab: Place, node: Node) -> None:
    router = lab.http_router(
        "--http-enable-proxy-protocol=192.0.2.0/24", f"--http-to={node.address}"
    )
    with router.client() as client:
        client.send(proxy_v1())
        client.request("GET", "/")
        assert client.answer().status == 400
    with router.client() as client:
        assert client.get("/").status == 200
    assert [seen.variables[b"REMOTE_ADDR"] for seen in node.seen] == [b"127.0.0.1"]
