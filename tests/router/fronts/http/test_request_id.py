"""Ids of requests: nodes and clients are told one, and no other."""

import pytest

from uwsgi_router.protocol.http.request_id import is_request_id, with_request_id


def test_a_head_has_one_id() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: b\r\nx-request-id:c\r\nOther: X-Request-ID\r\n\r\n"
    assert with_request_id(head, b"d") == (
        b"GET / HTTP/1.1\r\nHost: a\r\nOther: X-Request-ID\r\nX-Request-ID: d\r\n\r\n"
    )
    assert (
        with_request_id(b"HTTP/1.1 200 OK\r\n\r\n", b"d")
        == b"HTTP/1.1 200 OK\r\nX-Request-ID: d\r\n\r\n"
    )


@pytest.mark.parametrize("value", [b"", b"a b", b"\xe9", b"a\x00", b"x" * 129])
def test_what_is_no_id(value: bytes) -> None:
    assert not is_request_id(value)
    assert is_request_id(b"3f2a-1.2")
