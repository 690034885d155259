"""The HTTP router's options: from lines to its typed configuration, and what is odd about them."""

import os
from typing import Any

import pytest

from tests.router.config.configuring import Files, command_line
from uwsgi_router.router.config.model import HttpRouterConfig, RedirectListener, RouterConfig

ON = "127.0.0.1:8080"
START = f"http = {ON}\nhttp-to = :1\n"
DEFAULT = HttpRouterConfig(listen=(ON,), to=(":1",))


def http(files: Files, text: str) -> HttpRouterConfig:
    """The router that these lines give to one that listens and has a node."""
    (router,) = files.load(START + text).routers
    assert isinstance(router, HttpRouterConfig)
    return router


def test_without_options_everything_has_its_default(files: Files) -> None:
    assert http(files, "") == DEFAULT


def test_a_fastrouter_and_an_http_router_in_one_file(files: Files) -> None:
    fast, web = files.load(
        START
        + "fastrouter = 127.0.0.1:3031\nfastrouter-to = :2\nhttp-timeout = 5\nfastrouter-timeout = 6"
    ).routers
    assert fast == RouterConfig(listen=("127.0.0.1:3031",), to=(":2",), timeout=6.0)
    assert web == HttpRouterConfig(listen=(ON,), to=(":1",), timeout=5.0)
    assert (fast.kind, web.kind) == ("fastrouter", "http")


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("http-keepalive", "keepalive", 0.0),
        ("http-keepalive = 1", "keepalive", 0.0),
        ("http-keepalive = true", "keepalive", 0.0),
        ("http-keepalive = 4", "keepalive", 4.0),
        ("http-keepalive = 0", "keepalive", None),
        ("http-keepalive = off", "keepalive", None),
        ("http-keepalive = False", "keepalive", None),
        ("http-manage-expect", "manage_expect", 0),
        ("http-manage-expect = true", "manage_expect", 0),
        ("http-manage-expect = 1048576", "manage_expect", 1_048_576),
        ("http-enable-proxy-protocol", "proxy_protocol", ()),
        ("http-enable-proxy-protocol = true", "proxy_protocol", ()),
        ("http-enable-proxy-protocol = false", "proxy_protocol", None),
        ("http-enable-proxy-protocol = ::1", "proxy_protocol", ("::1",)),
        ("enable-proxy-protocol = true", "proxy_protocol", ()),
        ("enable-proxy-protocol = false", "proxy_protocol", None),
        ("enable-proxy-protocol\nhttp-enable-proxy-protocol = ::1", "proxy_protocol", ("::1",)),
        ("http-enable-proxy-protocol = off\nenable-proxy-protocol", "proxy_protocol", None),
        ("http-trusted-proxy = none", "trusted_proxies", ()),
        ("http-trusted-proxy = ::1\nhttp-trusted-proxy = none", "trusted_proxies", ()),
        ("http-trusted-proxy = none\nhttp-trusted-proxy = ::1", "trusted_proxies", ("::1",)),
        ("http-access-log", "access_log", ""),
        ("http-access-log = true", "access_log", ""),
        ("http-access-log = off", "access_log", None),
        ("http-access-log = log/1", "access_log", "log/1"),
        ("http-body-limit = 0", "body_limit", 1 << 40),
        ("http-timeout = 0", "timeout", 60.0),
        ("http-to-https = /run/a,b.sock", "redirects", (RedirectListener("/run/a,b.sock"),)),
        ("http-to-https = @a,443", "redirects", (RedirectListener("@a", 443),)),
    ],
)
def test_values(line: str, field: str, value: Any, files: Files) -> None:
    assert getattr(http(files, line), field) == value


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--http-keepalive"], "keepalive", 0.0),
        (["--http-keepalive=4"], "keepalive", 4.0),
        (["--http-quiet", "true"], "quiet", True),
        (["--http-quiet"], "quiet", True),
        (["--http-server-name-as-http-host", "1"], "server_name_as_http_host", True),
        (["--http-manage-expect"], "manage_expect", 0),
        (["--http-use-socket"], "use_socket", ""),
        (["--http-use-cache=n"], "use_cache", "n"),
        (["--http-enable-proxy-protocol"], "proxy_protocol", ()),
        (["--enable-proxy-protocol"], "proxy_protocol", ()),
        (["--http-websockets", "--http-raw-body"], "raw_body", True),
    ],
)
def test_the_command_line_takes_arguments_as_uwsgi_does(
    words: list[str], field: str, value: object
) -> None:
    # What follows must not be taken as a value.
    (router,) = command_line(
        *words, "--http", ":1", "--cache2=name=n,items=1", "--socket=:2"
    ).routers
    assert getattr(router, field) == value
    assert router.listen == (":1",)


@pytest.mark.parametrize("modifier", [22, 110, 111, 123, 173])
def test_modifiers_that_reach_code_and_caches_are_refused(modifier: int, files: Files) -> None:
    (error,) = files.errors(f"{START}http-modifier1 = {modifier}")
    assert error.startswith(
        "router.ini:4: http-modifier1: expected a modifier for requests: 22, 110,"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("http-modifier1 = 256", "expected a whole number from 0 to 255"),
        ("http-modifier2 = -1", "expected a whole number from 0 to 255"),
        ("http-var = A", "expected NAME=VALUE"),
        ("http-keepalive = soon", "expected a number of seconds"),
        ("http-keepalive = -1", "expected a number of seconds"),
        ("http-manage-expect = many", "expected a whole number"),
        ("http-enable-proxy-protocol = 10.0.0.1/8", "did you mean 10.0.0.0/8?"),
        ("http-enable-proxy-protocol = ,", "expected networks"),
        ("http-trusted-proxy = localhost", "'localhost' is no trusted peer"),
        ("http-trusted-proxy =", "expected networks, for example 10.0.0.0/8, or unix"),
        ("http-trusted-proxy = none, ::1", "'none' is no trusted peer"),
        ("http-error-page = 502", "expected STATUS:FILE, for example 502:/srv/errors/502.html"),
        ("http-error-page = /srv/502.html", "expected STATUS:FILE"),
        ("http-error-page = \u0665\u0660\u0662:/x", "expected STATUS:FILE"),
        ("http-error-page = 302:/srv/302.html", "expected a status from 400 to 599"),
        ("http-to-https = :80,0", "expected a whole number from 1 to 65535"),
        ("http-to-https = nowhere:x,443", "expected host:port"),
        ("http-max-head = 10", "expected a whole number from 1024 to 1048576"),
        ("http-headers-timeout = 0", "expected a number of seconds above 0"),
        ("http-errors = page", "expected close or http"),
        ("http-access-log-format = xml", "expected text or json"),
        ("http-use-pattern = %%s:80", "expected a pattern that fixes the host"),
    ],
)
def test_bad_values_say_what_was_expected(line: str, message: str, files: Files) -> None:
    (error,) = files.errors(START + line)
    assert error.startswith(f"router.ini:4: {line.partition(' ')[0]}: ")
    assert message in error


def test_the_proxy_protocol_of_all_sockets_needs_no_http_router(files: Files) -> None:
    text = "fastrouter = 127.0.0.1:1\nfastrouter-to = :2\nenable-proxy-protocol = true"
    assert files.load(text).routers == (RouterConfig(listen=("127.0.0.1:1",), to=(":2",)),)


def test_an_http_router_is_built_in(files: Files) -> None:
    assert http(files, "if-plugin = http\nhttp-timeout = 5\nendif").timeout == 5.0


def test_redirecting_alone_needs_no_node(files: Files) -> None:
    assert files.odd("http-to-https = :80") == []


# -- what has to be there


def test_an_error_page_that_is_not_there_is_an_error(files: Files) -> None:
    assert files.wrong(f"{START}http-error-page = 502:/nowhere/502.html") == [
        "http-error-page = 502:/nowhere/502.html: there is no such file"
    ]
    directory = files.directory
    (error,) = files.wrong(f"{START}http-error-page = 502={directory}")
    assert error.endswith(": there is no such file")


def test_an_error_page_stands_below_chdir(files: Files) -> None:
    files.write("page", "pages/502.html")
    text = f"{START}http-error-page = 502:pages/502.html\nchdir = {files.directory}"
    assert files.wrong(text) == []


def test_an_error_page_that_may_not_be_read_is_an_error(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = files.write("page", "502.html")
    # The superuser, as whom tests may run, may read everything.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (error,) = files.wrong(f"{START}http-error-page = 502:{page}")
    assert error.endswith(": it may not be read")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("http-to = :1", "the HTTP router has no address: give http = ADDRESS to listen on"),
        ("http = =0", "http = =0 (counted from 0), but no shared-socket lines"),
        ("http-to-https = =1,443", "http-to-https = =1 (counted from 0), but no shared-socket lines"),
        ("http = :80\nhttp-use-cache = a", "http-use-cache: there is no cache: define one"),
    ],
)  # fmt: skip
def test_what_is_missing_is_an_error(text: str, error: str, files: Files) -> None:
    (found,) = files.wrong(text)
    assert found.startswith(error)


# -- what is odd


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "http-use-base = /run/",
            "http-use-base decides; not used beside it: http-to",
        ),
        ("http-cheap = true", "http-cheap without http-subscription-server"),
        ("http-fallback-on-no-key = true", "http-fallback-on-no-key without http-fallback"),
        ("http-subscription-fallback-key = k", "http-subscription-fallback-key without"),
        ("socket = :2", "socket: nothing listens there, and without http-use-socket nothing"),
        ("http-auto-chunked = true", "http-auto-chunked without http-keepalive has no effect"),
        ("http-websocket-check = true", "http-websocket-check without http-websockets has no"),
        ("http-websocket-timeout = 5", "http-websocket-timeout without http-websockets has no"),
        (
            "http-websockets = true\nhttp-websocket-max-frame = 5000",
            "http-websocket-max-frame without http-websocket-check has no effect",
        ),
        ("http-access-log-format = json", "http-access-log-format without http-access-log has"),
        (
            "http-backend-queue = 5",
            "http-backend-queue without http-backend-http or http-subscription-server has",
        ),
        ("http-backend-http = true\nhttp-var = A=1", "http-var has no effect with http-backend-"),
        ("http-backend-http = true\nhttp-modifier1 = 9", "http-modifier1 has no effect with http"),
    ],
)
def test_oddities_are_warned_of(text: str, warning: str, files: Files) -> None:
    (found,) = files.odd(START + text)
    assert found.startswith(warning)


def test_error_pages_that_nobody_will_see_are_warned_of(files: Files) -> None:
    page = files.write("page", "502.html")
    assert files.odd(f"{START}http-errors = close\nhttp-error-page = 502:{page}") == [
        "http-error-page with http-errors = close has no effect"
    ]


def test_what_announced_nodes_speak_is_their_own_business(files: Files) -> None:
    text = "http = :80\nhttp-subscription-server = 127.0.0.1:2\nhttp-backend-http = true"
    (found,) = files.odd(text)
    assert found.startswith("http-backend-http has no effect: announced nodes say themselves")
    assert files.odd(f"{text}\nhttp-fallback = :3") == []


def test_a_router_without_a_node_is_warned_of(files: Files) -> None:
    (found,) = files.odd("http = :80")
    assert found.startswith(
        "the HTTP router knows no node, so every request fails: give one of http-"
    )


@pytest.mark.parametrize(
    "text",
    [
        "http-keepalive = 5\nhttp-auto-chunked = true",
        "http-websockets = true\nhttp-websocket-check = true\nhttp-websocket-max-frame = 5000",
        "http-access-log = true\nhttp-access-log-format = json",
        "http-backend-http = true\nhttp-backend-queue = 5",
        "http-var = A=1\nhttp-modifier1 = 9\nhttp-chunked-input = true",
        "http-workers = 1\nhttp-harakiri = 0\nhttp-events = 64\nhttp-auto-chunked = false",
    ],
)
def test_what_is_usual_is_not(text: str, files: Files) -> None:
    assert files.odd(START + text) == []
