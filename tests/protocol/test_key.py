"""Normal form of routing keys, and which keys no request can have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.key import key_fault, key_forms, normal_key


@pytest.mark.parametrize(
    ("key", "normal", "without_port"),
    [
        (b"example.com", b"example.com", b"example.com"),
        (b"Upper.Example", b"upper.example", b"upper.example"),
        (b"dot.example.", b"dot.example", b"dot.example"),
        (b"Dot.Example.:8080", b"dot.example:8080", b"dot.example"),
        (b"example.com:", b"example.com", b"example.com"),
        (b"example.com:x", b"example.com:x", b"example.com:x"),
        (b"Example.com/Shop/Cart.", b"example.com/Shop/Cart.", b"example.com/Shop/Cart."),
        (b"Example.com:80/A:1", b"example.com:80/A:1", b"example.com/A:1"),
        (b".Example.com.", b".example.com", b".example.com"),
        (b"[FD00::1]:80", b"[fd00::1]:80", b"[fd00::1]"),
        (b"[FD00::1]", b"[fd00::1]", b"[fd00::1]"),
        (b"fd00::1", b"fd00::1", b"fd00::1"),
        (b"/Only/A/Path", b"/Only/A/Path", b"/Only/A/Path"),
        ("BÜCHER.example".encode(), "bÜcher.example".encode(), "bÜcher.example".encode()),
    ],
)
def test_the_host_is_normal_and_the_path_stays(
    key: bytes, normal: bytes, without_port: bytes
) -> None:
    assert key_forms(key) == (normal, without_port)
    assert key_fault(key) is None


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (b"", "the key is empty"),
        (b"example.com ", r"the key b'example.com ' holds a blank or a control character"),
        (b"a b", "blank"),
        (b"a\tb", "blank"),
        (b"a\r\nX: 1", "control character"),
        (b"a\x00", "control character"),
        (b"a\x7f", "control character"),
        (b".", "names no host"),
        (b"..:", "names no host"),
    ],
)
def test_a_key_that_no_request_can_have_has_a_fault(key: bytes, reason: str) -> None:
    assert reason in (key_fault(key) or "")


@given(st.binary(max_size=300))
def test_the_normal_form_is_no_longer_and_stays_as_it_is(key: bytes) -> None:
    normal, without_port = key_forms(key)
    assert len(without_port) <= len(normal) <= len(key)
    assert normal_key(normal) == normal
    assert normal_key(without_port) == without_port
