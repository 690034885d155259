"""What is odd although every line of it is fine."""

import pytest

from tests.router.config.configuring import Files

START = "fastrouter = 127.0.0.1:3031\n"


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("", "the fastrouter knows no node, so every request fails"),
        (
            "fastrouter-to = :1\nfastrouter-use-base = /run/",
            "fastrouter-use-base decides; not used beside it: fastrouter-to",
        ),
        (
            "fastrouter-to = :1\nfastrouter-use-base = /run/\nfastrouter-subscription-server = :2",
            "fastrouter-subscription-server decides; not used beside it: fastrouter-use-base, fastrouter-to",
        ),
        (
            "fastrouter-subscription-server = :2\nfastrouter-use-pattern = /run/%%s",
            "fastrouter-use-pattern decides; not used beside it: fastrouter-subscription-server",
        ),
        (
            "fastrouter-use-cache = n@:1\nfastrouter-use-pattern = /run/%%s",
            "fastrouter-use-cache decides; not used beside it: fastrouter-use-pattern",
        ),
        (
            "fastrouter-to = :1\nfastrouter-cheap = true",
            "fastrouter-cheap without fastrouter-subscription-server",
        ),
        (
            "fastrouter-to = :1\nfastrouter-fallback-on-no-key = true",
            "fastrouter-fallback-on-no-key without",
        ),
        (
            "fastrouter-to = :1\nfastrouter-subscription-fallback-key = k",
            "fastrouter-subscription-fallback-key without",
        ),
        (
            "http = :9\nhttp-to = http://127.0.0.1:1\nhttp-modifier1 = 5",
            "http-modifier1 has no effect with nodes that speak HTTP: only uwsgi carries it",
        ),
        (
            "fastrouter-to = uwsgi://127.0.0.1:1\nfastrouter-backend-connections = 5",
            "fastrouter-backend-connections without fastrouter-backend-http",
        ),
        (
            "fastrouter-use-socket = 1\nsocket = :1",
            "fastrouter-use-socket=1 (counted from 0), but 1 socket line:",
        ),
        ("fastrouter-use-socket", "fastrouter-use-socket=0 (counted from 0), but no socket lines:"),
        (
            "fastrouter-use-socket\nsocket = =0\nshared-socket = :1",
            "fastrouter-use-socket=0: socket = =0 is no",
        ),
        ("fastrouter-to = :1\nsocket = :2", "socket: nothing listens there"),
        (
            "fastrouter-use-base = /run/sockets",
            "fastrouter-use-base = /run/sockets has no final slash",
        ),
        ("fastrouter-use-base = /run/%%s/", "fastrouter-use-base: %s is not replaced there"),
        ("fastrouter-use-pattern = /run/app", "fastrouter-use-pattern has no %s"),
        (
            "fastrouter-to = :1\nsubscription-tolerance = 15",
            "subscription-tolerance = 15: nodes announce",
        ),
    ],
)
def test_oddities_are_warned_of(text: str, warning: str, files: Files) -> None:
    assert [w for w in files.odd(START + text) if w.startswith(warning)]


@pytest.mark.parametrize(
    "text",
    [
        "fastrouter-to = :1",
        "fastrouter-subscription-server = 127.0.0.1:2\nfastrouter-cheap = true",
        "fastrouter-to = :1\nfastrouter-fallback = :2\nfastrouter-fallback-on-no-key = true",
        "fastrouter-use-socket\nsocket = :1",
        "fastrouter-use-socket = /run/app.sock",
        "fastrouter-use-base = /run/sockets/",
        "fastrouter-use-base = 127.0.0.1:",
        "fastrouter-use-pattern = 127.0.0.1:%%s",
        "fastrouter-to = :1\nsubscription-tolerance = 31",
        "fastrouter-to = http://127.0.0.1:1\nfastrouter-backend-connections = 5",
        "fastrouter-to = :1\nfastrouter-fallback = http+unix:/a\nfastrouter-backend-keepalive = 5",
        "http = :9\nhttp-to = http://:1\nhttp-to = uwsgi://:2\nhttp-modifier1 = 5\nfastrouter-to = :1",
    ],
)
def test_what_is_usual_is_not(text: str, files: Files) -> None:
    assert files.odd(START + text) == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("fastrouter = =0", "fastrouter = =0 (counted from 0), but no shared-socket lines"),
        (
            "fastrouter = =1\nshared-socket = :1",
            "fastrouter = =1 (counted from 0), but 1 shared-socket line",
        ),
    ],
)
def test_a_shared_socket_that_is_not_there_is_an_error(text: str, error: str, files: Files) -> None:
    assert files.wrong(text) == [error]
