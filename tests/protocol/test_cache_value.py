"""Items of caches as lists of nodes: ``ADDRESS[,MODIFIER1]|…``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.address import InetAddress, UnixAddress
from uwsgi_router.protocol.cache_value import MAX_NODES, ValueProblem, parse_value
from uwsgi_router.protocol.named_node import NamedNode


def read(value: bytes) -> list[tuple[str, int]]:
    return [(target.name, target.modifier1) for target in parse_value(value)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"127.0.0.1:3031", [("127.0.0.1:3031", 0)]),
        (b"127.0.0.1:3031,5", [("127.0.0.1:3031", 5)]),
        (b"/run/a.sock,255|[::1]:1|app.test:2,0", [("/run/a.sock", 255), ("[::1]:1", 0), ("app.test:2", 0)]),
        (b"@abstract", [("@abstract", 0)]),
        (b"a:1|", [("a:1", 0)]),
        (b"|a:1||b:2", [("a:1", 0), ("b:2", 0)]),
        (b"a:1\n", [("a:1", 0)]),
        (b"a:1,5\r\n", [("a:1", 5)]),
        (b"a:1\n|b:2\n", [("a:1", 0), ("b:2", 0)]),
        (b"a:1|\n", [("a:1", 0)]),
    ],
)  # fmt: skip
def test_values(value: bytes, expected: list[tuple[str, int]]) -> None:
    assert read(value) == expected


def test_addresses_are_read_once_and_for_all() -> None:
    assert parse_value(b"10.0.0.1:1|/run/a") == (
        NamedNode("10.0.0.1:1", InetAddress("10.0.0.1", 1)),
        NamedNode("/run/a", UnixAddress(b"/run/a")),
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "names no node"),
        (b"||\n", "names no node"),
        (b"a:1,5,7", "'5,7' is not a number from 0 to 255"),
        (b"a:1,", "'' is not a number"),
        (b"a:1,256", "'256' is not a number"),
        (b"a:1,-1", "'-1' is not a number"),
        (b"a:1, 5", "' 5' is not a number"),
        ("a:1,\u0665".encode(), "is not a number"),
        (b"a:1,0005", "is not a number"),
        (b" a:1", "begins or ends with a blank"),
        (b"/run/a ", "begins or ends with a blank"),
        (b"a:http", "port 'http'"),
        (b"a:1|b:99999", "'b:99999'"),
        (b"a:1;b:2", "'a:1;b:2'"),
        (b"a:1|" * MAX_NODES + b"b:2", "more than 1000 nodes"),
    ],
)
def test_a_value_is_taken_whole_or_refused_whole(value: bytes, reason: str) -> None:
    with pytest.raises(ValueProblem, match=reason):
        parse_value(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_refused(value: bytes) -> None:
    try:
        targets = parse_value(value)
    except ValueProblem:
        return
    again = "|".join(f"{target.name},{target.modifier1}" for target in targets)
    assert parse_value(again.encode("utf-8", "surrogateescape")) == targets
