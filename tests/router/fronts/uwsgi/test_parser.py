"""Requests out of uwsgi packets: keys, lengths, modifiers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.uwsgi import DANGEROUS_MODIFIERS, PacketError, encode_packet
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.fronts.uwsgi.parser import (
    Ping,
    UwsgiParser,
    parse_content_length,
)
from uwsgi_router.router.fronts.uwsgi.request import UwsgiRequest

FRONT = UwsgiParser(force_key=None, keep_modifiers=False)

HOST, NAME, KEY = "HTTP_HOST", "SERVER_NAME", "UWSGI_FASTROUTER_KEY"


def packet(*variables: tuple[str, str], modifier1: int = 0) -> bytes:
    return encode_packet(
        [(name.encode(), value.encode("latin-1")) for name, value in variables], modifier1
    )


def read(data: bytes, front: UwsgiParser = FRONT) -> UwsgiRequest:
    request = front.parse(data, "peer")
    assert request is not None
    return request


KEYS: list[tuple[list[tuple[str, str]], str | None]] = [
    # One source.
    ([(HOST, "h")], "h"),
    ([(NAME, "n")], "n"),
    ([(KEY, "k")], "k"),
    ([], None),
    # Precedence, whatever the order.
    ([(NAME, "n"), (HOST, "h")], "h"),
    ([(HOST, "h"), (NAME, "n")], "h"),
    ([(KEY, "k"), (HOST, "h"), (NAME, "n")], "k"),
    ([(NAME, "n"), (HOST, "h"), (KEY, "k")], "k"),
    # Empty values replace too.
    ([(NAME, "x"), (HOST, "")], None),
    ([(HOST, ""), (NAME, "x")], "x"),
    ([(KEY, ""), (HOST, "h")], None),
    ([(KEY, ""), (HOST, "h"), (NAME, "s")], "s"),
    ([(HOST, "h"), (KEY, "")], None),
    ([(HOST, "")], None),
    # Duplicates.
    ([(HOST, "a"), (HOST, "b")], "b"),
    ([(KEY, "a"), (KEY, "b")], "b"),
    ([(NAME, "a"), (NAME, "b")], "a"),
    # Length.
    ([(HOST, "h" * 255)], "h" * 255),
    ([(HOST, "h" * 256)], None),
    ([(HOST, "h" * 256), (NAME, "n")], "n"),
    ([(KEY, "k" * 256), (HOST, "h")], "h"),
    ([(NAME, "n" * 256), (HOST, "h")], "h"),
    ([(HOST, "h"), (HOST, "h" * 256)], "h"),
    # Exact names only.
    ([("http_host", "h")], None),
    ([("HTTP_HOSTS", "h")], None),
    ([("XHTTP_HOST", "h"), (NAME, "n")], "n"),
    # Byte for byte.
    ([(HOST, "Example.com:8080")], "Example.com:8080"),
    ([(HOST, "\xff\x00\n")], "\xff\x00\n"),
]


@pytest.mark.parametrize(("variables", "key"), KEYS)
def test_key(variables: list[tuple[str, str]], key: str | None) -> None:
    data = packet(("REQUEST_METHOD", "GET"), *variables)
    if key is None:
        with pytest.raises(Failure, match="no usable") as caught:
            read(data)
        assert (caught.value.status, caught.value.reason) == (400, "no-key")
    else:
        assert read(data).key == key.encode("latin-1")


@pytest.mark.parametrize(
    ("variables", "is_host"),
    [([(HOST, "h")], True), ([(NAME, "n")], True), ([(KEY, "k"), (HOST, "h")], False)],
)
def test_only_a_host_has_simpler_forms(variables: list[tuple[str, str]], is_host: bool) -> None:
    assert read(packet(*variables)).key_is_host is is_host


def test_force_key_wins_over_everything_and_is_no_host() -> None:
    front = UwsgiParser(force_key=b"Forced:80", keep_modifiers=False)
    for variables in ([(KEY, "k")], [(HOST, "h")], [("A", "b")]):
        request = read(packet(*variables, ("CONTENT_LENGTH", "5")), front)
        assert (request.key, request.key_is_host) == (b"Forced:80", False)
        assert request.content_length == 5


def test_everything_the_engine_needs() -> None:
    data = packet(
        (HOST, "h"),
        ("REQUEST_METHOD", "POST"),
        ("CONTENT_LENGTH", "12"),
        ("REMOTE_ADDR", "192.0.2.1"),
        ("PATH_INFO", "/a"),
    )
    request = read(data + b"body and more")
    assert request.method == b"POST"
    assert request.content_length == 12
    assert request.client == b"192.0.2.1"
    assert request.path == b"/a"
    assert request.packet == data
    assert request.rest == b"body and more"


def test_without_remote_addr_the_client_is_the_peer() -> None:
    assert read(packet((HOST, "h"))).client == b"peer"


@pytest.mark.parametrize(("value", "length"), [("", 0), ("0", 0), ("7", 7), ("0007", 7)])
def test_content_length(value: str, length: int) -> None:
    assert read(packet((HOST, "h"), ("CONTENT_LENGTH", value))).content_length == length


@pytest.mark.parametrize(
    "value", ["5abc", "-1", "+1", " 1", "1 ", "0x10", "1_000", "1.0", "\xb2", "9" * 19]
)
def test_content_length_that_is_no_decimal_number(value: str) -> None:
    with pytest.raises(PacketError, match="CONTENT_LENGTH"):
        read(packet((HOST, "h"), ("CONTENT_LENGTH", value)))


@pytest.mark.parametrize("pair", [("5", "6"), ("", "5"), ("5", ""), ("5", "05")])
def test_two_different_lengths_are_how_requests_are_smuggled(pair: tuple[str, str]) -> None:
    with pytest.raises(PacketError, match="two different"):
        read(packet((HOST, "h"), *(("CONTENT_LENGTH", value) for value in pair)))


def test_the_same_length_twice_is_harmless() -> None:
    assert read(packet((HOST, "h"), *[("CONTENT_LENGTH", "5")] * 2)).content_length == 5


def test_byte_by_byte() -> None:
    data = packet((HOST, "h"), ("REQUEST_METHOD", "GET"))
    for end in range(len(data)):
        assert FRONT.parse(data[:end], "") is None
    assert read(data).packet == data


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /x",
        b"HEAD /",
        b"PUT /x",
        b"OPTIONS *",
        b"DELETE /",
        b"PATCH /",
        b"PRI * HTTP/2.0",
        b"CONNECT a:1",
        b"TRACE /",
    ],
)
def test_http_is_recognised_before_kilobytes_of_it_have_come(data: bytes) -> None:
    with pytest.raises(PacketError, match="this is HTTP"):
        FRONT.parse(data[:5], "")


def test_a_ping_is_one_only_without_data() -> None:
    with pytest.raises(Ping):
        FRONT.parse(packet(modifier1=100), "")
    assert read(packet((HOST, "h"), modifier1=100)).key == b"h"


@pytest.mark.parametrize("modifier1", sorted(DANGEROUS_MODIFIERS))
def test_modifiers_that_run_code_pass_only_where_they_are_replaced(modifier1: int) -> None:
    data = packet((HOST, "h"), modifier1=modifier1)
    assert read(data).packet == data
    with pytest.raises(PacketError, match=f"modifier1 {modifier1} "):
        read(data, UwsgiParser(force_key=None, keep_modifiers=True))


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_a_request_or_too_short(data: bytes) -> None:
    try:
        request = FRONT.parse(data, "peer")
    except (PacketError, Failure, Ping):
        return
    if request is not None:
        assert 1 <= len(request.key) <= 255
        assert request.packet + request.rest == data


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=300)), max_size=8),
    st.binary(max_size=50),
    st.binary(max_size=8),
)
def test_a_well_formed_packet_comes_back_as_it_went_in(
    variables: list[tuple[bytes, bytes]], host: bytes, rest: bytes
) -> None:
    data = encode_packet([*variables, (b"HTTP_HOST", b"h" + host)])
    try:
        request = read(data + rest)
    except PacketError:
        assert any(name == b"CONTENT_LENGTH" for name, _ in variables)
        return
    except Failure:
        assert (b"UWSGI_FASTROUTER_KEY", b"") in variables
        return
    assert (request.packet, request.rest) == (data, rest)


@given(st.binary(max_size=25))
def test_lengths_are_what_int_says_or_refused(value: bytes) -> None:
    try:
        length = parse_content_length(value)
    except PacketError:
        return
    assert length == int(value or b"0") >= 0


def test_after_the_first_request_for_an_http_node_packets_are_read_no_differently() -> None:
    """They are decoded whole then, and once."""
    front = UwsgiParser(force_key=None, keep_modifiers=False)
    data = packet(
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/a?b=c"),
        ("HTTP_HOST", "example.com"),
        ("CONTENT_LENGTH", "0"),
        ("REMOTE_ADDR", "192.0.2.1"),
        ("HTTP_ACCEPT", "*/*"),
        ("HTTP_ACCEPT", "text/html"),
    )
    head = read(data, front).head_for_http()
    second = read(data, front)
    assert second.head_for_http() == head
    assert b"Accept: text/html\r\n" in head
    assert (second.key, second.method, second.client) == (b"example.com", b"GET", b"192.0.2.1")
    with pytest.raises(PacketError, match="CONTENT_LENGTH"):
        read(packet(("CONTENT_LENGTH", "0"), ("CONTENT_LENGTH", "1")), front)
