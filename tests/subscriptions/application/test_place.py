"""Addresses of copies, and how servers are told."""

import socket

import pytest

from uwsgi_router.subscriptions.application.place import address_for, environment_of, free_port
from uwsgi_router.subscriptions.client.errors import SubscribeError


def test_placeholders_are_filled_in() -> None:
    command = ["server", "-b", "{address}", "--at={host}:{port}", "{other}"]
    made = address_for(command, "/run/x", "app.1")
    host, _, port = made.text.rpartition(":")
    assert host == "127.0.0.1"
    assert made.arguments == ("server", "-b", made.text, f"--at=127.0.0.1:{port}", "{other}")
    assert made.variables["PORT"] == port


def test_a_socket_has_the_copys_name() -> None:
    made = address_for(["server", "unix:{socket}"], "/run/x", "app.7")
    assert (made.text, made.arguments) == (
        "/run/x/app.7.sock",
        ("server", "unix:/run/x/app.7.sock"),
    )
    assert made.variables == {}


def test_both_are_refused_and_a_path_that_is_too_long() -> None:
    with pytest.raises(SubscribeError, match="different addresses"):
        address_for(["{socket}", "{port}"], "/run", "a")
    with pytest.raises(SubscribeError, match="too long"):
        address_for(["{socket}"], "/run/" + "x" * 100, "a")


def test_who_is_not_told_by_the_command_is_told_by_variables() -> None:
    made = address_for(["gunicorn", "app:app"], "/run", "a")
    port = made.text.rpartition(":")[2]
    environ = environment_of({"GUNICORN_CMD_ARGS": "--threads 4", "NOTIFY_SOCKET": "/x"}, {}, made)
    assert environ["UVICORN_PORT"] == environ["GRANIAN_PORT"] == environ["FLASK_RUN_PORT"] == port
    assert environ["UVICORN_HOST"] == "127.0.0.1"
    assert environ["GUNICORN_CMD_ARGS"] == f"--threads 4 --bind=127.0.0.1:{port}"
    assert "NOTIFY_SOCKET" not in environ


def test_what_the_user_sets_counts() -> None:
    made = address_for(["server", "{port}"], "/run", "a")
    environ = environment_of({"PYTHONUNBUFFERED": ""}, {"PORT": "1"}, made)
    assert (environ["PORT"], environ["PYTHONUNBUFFERED"]) == ("1", "")
    assert "GUNICORN_CMD_ARGS" not in environ


def test_over_a_unix_socket_the_router_is_believed() -> None:
    made = address_for(["server", "{socket}"], "/run", "a")
    assert environment_of({}, {}, made)["FORWARDED_ALLOW_IPS"] == "*"


def test_ports_that_others_have_are_not_given_again() -> None:
    given: set[int] = set()
    for _ in range(50):
        port = free_port(given)
        assert port not in given
        given.add(port)


def test_a_port_on_which_somebody_listens_is_not_free() -> None:
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        every = set(range(20_000, 32_000)) - {port}
        with pytest.raises(SubscribeError, match="no free port"):
            free_port(every)
