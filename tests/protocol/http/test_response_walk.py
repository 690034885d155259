"""The walk over an answer's head finds what reading it line by line finds, byte for byte."""

import pytest
from hypothesis import given, settings

from tests.protocol.http.test_response import FIELDS, STATUS_LINES, broken_heads, heads
from uwsgi_router.protocol.http.errors import ResponseError
from uwsgi_router.protocol.http.response import read_lines, read_usual
from uwsgi_router.protocol.http.response_head import ResponseHead

END = b"\r\n\r\n"


def by_lines(head: bytes, *, cgi: bool) -> ResponseHead | None:
    try:
        return read_lines(head, cgi=cgi, max_fields=200)
    except ResponseError:
        return None


def check(data: bytes) -> bool:
    """Compare both ways, for both kinds of nodes; return whether the walk read the head."""
    done = True
    first = data[: data.index(END) + 4]
    for cgi in (False, True):
        try:
            walked = read_usual(data, cgi=cgi, max_fields=200)
        except ResponseError:
            assert by_lines(first, cgi=cgi) is None, data
            continue
        if walked is None:
            done = False
            continue
        read = by_lines(first, cgi=cgi)
        assert read is not None, data
        assert walked == read, data
        assert walked.start == read.start
        assert walked.block == read.block == b"".join(line + b"\r\n" for line in walked.lines)
    return done


@given(heads())
@settings(max_examples=500)
def test_heads(data: bytes) -> None:
    assert check(data)


@given(broken_heads())
@settings(max_examples=500)
def test_broken_heads(data: bytes) -> None:
    if END in data:
        check(data)


@pytest.mark.parametrize("line", STATUS_LINES)
def test_a_body_behind_the_head_is_none_of_it(line: bytes) -> None:
    assert check(line + b"\r\nContent-Length: 5\r\nServer: a\r\n\r\nab\r\n\r\n")


def test_every_byte_in_every_place_of_a_line() -> None:
    for byte in range(256):
        one = bytes((byte,))
        for line in (
            *(one + b"bc: value", b"a" + one + b"c: value", b"ab" + one + b": value"),
            *(b"abc" + one + b" value", b"abc:" + one + b"value", b"abc: " + one + b"alue"),
            *(b"abc: va" + one + b"ue", b"abc: valu" + one, b"abc: value\r" + one),
            *(b"abc:" + one, b"abc: " + one, one, b"Content-Length" + one + b" 5"),
        ):
            check(b"HTTP/1.1 200 OK\r\n" + line + b"\r\nServer: a" + END)
            check(b"HTTP/1.1 200 OK\r\nServer: a\r\n" + line + END)


def test_every_byte_in_every_place_of_a_status_line() -> None:
    line = b"HTTP/1.1 200 OK"
    for at in range(len(line) + 1):
        for byte in range(256):
            for end in (at, at + 1):
                check(line[:at] + bytes((byte,)) + line[end:] + b"\r\nServer: a" + END)


def test_pairs_of_fields() -> None:
    for one in FIELDS:
        for other in FIELDS:
            for line in (*STATUS_LINES, b"HTTP/1.1 426 Upgrade Required"):
                check(b"\r\n".join((line, one, other)) + END)


def test_too_many_fields_are_left_to_be_counted() -> None:
    lines = b"A:b\r\n" * 201
    data = b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n"
    assert read_usual(data, cgi=False, max_fields=200) is None
    assert read_usual(data, cgi=False, max_fields=201) is not None
