"""Host, scheme, client, length and path of one request: the same for nodes of both protocols, behind both routers."""

import socket
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

import pytest

from tests.lab.lab import Lab
from tests.lab.messages import Message, packet
from uwsgi_router.protocol.http.host import server_authority
from uwsgi_router.protocol.http.target import normalise_path

NAME = socket.gethostname()


@dataclass(frozen=True)
class Told:
    """What an application makes of a request; ``{port}`` in the host is the router's."""

    host: str = "example.com"
    scheme: str = "http"
    client: str = "127.0.0.1"
    length: int | None = None
    method: str = "GET"
    path: str = "/"
    query: str = ""


@dataclass(frozen=True)
class Head:
    """A request: the bytes of a client, and the variables that nginx makes of them."""

    lines: tuple[str, ...]
    variables: dict[str, str]
    told: Told
    body: bytes = b""
    absent: tuple[str, ...] = field(default=())


HOST = {"HTTP_HOST": "example.com"}
HEADS = {
    "ordinary": Head(
        ("GET /a/b?c=d HTTP/1.1", "Host: example.com"),
        {**HOST, "REQUEST_URI": "/a/b?c=d", "PATH_INFO": "/a/b", "QUERY_STRING": "c=d"},
        Told(path="/a/b", query="c=d"),
    ),
    "no Host": Head(
        ("GET / HTTP/1.0",),
        {"REQUEST_URI": "/", "PATH_INFO": "/"},
        Told(host=f"{NAME}:{{port}}"),
        absent=("x-forwarded-host",),
    ),
    "no Host, from a proxy that speaks TLS": Head(
        ("GET / HTTP/1.0", "X-Forwarded-Proto: https"),
        {"REQUEST_URI": "/", "PATH_INFO": "/", "HTTP_X_FORWARDED_PROTO": "https"},
        Told(host=f"{NAME}:{{port}}", scheme="https"),
        absent=("x-forwarded-host",),
    ),
    "a Host with a port, in capitals": Head(
        ("GET / HTTP/1.1", "Host: EXAMPLE.com:8080"),
        {"HTTP_HOST": "EXAMPLE.com:8080", "REQUEST_URI": "/", "PATH_INFO": "/"},
        Told(host="EXAMPLE.com:8080"),
    ),
    "an IPv6 Host": Head(
        ("GET / HTTP/1.1", "Host: [::1]:8080"),
        {"HTTP_HOST": "[::1]:8080", "REQUEST_URI": "/", "PATH_INFO": "/"},
        Told(host="[::1]:8080"),
    ),
    "a URL": Head(
        ("GET http://example.com/a?b HTTP/1.1", "Host: other.example"),
        {**HOST, "REQUEST_URI": "/a?b", "PATH_INFO": "/a", "QUERY_STRING": "b"},
        Told(path="/a", query="b"),
    ),
    "a URL without a path": Head(
        ("GET http://example.com HTTP/1.1", "Host: example.com"),
        {**HOST, "REQUEST_URI": "/", "PATH_INFO": "/"},
        Told(),
    ),
    "a URL with a query and without a path": Head(
        ("GET http://example.com?y=1 HTTP/1.1", "Host: example.com"),
        {**HOST, "REQUEST_URI": "?y=1", "PATH_INFO": "/", "QUERY_STRING": "y=1"},
        Told(query="y=1"),
    ),
    "no REQUEST_URI": Head(
        ("GET /%C3%BC%20?y=1 HTTP/1.1", "Host: example.com"),
        {**HOST, "PATH_INFO": "/\xc3\xbc ", "QUERY_STRING": "y=1"},
        Told(path="/\xc3\xbc ", query="y=1"),
    ),
    "neither REQUEST_URI nor path": Head(
        ("GET /?y=1 HTTP/1.1", "Host: example.com"),
        {**HOST, "PATH_INFO": "", "QUERY_STRING": "y=1"},
        Told(query="y=1"),
    ),
    "the whole server": Head(
        ("OPTIONS * HTTP/1.1", "Host: example.com"),
        {**HOST, "REQUEST_METHOD": "OPTIONS", "REQUEST_URI": "*", "PATH_INFO": "*"},
        Told(method="OPTIONS", path="*"),
    ),
    "dots, slashes and question marks": Head(
        ("GET /a/%2e%2e//b%2Fc?d?e=/../ HTTP/1.1", "Host: example.com"),
        {
            **HOST,
            "REQUEST_URI": "/a/%2e%2e//b%2Fc?d?e=/../",
            "PATH_INFO": "//b/c",
            "QUERY_STRING": "d?e=/../",
        },
        Told(path="//b/c", query="d?e=/../"),
    ),
    "a length": Head(
        ("POST / HTTP/1.1", "Host: example.com", "Content-Length: 3"),
        {
            **HOST,
            "REQUEST_METHOD": "POST",
            "CONTENT_LENGTH": "3",
            "REQUEST_URI": "/",
            "PATH_INFO": "/",
        },
        Told(method="POST", length=3),
        body=b"abc",
    ),
    "the length 0": Head(
        ("POST / HTTP/1.1", "Host: example.com", "Content-Length: 0"),
        {
            **HOST,
            "REQUEST_METHOD": "POST",
            "CONTENT_LENGTH": "0",
            "REQUEST_URI": "/",
            "PATH_INFO": "/",
        },
        Told(method="POST", length=0),
    ),
    "no length": Head(
        ("POST / HTTP/1.1", "Host: example.com"),
        {
            **HOST,
            "REQUEST_METHOD": "POST",
            "CONTENT_LENGTH": "",
            "REQUEST_URI": "/",
            "PATH_INFO": "/",
        },
        Told(method="POST"),
    ),
    "proxies in front": Head(
        (
            "GET / HTTP/1.1",
            "Host: example.com",
            "X-Forwarded-For: 192.0.2.1, 192.0.2.2",
            "X-Forwarded-Proto: https, http",
            "X-Forwarded-Host: public.example",
        ),
        {
            **HOST,
            "REQUEST_URI": "/",
            "PATH_INFO": "/",
            "REMOTE_ADDR": "192.0.2.2",
            "HTTP_X_FORWARDED_FOR": "192.0.2.1, 192.0.2.2",
            "HTTP_X_FORWARDED_PROTO": "https, http",
            "HTTP_X_FORWARDED_HOST": "public.example",
        },
        Told(host="public.example", scheme="https", client="192.0.2.2"),
    ),
    "a field for each proxy": Head(
        (
            "GET / HTTP/1.1",
            "Host: example.com",
            "X-Forwarded-Proto: HTTPS",
            "X-Forwarded-Proto: http",
        ),
        {
            **HOST,
            "REQUEST_URI": "/",
            "PATH_INFO": "/",
            "HTTP_X_FORWARDED_PROTO": "HTTPS, http",
        },
        Told(scheme="https"),
    ),
    "empty fields": Head(
        ("GET / HTTP/1.1", "Host: example.com", "X-Forwarded-For:", "X-Forwarded-Proto:"),
        {
            **HOST,
            "REQUEST_URI": "/",
            "PATH_INFO": "/",
            "HTTP_X_FORWARDED_FOR": "",
            "HTTP_X_FORWARDED_PROTO": "",
        },
        Told(),
    ),
}


def told_in(request: Message) -> Told:
    """Read a request as frameworks do behind a proxy that they trust."""
    chain = (request.get("x-forwarded-for") or b"").split(b",")
    seen = [entry.strip() for entry in chain if entry.strip() not in {b"127.0.0.1", b""}]
    scheme = (request.get("x-forwarded-proto") or b"").split(b",")[0].strip().lower()
    host = request.get("x-forwarded-host") or request.get("host") or b""
    length = request.get("content-length") or b""
    client = seen[-1] if seen else b"127.0.0.1"
    if request.variables:
        values = request.variables
        scheme = scheme or (b"https" if values.get(b"HTTPS") else b"http")
        server = (values[b"SERVER_NAME"], values[b"SERVER_PORT"], scheme)
        host = host or server_authority(*server)
        length = values.get(b"CONTENT_LENGTH", b"")
        client = values[b"REMOTE_ADDR"]
        path, query = values[b"PATH_INFO"] or b"/", values[b"QUERY_STRING"]
    else:
        path, _, query = request.target.partition(b"?")
        assert path == b"*" or path.startswith(b"/")
        path = normalise_path(path)
        assert path == b"*" or b"%" not in unquote_to_bytes(path)
    return Told(
        host=host.decode(),
        scheme=scheme.decode(),
        client=client.decode(),
        length=int(length) if length else None,
        method=request.method.decode(),
        path=path.decode("latin-1"),
        query=query.decode(),
    )


@pytest.mark.parametrize("back", ["uwsgi", "http"])
@pytest.mark.parametrize("front", ["http", "fastrouter"])
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
async def test_all_nodes_are_told_the_same(lab: Lab, head: Head, front: str, back: str) -> None:
    node = lab.node_of(back == "http")
    make = lab.http if front == "http" else lab.router
    router = await make(node, backend_http=back == "http")
    port = router.address[1]
    if front == "http":
        data = "\r\n".join((*head.lines, "", "")).encode("latin-1")
    else:
        server = {"SERVER_NAME": NAME, "SERVER_PORT": str(port), "REMOTE_ADDR": "127.0.0.1"}
        plain = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": ""}
        data = packet({**plain, **server, **head.variables}.items())
    await lab.ask(router, data + head.body)
    (request,) = node.requests
    told = told_in(request)
    assert told == Told(**{**head.told.__dict__, "host": head.told.host.format(port=port)})
    assert request.body == head.body
    for name in head.absent:
        assert request.get(name) is None
