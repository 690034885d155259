"""The neutral request: which keys it stands for, and whether it may be sent again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.router.fronts.uwsgi.request import UwsgiRequest


def request(
    key: bytes = b"k", *, is_host: bool = True, method: bytes = b"GET", body: int = 0
) -> UwsgiRequest:
    return UwsgiRequest(
        key=key,
        key_is_host=is_host,
        method=method,
        content_length=body,
        client=b"",
        path=b"",
        packet=b"",
        rest=b"",
    )


@pytest.mark.parametrize(
    ("host", "keys"),
    [
        (b"example.com", [b"example.com"]),
        (b"Example.COM", [b"Example.COM", b"example.com"]),
        (b"example.com:80", [b"example.com:80", b"example.com"]),
        (b"Example.com:80", [b"Example.com:80", b"example.com:80", b"example.com"]),
        (b"example.com.", [b"example.com.", b"example.com"]),
        (b"example.com.:80", [b"example.com.:80", b"example.com:80", b"example.com"]),
        (b"[FD00::1]:80", [b"[FD00::1]:80", b"[fd00::1]:80", b"[fd00::1]"]),
        (b"[fd00::1]", [b"[fd00::1]"]),
        (b"fd00::1", [b"fd00::1"]),
        (b"192.0.2.1:80", [b"192.0.2.1:80", b"192.0.2.1"]),
        (b"example.com:", [b"example.com:", b"example.com"]),
        (b"example.com:x", [b"example.com:x"]),
    ],
)
def test_the_forms_of_a_host_from_as_received_to_bare(host: bytes, keys: list[bytes]) -> None:
    assert request(host).keys() == keys


def test_a_key_that_is_no_host_has_one_form() -> None:
    assert request(b"Example.com:80", is_host=False).keys() == [b"Example.com:80"]


@given(st.binary(min_size=1, max_size=255))
def test_whatever_the_host_there_are_one_to_three_forms_none_longer(host: bytes) -> None:
    keys = request(host).keys()
    assert 1 <= len(keys) <= 3
    assert keys[0] == host
    assert all(len(key) <= len(host) for key in keys)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"TRACE"])
def test_safe_methods_may_be_repeated_without_a_body(method: bytes) -> None:
    assert request(method=method).repeatable
    assert not request(method=method, body=1).repeatable


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH", b"get", b""])
def test_other_methods_may_not(method: bytes) -> None:
    assert not request(method=method).repeatable
