"""The program hears its address, and whom to believe."""

import pytest

from uwsgi_router.subscriptions.client.environment import environment, fill_in
from uwsgi_router.subscriptions.client.errors import SubscribeError


def test_placeholders() -> None:
    words = ["{address}", "--bind={host}:{port}", "unix:{address}", '{"json": {}}', "{key}"]
    assert fill_in(words, "10.0.0.1:8000") == [
        "10.0.0.1:8000",
        "--bind=10.0.0.1:8000",
        "unix:10.0.0.1:8000",
        '{"json": {}}',
        "{key}",
    ]


def test_a_host_of_ipv6_has_no_brackets() -> None:
    assert fill_in(["{address}", "{host}", "{port}"], "[::1]:80") == ["[::1]:80", "::1", "80"]


def test_unix_sockets_have_no_port() -> None:
    assert fill_in(["unix:{address}"], "/run/a.sock") == ["unix:/run/a.sock"]
    with pytest.raises(SubscribeError, match="has none; write"):
        fill_in(["--port", "{port}"], "/run/a.sock")


def test_over_a_unix_socket_forwarded_fields_are_believed() -> None:
    made = environment({"PATH": "/bin"}, "/run/a.sock", "http")
    assert made == {"PATH": "/bin", "FORWARDED_ALLOW_IPS": "*"}


def test_what_the_user_set_stays() -> None:
    given = {"FORWARDED_ALLOW_IPS": ""}
    assert environment(given, "/run/a.sock", "http") == given


@pytest.mark.parametrize(
    ("address", "proto"), [("127.0.0.1:8000", "http"), ("/run/a.sock", "uwsgi")]
)
def test_otherwise_the_environment_is_ours(address: str, proto: str) -> None:
    assert environment({"A": "b"}, address, proto) == {"A": "b"}
