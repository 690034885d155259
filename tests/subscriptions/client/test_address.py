"""An address that no router could reach is refused before anybody hears of it."""

import os
import socket

import pytest

from uwsgi_router.subscriptions.client.address import check_address, is_auto, settle, unreachable
from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.servers import ServerAddress

LOCAL = ServerAddress(socket.AF_INET, ("127.0.0.1", 3032))
# From the block for documentation: nobody is there, and no packet is sent.
ELSEWHERE = ServerAddress(socket.AF_INET, ("192.0.2.1", 3032))
UNIX = ServerAddress(socket.AF_UNIX, b"/run/announce.sock")


@pytest.mark.parametrize(
    ("written", "announced"),
    [
        ("10.0.0.1:8000", "10.0.0.1:8000"),
        ("[2001:db8::1]:8000", "[2001:db8::1]:8000"),
        ("app.internal:8000", "app.internal:8000"),
        ("/run/app.sock", "/run/app.sock"),
        ("@app", "@app"),
        ("auto:8000", "auto:8000"),
    ],
)
def test_what_is_announced(written: str, announced: str) -> None:
    assert check_address(written) == (announced, None)


@pytest.mark.parametrize(
    ("written", "announced", "proto"),
    [
        ("http://10.0.0.1:8000", "10.0.0.1:8000", "http"),
        ("uwsgi://app.internal:3031/", "app.internal:3031", "uwsgi"),
        ("http://auto:8000", "auto:8000", "http"),
        ("unix:/run/app.sock", "/run/app.sock", None),
        ("http+unix:/run/app.sock", "/run/app.sock", "http"),
        ("uwsgi+unix:@app", "@app", "uwsgi"),
    ],
)
def test_a_scheme_says_the_protocol_and_is_not_announced(
    written: str, announced: str, proto: str | None
) -> None:
    assert check_address(written) == (announced, proto)


def test_a_relative_path_becomes_absolute() -> None:
    assert check_address("./app.sock") == (os.path.abspath("app.sock"), None)


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("0.0.0.0:8000", "write auto:8000"),
        (":8000", "write auto:8000"),
        ("[::]:8000", "write auto:8000"),
        ("8000", "write HOST:8000 or auto:8000"),
        ("app.internal", "has no port: write app.internal:8000"),
        ("auto", "auto needs a port"),
        ("auto:0", "auto needs a port"),
        ("unix:app.sock", "write the whole path"),
        ("ftp://10.0.0.1:8000", "nodes speak no ftp here"),
        ("http://0.0.0.0:8000", "write auto:8000"),
        ("10.0.0.1:0", "port 0"),
        ("10.0.0.1:http", "port 'http'"),
        ("/" + "x" * 200, "longer than"),
        ("", "has no port"),
    ],
)
def test_mistakes_say_what_to_write(written: str, hint: str) -> None:
    with pytest.raises(SubscribeError) as caught:
        check_address(written)
    assert hint in str(caught.value)


def test_auto_is_the_local_address_on_the_route() -> None:
    assert is_auto("auto:8000")
    assert settle("auto:8000", [LOCAL]) == "127.0.0.1:8000"
    assert settle("auto:8000", [UNIX]) == "127.0.0.1:8000"
    six = ServerAddress(socket.AF_INET6, ("::1", 3032, 0, 0))
    assert settle("auto:8000", [six]) == "[::1]:8000"


def test_other_addresses_stay() -> None:
    assert settle("10.0.0.1:8000", [LOCAL]) == "10.0.0.1:8000"


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_the_loopback_is_for_servers_of_this_machine(address: str) -> None:
    assert unreachable(address, LOCAL) is None
    assert unreachable(address, UNIX) is None
    reason = unreachable(address, ELSEWHERE)
    assert reason is not None
    assert "another machine: write auto:8000" in reason


@pytest.mark.parametrize("address", ["10.0.0.1:8000", "/run/app.sock"])
def test_other_addresses_may_be_reached_from_elsewhere(address: str) -> None:
    assert unreachable(address, ELSEWHERE) is None
