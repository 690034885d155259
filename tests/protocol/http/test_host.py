"""What may stand in Host, and so become a routing key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.host import MAX_HOST, check_host


@pytest.mark.parametrize(
    "host",
    [
        *(
            b"a",
            b"example.com",
            b"EXAMPLE.com",
            b"example.com.",
            b"a-b_c.d",
            b"_x",
            b"xn--caf-dma.example",
        ),
        *(
            b"example.com:80",
            b"example.com:",
            b"a:0",
            b"a:65535",
            b"127.0.0.1",
            b"127.0.0.1:8080",
            b"1",
        ),
        *(b"[::1]", b"[::1]:80", b"[2001:DB8::1]", b"[::ffff:1.2.3.4]:1"),
        b"a" * MAX_HOST,
    ],
)
def test_hosts(host: bytes) -> None:
    check_host(host)
    check_host(bytes(bytearray(host)))  # and once more, from the cache


@pytest.mark.parametrize(
    "host",
    [
        *(
            b"",
            b".",
            b"..",
            b"../../tmp/x",
            b"a/b",
            b"a\\b",
            b".a",
            b"a..b",
            b"a..",
            b"a b",
            b"a,b",
        ),
        *(
            b"u@h",
            b"u:p@h",
            b"a:port",
            b"a:65536",
            b"a:123456",
            b"a:+1",
            b"a:1:2",
            b":80",
            b":",
            b"*",
            b"a%2fb",
        ),
        *(
            b"::1",
            b"[::1",
            b"::1]",
            b"[]",
            b"[:]",
            b"[::1]x",
            b"[::1]:x",
            b"[fe80::1%eth0]",
            b"[v1.a]",
            b"[1.2.3.4]",
        ),
        *(
            b"caf\xc3\xa9",
            b"a\0",
            b"a\n",
            b"a\t",
            b"a;b",
            b"a?",
            b"a#",
            b"a" * (MAX_HOST + 1),
            b"a." * 30_000,
        ),
    ],
)
def test_what_is_no_host(host: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        check_host(host)
    assert (caught.value.status, caught.value.reason) == (400, "bad-host")
    assert len(caught.value.text) < 200


@given(st.binary(max_size=20))
def test_what_is_accepted_names_no_other_directory(host: bytes) -> None:
    try:
        check_host(host)
    except HttpError:
        return
    assert b"/" not in host
    assert b".." not in host
    assert host.isascii()
    assert not host.startswith(b".")


def test_known_hosts_are_bounded() -> None:
    for number in range(5_000):
        check_host(b"h%d.example" % number)
    check_host(b"h0.example")
    with pytest.raises(HttpError):
        check_host(b"h0.example/")
