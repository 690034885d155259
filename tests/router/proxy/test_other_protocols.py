"""Nodes and clients that speak another protocol than is expected of them: the log names it, and what to set."""

import ssl

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.log import Log
from tests.lab.messages import ask, from_web_server, says, status_of
from tests.lab.router import Router
from tests.lab.scripts import Script, always
from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.request import parse_request

#: What servers say to a packet: uvicorn, gunicorn, waitress.
REFUSALS = {
    "uvicorn": b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nInvalid",
    "gunicorn": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
    "waitress": b"HTTP/1.0 400 Bad Request\r\nServer: waitress\r\nContent-Length: 2\r\n\r\nno",
}


async def asked(lab: Lab, router: Router, *, http: bool) -> bytes:
    return await lab.ask(router, ask("/", "Connection: close") if http else from_web_server())


def says_at_once(data: bytes) -> Script:
    """Reads something, says this and closes the connection."""

    async def script(peer: Peer) -> None:
        await peer.exactly(4)
        await peer.send(data)

    return script


# --- HTTP servers that are asked in uwsgi ---


@pytest.mark.parametrize("client_http", [True, False], ids=["http", "fastrouter"])
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_an_http_server_asked_in_uwsgi_is_named_with_what_to_set(
    lab: Lab, log: Log, refusal: bytes, client_http: bool
) -> None:
    node = lab.node(says_at_once(refusal))
    router = await (lab.http if client_http else lab.router)(node)
    for _ in range(3):
        assert b" 400 " in await asked(lab, router, http=client_http)
    name = "http" if client_http else "fastrouter"
    (line,) = log.having("is asked in")
    assert line == (
        f"warning {node.address} is asked in uwsgi, and answers every request with 400, as HTTP servers do:"
        f" if it speaks HTTP, set {name}-to = http://{node.address}"
    )


async def test_what_to_set_at_a_unix_socket_and_in_an_announce(lab: Lab, log: Log) -> None:
    node = lab.node(says_at_once(REFUSALS["uvicorn"]), unix=True)
    await asked(lab, await lab.http(node), http=True)
    assert f"set http-to = http+unix:{node.address}" in await log.line("is asked in")
    other = lab.node(says_at_once(REFUSALS["uvicorn"]))
    router = await lab.announced()
    router.announce(other.address)
    await asked(lab, router, http=True)
    assert "let it announce proto=http" in await log.line(f"{other.address} is asked in uwsgi")


@pytest.mark.parametrize("client_http", [True, False], ids=["http", "fastrouter"])
async def test_an_applications_own_400_is_no_sign_of_another_protocol(
    lab: Lab, log: Log, client_http: bool
) -> None:
    for status in ("HTTP/1.1 400 Bad Request", "HTTP/1.0 400 Bad Request"):
        node = lab.uwsgi_node(always(status.encode() + b"\r\nContent-Length: 0\r\n\r\n"))
        router = await (lab.http if client_http else lab.router)(node)
        assert b" 400 " in await asked(lab, router, http=client_http)
    node = lab.http_node(always(says(b"", "Connection: close", status="400 Bad Request")))
    router = await lab.http(to=(f"http://{node.address}",))
    assert b" 400 " in await asked(lab, router, http=True)
    assert log.having("is asked in") == []


@pytest.mark.parametrize("client_http", [True, False], ids=["http", "fastrouter"])
async def test_a_400_of_a_node_that_answers_otherwise_too_is_none_either(
    lab: Lab, log: Log, client_http: bool
) -> None:
    # gunicorn over uwsgi.
    node = lab.uwsgi_node(always(says(b"ok", "Connection: close"), REFUSALS["gunicorn"]))
    router = await (lab.http if client_http else lab.router)(node)
    answers = [status_of(await asked(lab, router, http=client_http)) for _ in range(4)]
    assert answers == [200, 400, 400, 400]
    assert log.having("is asked in") == []


@pytest.mark.parametrize("client_http", [True, False], ids=["http", "fastrouter"])
async def test_a_node_that_never_says_a_byte_may_speak_another_protocol(
    lab: Lab, log: Log, client_http: bool
) -> None:
    node = lab.held()
    router = await (lab.http if client_http else lab.router)(node, timeout=0.1, errors="http")
    assert status_of(await asked(lab, router, http=client_http)) == 504
    line = await log.line("is asked in")
    assert f"{node.address} is asked in uwsgi, and sends no byte: if it speaks HTTP" in line


async def test_a_node_that_has_said_something_is_only_slow(lab: Lab, log: Log) -> None:
    node = lab.held()
    router = await lab.http(node, timeout=0.1)
    client = await lab.open(router, ask("/"))
    peer = await node.next()
    await peer.send(says(b"ok"))
    peer.close()
    assert (await client.answer()).status == 200
    assert status_of(await asked(lab, router, http=True)) == 504
    assert log.having("is asked in") == []


async def test_garbage_of_a_node_is_named_too(lab: Lab, log: Log) -> None:
    node = lab.node(says_at_once(b"<!DOCTYPE HTML>\r\n<p>Bad request syntax"))
    router = await lab.http(node)
    assert status_of(await asked(lab, router, http=True)) == 502
    line = await log.line("is asked in")
    assert (
        f"and sends something else: if it speaks HTTP, set http-to = http://{node.address}" in line
    )


# --- uwsgi servers that are asked in HTTP ---


@pytest.mark.parametrize("client_http", [True, False], ids=["http", "fastrouter"])
async def test_a_uwsgi_server_asked_in_http_is_named_with_what_to_set(
    lab: Lab, log: Log, client_http: bool
) -> None:
    # As uWSGI does with a packet that is larger than its buffer.
    node = lab.node(says_at_once(b""))
    make = lab.http if client_http else lab.router
    router = await make(to=(f"http://{node.address}",), errors="http")
    for _ in range(3):
        assert status_of(await asked(lab, router, http=client_http)) == 502
    name = "http" if client_http else "fastrouter"
    (line,) = log.having("is asked in")
    assert line == (
        f"warning {node.address} is asked in HTTP, and ends the connection without a byte:"
        f" if it speaks uwsgi, set {name}-to = uwsgi://{node.address}"
    )


# --- clients ---


async def test_tls_on_the_http_port_is_named(lab: Lab, log: Log) -> None:
    router = await lab.http(lab.uwsgi_node())
    assert b" 400 " in await lab.ask(router, client_hello())
    assert "this is no HTTP but a TLS handshake" in await log.line("bad-request-line")


async def test_uwsgi_on_the_http_port_is_named(lab: Lab, log: Log) -> None:
    router = await lab.http(lab.uwsgi_node())
    assert b" 400 " in await lab.ask(router, from_web_server())
    line = await log.line("bad-request-line")
    assert "this is no HTTP but a uwsgi packet: the port speaks HTTP (in nginx: proxy_pass" in line


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
    ],
)
async def test_a_proxy_header_that_nobody_expects_is_named(
    lab: Lab, log: Log, header: bytes
) -> None:
    router = await lab.http(lab.uwsgi_node())
    assert b" 400 " in await lab.ask(router, header + ask("/"))
    assert "a PROXY header, which nobody expects here" in await log.line("bad-request-line")


@pytest.mark.parametrize("rest", [b"", bytes(2000)])
async def test_tls_on_the_uwsgi_port_is_named(lab: Lab, log: Log, rest: bytes) -> None:
    router = await lab.router(lab.uwsgi_node())
    assert await lab.ask(router, client_hello() + rest) == b""
    await log.line("refused a packet from 127.0.0.1: this is a TLS handshake")


def client_hello() -> bytes:
    """The first bytes of a TLS client."""
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(
        ssl.MemoryBIO(), outgoing, server_hostname="example.com"
    )
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    "data", [client_hello(), from_web_server(), b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n"]
)
def test_it_is_named_the_same_however_the_bytes_come(data: bytes) -> None:
    def in_parts() -> None:
        for end in range(1, len(data) + 1):
            parse_request(data[:end], seen=end - 1)

    with pytest.raises(HttpError) as whole:
        parse_request(data)
    with pytest.raises(HttpError) as piecemeal:
        in_parts()
    assert piecemeal.value.text == whole.value.text
