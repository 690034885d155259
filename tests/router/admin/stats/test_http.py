"""The little HTTP of the stats port, as a grammar."""

from contextlib import suppress
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.router.admin.stats.http import (
    RequestRefused,
    StatsRequest,
    head_is_complete,
    parse,
    speaks_http,
)


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\n", b"HEAD ", b"POST /x", b"OPTIONS * "])
def test_any_method_is_http(start: bytes) -> None:
    assert speaks_http(start) is True


@pytest.mark.parametrize("start", [b"", b"G", b"GET", b"DELETE"])
def test_beginning_of_a_method_may_become_http(start: bytes) -> None:
    assert speaks_http(start) is None


@pytest.mark.parametrize("start", [b"\n", b"get / ", b"\x16\x03\x01", b"GET\r\n", b"A" * 21, b" "])
def test_anything_else_is_not_http(start: bytes) -> None:
    assert speaks_http(start) is False


@pytest.mark.parametrize(
    ("head", "request_"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost:9191\r\n\r\n", StatsRequest("/", head_only=False)),
        (b"GET / HTTP/1.0\r\n\r\n", StatsRequest("/", head_only=False)),
        (b"GET / HTTP/1.1\nHost: x\n\n", StatsRequest("/", head_only=False)),
        (b"GET /metrics?format=text HTTP/1.1\r\n\r\n", StatsRequest("/metrics", head_only=False)),
        (b"HEAD /metrics HTTP/1.1\r\n\r\nrest", StatsRequest("/metrics", head_only=True)),
    ],
)
def test_requests_that_are_answered(head: bytes, request_: StatsRequest) -> None:
    assert head_is_complete(head)
    assert parse(head, loopback=True) == request_


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET  / HTTP/1.1\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET / HTTP/2.0\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET /\xff HTTP/1.1\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET /other HTTP/1.1\r\n\r\n", HTTPStatus.NOT_FOUND),
        (b"GET //metrics HTTP/1.1\r\n\r\n", HTTPStatus.NOT_FOUND),
        (b"GET http://localhost/ HTTP/1.1\r\n\r\n", HTTPStatus.NOT_FOUND),
        (b"POST / HTTP/1.1\r\n\r\n", HTTPStatus.METHOD_NOT_ALLOWED),
        (b"POST /other HTTP/1.1\r\n\r\n", HTTPStatus.NOT_FOUND),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", HTTPStatus.NOT_FOUND),
    ],
)
def test_requests_that_are_refused(head: bytes, status: HTTPStatus) -> None:
    with pytest.raises(RequestRefused) as refused:
        parse(head, loopback=False)
    assert refused.value.status is status


@pytest.mark.parametrize(
    "host",
    [
        *(b"localhost", b"LOCALHOST:9191", b"stats.localhost", b"127.0.0.1:9191", b"[::1]:9191"),
        *(b"[::1]", b"router", b"router:80", b"10.0.0.7"),
    ],
)
def test_names_that_no_stranger_can_own_are_served_on_loopback(host: bytes) -> None:
    head = b"GET / HTTP/1.1\r\nX: y\r\nHoSt:  " + host + b" \r\n\r\n"
    assert parse(head, loopback=True).path == "/"


@pytest.mark.parametrize(
    "host",
    [b"evil.example", b"evil.example:9191", b"127.0.0.1.evil.example", b"localhost.evil.example"],
)
def test_names_of_a_web_page_are_refused_on_loopback_only(host: bytes) -> None:
    head = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
    with pytest.raises(RequestRefused) as refused:
        parse(head, loopback=True)
    assert refused.value.status is HTTPStatus.MISDIRECTED_REQUEST
    assert parse(head, loopback=False).path == "/"


def test_host_in_a_body_is_not_the_requests() -> None:
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nHost: evil.example\r\n\r\n"
    assert parse(head, loopback=True).path == "/"


@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_parsed_or_refused(garbage: bytes, loopback: bool) -> None:
    for head in (garbage, b"GET / HTTP/1.1\r\n" + garbage + b"\r\n\r\n"):
        assert speaks_http(head) in {True, False, None}
        if head_is_complete(head):
            with suppress(RequestRefused):
                assert parse(head, loopback=loopback).path in {"/", "/metrics"}
