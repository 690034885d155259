"""A program is ready when it accepts connections and its health URL answers for its own host."""

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import UnixStreamServer

import pytest

from tests.lab.processes import free_port
from uwsgi_router.protocol.subscription import Proto
from uwsgi_router.protocol.uwsgi import decode_variables
from uwsgi_router.subscriptions.client.announcement import PROTOS
from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.readiness import Check


class Handler(BaseHTTPRequestHandler):
    """Knows one host, like Django with its ALLOWED_HOSTS."""

    def do_GET(self) -> None:
        known = self.headers.get_all("Host") == ["example.com"]
        found = {"/health": 200, "/moved": 301, "/broken": 500}.get(self.path, 404)
        self.send_response(found if known else 400)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "test"


class UnixServer(UnixStreamServer):
    request_queue_size = 16


@pytest.fixture(params=["tcp", "unix"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    server: HTTPServer | UnixServer
    if request.param == "tcp":
        server = HTTPServer(("127.0.0.1", 0), Handler)
        name = f"127.0.0.1:{server.server_address[1]}"
    else:
        name = str(tmp_path / "app.sock")
        server = UnixServer(name, Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield name
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("key", ["example.com", "example.com/blog", ".example.com"])
def test_the_key_is_asked_for(address: str, key: str) -> None:
    assert Check.parse("/health", key).trouble(address) is None


def test_a_redirection_is_an_answer(address: str) -> None:
    assert Check.parse("/moved", "example.com").trouble(address) is None


def test_other_answers_are_troubles(address: str) -> None:
    assert Check.parse("/broken", "example.com").trouble(address) == (
        f"{address} answers GET /broken for example.com with 500"
    )
    trouble = Check.parse("/health", "other.example").trouble(address)
    assert trouble is not None
    assert trouble.endswith("for other.example with 400")


def test_without_url_a_connection_is_enough(address: str) -> None:
    assert Check().trouble(address) is None


def test_nobody_there(tmp_path: Path) -> None:
    for nowhere in (f"127.0.0.1:{free_port()}", str(tmp_path / "none.sock")):
        trouble = Check().trouble(nowhere)
        assert trouble is not None
        assert trouble.startswith(f"cannot connect to {nowhere}: ")


def test_a_whole_url_is_asked_instead_of_the_announced_address() -> None:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    check = Check.parse(f"http://127.0.0.1:{server.server_address[1]}/health", "example.com")
    assert check.trouble("/nowhere") is None
    thread.join()
    server.server_close()


@pytest.mark.parametrize("url", ["health", "https://a/", "http://", "http://a:0/", "/a b", ""])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(SubscribeError):
        Check.parse(url, "example.com")


# --- what it speaks ---

Answer = Callable[[bytes], bytes | None]
Start = Callable[[Answer], "Server"]
UWSGI = "speaks uwsgi, and is to be announced as http: write --proto uwsgi, or uwsgi:// before its address"
HTTP = "speaks http, and is to be announced as uwsgi: write --proto http, or http:// before its address"


class Server:
    """A program that says what ``answer`` makes of the first bytes of each connection, and then ends it.

    If that is None it waits for more, to the connection's end.
    """

    def __init__(self, answer: Answer) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._answer = answer
        self._thread = threading.Thread(target=self._serve)
        self.address = "{}:{}".format(*self._listener.getsockname())
        self.heard: list[bytes] = []
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock:
                data = sock.recv(4096)
                if not data:
                    continue
                self.heard.append(data)
                answer = self._answer(data)
                if answer is None:
                    sock.recv(1)
                else:
                    sock.sendall(answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Start]:
    servers: list[Server] = []

    def start(answer: Answer) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for one in servers:
        one.close()


def as_uwsgi(data: bytes) -> bytes | None:
    """What uWSGI does: it ends the connection of a packet that is too large, and waits for the rest of others."""
    modifier1, size = data[0], int.from_bytes(data[1:3], "little")
    if modifier1 or size > 4096:
        return b""
    return None if len(data) < 4 + size else b"HTTP/1.1 404 Not Found\r\n\r\n"


def as_gunicorn_in_uwsgi(data: bytes) -> bytes | None:
    """What gunicorn does in uwsgi: it answers other modifiers with 400."""
    return b"HTTP/1.1 400 Bad Request\r\n\r\n" if data[0] else as_uwsgi(data)


def as_http(data: bytes) -> bytes | None:
    """What HTTP servers do: they wait for the end of a head, and refuse what begins none."""
    if not data.startswith((b"HEAD /", b"GET /")):
        return b"HTTP/1.1 400 Bad Request\r\n\r\n" if b"\r\n" in data else None
    return b"HTTP/1.1 204 No Content\r\n\r\n" if b"\r\n\r\n" in data else None


def refusing(kind: Answer) -> Answer:
    """A server whose application says 400 to everything."""

    def answer(data: bytes) -> bytes | None:
        said = kind(data)
        return said and b"HTTP/1.1 400 Bad Request\r\n\r\n"

    return answer


@pytest.mark.parametrize("url", [None, "/health"])
@pytest.mark.parametrize("kind", [as_uwsgi, as_gunicorn_in_uwsgi])
def test_a_uwsgi_server_is_not_announced_as_http(
    server: Start, url: str | None, kind: Answer
) -> None:
    address = server(kind).address
    check = Check.parse(url, "k") if url else Check()
    assert check.trouble(address, "http") == f"{address} {UWSGI}"
    assert Check().trouble(address, "uwsgi") is None


def test_an_http_server_is_not_announced_as_uwsgi(address: str, server: Start) -> None:
    assert Check().trouble(address, "http") is None
    assert Check.parse("/health", "example.com").trouble(address, "http") is None
    assert Check.parse("/health", "example.com").trouble(address, "uwsgi") == f"{address} {HTTP}"
    other = server(as_http).address
    assert Check().trouble(other, "uwsgi") == f"{other} {HTTP}"


def test_what_cannot_be_told_is_announced(server: Start) -> None:
    ends = server(lambda _data: b"").address
    for proto in PROTOS:
        assert Check().trouble(ends, proto) is None


@pytest.mark.parametrize(("kind", "proto"), [(as_http, "http"), (as_uwsgi, "uwsgi")])
def test_an_application_may_refuse_everything(server: Start, kind: Answer, proto: Proto) -> None:
    assert Check().trouble(server(refusing(kind)).address, proto) is None


def test_the_application_is_asked_for_its_own_host(server: Start) -> None:
    one = server(as_http)
    assert Check(host="example.com").trouble(one.address, "http") is None
    assert one.heard[0].startswith(b"HEAD / HTTP/1.1\r\nHost: example.com\r\n")
    other = server(as_uwsgi)
    assert Check(host="example.com").trouble(other.address, "uwsgi") is None
    assert (b"HTTP_HOST", b"example.com") in decode_variables(other.heard[0][4:])


def test_a_check_elsewhere_says_nothing_of_the_node(server: Start) -> None:
    health = server(as_http).address
    node = server(as_uwsgi).address
    check = Check.parse(f"http://{health}/health", "example.com")
    assert check.trouble(node, "uwsgi") is None
    assert check.trouble(node, "http") == f"{node} {UWSGI}"


def test_what_is_for_a_raw_router_may_speak_anything() -> None:
    """It hears of one connection, and of no request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        assert Check(any_protocol=True).trouble(address, "uwsgi") is None
        heard, _ = listener.accept()
        with heard:
            assert heard.recv(100) == b""
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
