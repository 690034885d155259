"""Which keys may answer for the key of a request."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.subscriptions.keys import mountpoint_key, other_keys


@pytest.mark.parametrize(
    ("path", "segments", "key"),
    [
        (b"/shop/cart", 1, b"example.com/shop"),
        (b"/shop/cart", 2, b"example.com/shop/cart"),
        (b"/shop/cart/1", 2, b"example.com/shop/cart"),
        (b"/shop/", 2, b"example.com/shop"),
        (b"/shop", 3, b"example.com/shop"),
        (b"/", 1, b"example.com"),
        (b"", 1, b"example.com"),
        (b"shop", 1, b"example.com"),
        (b"/shop", 0, b"example.com"),
    ],
)
def test_mountpoints(path: bytes, segments: int, key: bytes) -> None:
    assert mountpoint_key(b"example.com", path, segments) == key


@pytest.mark.parametrize(
    ("key", "others"),
    [
        (b"a.b.example.com", [b".b.example.com", b".example.com", b".com"]),
        (b"a.b.c.d.e.x.com", [b".b.c.d.e.x.com", b".c.d.e.x.com", b".d.e.x.com"]),
        (b".example.com", [b".com"]),
        (b"a..b", [b"..b", b".b"]),
        (b"a.", [b"."]),
        (b"localhost", []),
        (b".", []),
        (b"", []),
    ],
)
def test_dotsplit_keeps_the_dot(key: bytes, others: list[bytes]) -> None:
    found = list(other_keys(key, dotsplit=True, mountpoints=False))
    assert found[: len(others)] == others
    assert bool(found) == bool(others)


def test_dotsplit_reaches_the_short_names_of_a_long_one() -> None:
    found = list(other_keys(b"a.b.c.d.e.f.g.example.com", dotsplit=True, mountpoints=False))
    assert found[-2:] == [b".example.com", b".com"]


def test_a_mountpoint_is_retried_with_the_bare_name() -> None:
    key = b"www.example.com/a.b/c"
    assert list(other_keys(key, dotsplit=False, mountpoints=True)) == [b"www.example.com"]
    assert list(other_keys(key, dotsplit=True, mountpoints=True)) == [
        b"www.example.com",
        b".example.com",
        b".com",
    ]
    assert list(other_keys(b"example.com", dotsplit=False, mountpoints=True)) == []
    assert list(other_keys(b"/a", dotsplit=False, mountpoints=True)) == []


@given(st.binary(max_size=255), st.booleans(), st.booleans())
def test_any_key_has_few_others_each_shorter(key: bytes, dotsplit: bool, mountpoints: bool) -> None:
    found = list(other_keys(key, dotsplit=dotsplit, mountpoints=mountpoints))
    assert len(found) <= 254
    lengths = [len(key), *map(len, found)]
    assert all(longer > shorter for longer, shorter in pairwise(lengths))
    assert b"" not in found
