"""Names, lists and lengths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.http.fields import (
    HOP_BY_HOP,
    VALUE_BYTES,
    names,
    parse_content_length,
    tokens,
)

TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def test_names_are_tokens_in_lower_case() -> None:
    assert names[b"X-Foo"] == b"x-foo"
    assert names[b"X-Foo"] is names[b"X-Foo"]
    assert names[TOKEN] == TOKEN.lower()
    assert names[b""] == b""


@pytest.mark.parametrize("byte", sorted(set(range(256)) - set(TOKEN)))
def test_no_other_byte_is_part_of_a_name(byte: int) -> None:
    for raw in (bytes((byte,)), b"a" + bytes((byte,)), bytes((byte,)) + b"a"):
        assert names[raw] == b""
        assert raw not in names


def test_values_have_no_control_bytes_but_the_tab() -> None:
    assert set(range(256)) - set(VALUE_BYTES) == {*range(9), *range(10, 32), 127}


def test_lists() -> None:
    assert tokens(b"Keep-Alive, close ,\tX") == [b"keep-alive", b"close", b"x"]
    assert tokens(b", ,a,,") == [b"a"]
    assert tokens(b"") == []


@pytest.mark.parametrize(
    ("value", "length"),
    [
        *((b"0", 0), (b"5", 5), (b"0005", 5), (b"000", 0), (b"0" * 400 + b"7", 7)),
        *((b"9" * 18, 10**18 - 1), (b"1" + b"0" * 18, None), (b"18446744073709551621", None)),
        *(
            (b"", None),
            (b"-5", None),
            (b"+5", None),
            (b"0x5", None),
            (b"0_5", None),
            (b"5 5", None),
        ),
        *(
            (b"5, 5", None),
            (b" 5", None),
            (b"5.", None),
            ("\u0665".encode(), None),
            (b"\xb2", None),
            (b"1e3", None),
        ),
    ],
)
def test_lengths(value: bytes, length: int | None) -> None:
    assert parse_content_length(value) == length


@given(st.integers(0, 10**18 - 1))
def test_every_length_survives(length: int) -> None:
    assert parse_content_length(b"%d" % length) == length


def test_hop_by_hop_names_are_written_as_the_cache_gives_them() -> None:
    assert all(names[name] == name for name in HOP_BY_HOP)
