"""Greetings of SMTP servers, whole, byte by byte and with what follows; and the command that tells of the client."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.xclient import (
    MAX_GREETING,
    GreetingError,
    greeting_size,
    welcomes,
    xclient,
)

GREETINGS = [
    b"220 mail.example.com ESMTP Postfix\r\n",
    b"220\r\n",
    b"220-mail.example.com\r\n220-we do not like spam\r\n220 ESMTP\r\n",
    b"554 no service here\r\n",
]


@pytest.mark.parametrize("greeting", GREETINGS)
def test_a_greeting_has_its_size_at_its_last_byte(greeting: bytes) -> None:
    for end in range(len(greeting)):
        assert greeting_size(greeting[:end]) is None
    assert greeting_size(greeting) == len(greeting)


@given(st.sampled_from(GREETINGS), st.binary(max_size=100))
def test_what_follows_it_does_not_count(greeting: bytes, more: bytes) -> None:
    assert greeting_size(greeting + more) == len(greeting)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"220 bare\n",
        b"220 two\rends\r\n",
        b"22 short\r\n",
        b"220_mail\r\n",
        b"\r\n",
        b"220-first\r\nsecond\r\n",
        b"x" * MAX_GREETING,
        b"220 " + b"x" * MAX_GREETING,
    ],
)
def test_what_is_no_greeting(data: bytes) -> None:
    with pytest.raises(GreetingError):
        greeting_size(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_greeting_or_none_or_too_few(data: bytes) -> None:
    try:
        size = greeting_size(data)
    except GreetingError:
        return
    assert size is None or 5 <= size <= len(data)


def test_a_server_may_refuse_everybody() -> None:
    assert [welcomes(greeting) for greeting in GREETINGS] == [True, True, True, False]


@pytest.mark.parametrize(
    ("host", "command"),
    [
        ("192.0.2.7", b"XCLIENT ADDR=192.0.2.7\r\n"),
        ("2001:db8::1", b"XCLIENT ADDR=IPV6:2001:db8::1\r\n"),
        ("fe80::1%eth0", b"XCLIENT ADDR=IPV6:fe80::1\r\n"),
    ],
)
def test_the_command_names_the_client(host: str, command: bytes) -> None:
    assert xclient(host) == command


@pytest.mark.parametrize("host", ["", "mail.example.com", "192.0.2.7\r\nQUIT"])
def test_only_addresses_are_told(host: str) -> None:
    with pytest.raises(ValueError, match="does not appear"):
        xclient(host)
