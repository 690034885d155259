"""The walk over a head finds what reading it line by line finds, byte for byte."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.http.heads import BROWSER, REALISTIC, mutated, vectors
from tests.protocol.http.valid_requests import valid_requests
from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.fields import split_head
from uwsgi_router.protocol.http.request import read_lines, read_usual
from uwsgi_router.protocol.http.request_head import RequestHead
from uwsgi_router.protocol.http.request_lines import PLAIN, field_rules, watched_names
from uwsgi_router.protocol.http.target import parse_request_line
from uwsgi_router.protocol.http.walk import Watched, line_end, request_line

END = b"\r\n\r\n"
WATCHED = Watched(watched_names(), underscore=True, usual=True)


def by_lines(head: bytes) -> RequestHead | str:
    """Head as it is read line by line, or the reason of a refusal."""
    lines = split_head(head)
    if lines is None or len(lines) > 201:
        return "bad-field"
    try:
        return read_lines(lines, len(head))
    except HttpError as error:
        return error.reason


def check(data: bytes) -> bool:
    """Compare both ways; return whether the walk read the head."""
    first = data[: data.index(END) + 4]
    try:
        walked = read_usual(data, 200)
    except HttpError:
        assert isinstance(by_lines(first), str), data
        return True
    if walked is None:
        return False
    assert walked == by_lines(first), data
    assert walked.block == b"".join(line + b"\r\n" for line in walked.lines)
    return True


def test_recorded_heads() -> None:
    raw = [vector["raw"] for vector in vectors() if END in vector["raw"]]
    assert sum(map(check, raw)) > 60


def test_most_heads_are_read_in_one_walk() -> None:
    odd = [head for head in REALISTIC if not check(head)]
    # HTTP/1.0, bytes above ASCII, an absolute form, OPTIONS *, two cookies, an empty line before.
    assert len(odd) == 7
    assert len(REALISTIC) == 12
    assert check(BROWSER)
    assert check(BROWSER + b"GET / HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize("seed", range(4))
def test_mutants(seed: int) -> None:
    heads = [data for data in mutated(seed, 3_000) if END in data]
    assert sum(map(check, heads)) > 300


@given(valid_requests())
def test_valid_heads(data: bytes) -> None:
    check(data)


def passed_over(line: bytes, watched: Watched = WATCHED) -> bool:
    """Whether the walk goes on behind this line."""
    return watched.stop(line + END, 0) == len(line) + 2


@pytest.mark.parametrize("write", [bytes.lower, bytes.upper, bytes.title])
def test_it_stops_at_each_name_however_it_is_written(write: Callable[[bytes], bytes]) -> None:
    for name in watched_names():
        assert not passed_over(write(name) + b": x")
        if name.endswith(b"-"):
            assert not passed_over(write(name) + b"for: x")
            assert not passed_over(write(name) + b"x" * 40 + b": x")


@pytest.mark.parametrize("name", [b"Server", b"X-Request-Id", b"X-Requested-With", b"Cookies"])
def test_it_passes_over_names_that_are_only_as_long(name: bytes) -> None:
    assert passed_over(
        name + b": x", Watched([*watched_names(), b"status"], underscore=True, usual=True)
    )


def test_names_of_two_letters_and_names_with_several_third_letters() -> None:
    watched = Watched([b"te", b"abc", b"abd", b"a"], underscore=True, usual=True)
    for name in (b"te", b"TE", b"abc", b"ABD", b"abe", b"a"):
        assert not passed_over(name + b": x", watched), name
    for name in (b"ta" + b"x", b"t", b"ab", b"abcd"):
        assert passed_over(name + b": x", watched), name


def test_every_byte_in_every_place_of_a_line() -> None:
    for byte in range(256):
        one = bytes((byte,))
        for line in (
            *(one + b"bc: value", b"a" + one + b"c: value", b"ab" + one + b": value"),
            *(b"abc" + one + b" value", b"abc:" + one + b"value", b"abc: " + one + b"alue"),
            *(b"abc: va" + one + b"ue", b"abc: valu" + one, b"abc: value\r" + one),
            *(b"abc:" + one, b"abc: " + one, one, b"Cookie" + one + b" a", b"Content-Type:" + one),
        ):
            check(b"GET / HTTP/1.1\r\nHost: a\r\n" + line + END)
            check(b"GET / HTTP/1.1\r\n" + line + b"\r\nHost: a" + END)


def test_every_byte_in_every_place_of_a_request_line() -> None:
    line = b"GET /a?b HTTP/1.1"
    for at in range(len(line) + 1):
        for byte in range(256):
            for end in (at, at + 1):
                check(line[:at] + bytes((byte,)) + line[end:] + b"\r\nHost: a" + END)


@pytest.mark.parametrize(
    "name", sorted(name for name in watched_names() if not name.endswith(b"-"))
)
def test_the_walk_stops_at_every_name_with_a_rule(name: bytes) -> None:
    for written in (name, name.title(), name.upper()):
        data = b"Accept: */*\r\n" + written + b": x" + END
        assert WATCHED.stop(data, 0) == 13
        assert field_rules[written][1] != PLAIN


def test_the_walk_stops_at_names_that_begin_with_a_watched_beginning() -> None:
    for name in (b"X-Forwarded-", b"x-forwarded-host", b"X-FORWARDED-" + b"a" * 100):
        assert WATCHED.stop(b"A: b\r\n" + name + b": x" + END, 0) == 6


def test_the_walk_never_leaves_the_head() -> None:
    chosen = random.Random(5)
    for _ in range(20_000):
        data = (
            bytes(chosen.choice(b"aH:: \t\r\n\0_\x80") for _ in range(chosen.randrange(30))) + END
        )
        end = data.index(END)
        assert WATCHED.stop(data, 0) <= end + 2
        stop = line_end(data, 0)
        assert stop <= end + 2
        assert stop == -1 or data[stop : stop + 2] == b"\r\n"
        request_line(data)


@given(st.binary(max_size=40))
def test_request_lines(line: bytes) -> None:
    found = request_line(line + END)
    if found is not None:
        method, target, at, query, _odd = found
        read = parse_request_line(line[: at - 2], False)
        assert (method, target) == read[:2]
        assert query == (b"?" in target)
