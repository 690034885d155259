"""A program is ready when it accepts connections and its health URL answers for its own host."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import UnixStreamServer

import pytest

from tests.lab.processes import free_port
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
