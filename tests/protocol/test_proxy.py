"""The PROXY protocol, both versions."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.proxy import (
    MAX_V1,
    MAX_V2,
    HostPort,
    ProxyError,
    ProxyHeader,
    encode_proxy_v1,
    encode_proxy_v2,
    parse_proxy_header,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
IPV4 = SIGNATURE + b"\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\x01\xbb"
CLIENT = ("192.0.2.7", 56324)
SERVER = ("198.51.100.1", 443)

PORTS = st.integers(0, 65535)
V4 = st.tuples(st.ip_addresses(v=4).map(str), PORTS)
V6 = st.tuples(st.ip_addresses(network="2000::/3").map(str), PORTS)
PAIRS = st.one_of(st.tuples(V4, V4), st.tuples(V6, V6))
TLVS = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=4)


def refused_or_waiting(data: bytes) -> bool:
    try:
        return parse_proxy_header(data) is None
    except ProxyError:
        return True


def refused(data: bytes) -> bool:
    """True if it is refused, whole and byte by byte."""
    for start in range(len(data)):
        try:
            assert parse_proxy_header(data[:start]) is None
        except ProxyError:
            break
    try:
        parse_proxy_header(data)
    except ProxyError:
        return True
    return False


# ---------------------------------------------------------------------------------------- round trips


@given(PAIRS, st.binary(max_size=30))
def test_version_1_survives(pair: tuple[HostPort, HostPort], more: bytes) -> None:
    raw = encode_proxy_v1(*pair)
    assert len(raw) <= MAX_V1
    assert parse_proxy_header(raw + more) == ProxyHeader(*pair, size=len(raw))
    for size in range(len(raw)):
        assert parse_proxy_header(raw[:size]) is None


@given(PAIRS, TLVS, st.binary(max_size=30))
def test_version_2_survives(
    pair: tuple[HostPort, HostPort], tlvs: list[tuple[int, bytes]], more: bytes
) -> None:
    raw = encode_proxy_v2(*pair, tlvs)
    assert parse_proxy_header(raw + more) == ProxyHeader(*pair, size=len(raw))
    for size in range(len(raw)):
        assert parse_proxy_header(raw[:size]) is None


@given(TLVS)
def test_who_has_nothing_to_say(tlvs: list[tuple[int, bytes]]) -> None:
    for raw in (encode_proxy_v1(None, SERVER), encode_proxy_v2(CLIENT, None, tlvs)):
        assert parse_proxy_header(raw + b"GET /") == ProxyHeader(None, None, len(raw))
        assert all(parse_proxy_header(raw[:size]) is None for size in range(len(raw)))


def test_real_headers() -> None:
    line = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"
    assert encode_proxy_v1(CLIENT, SERVER) == line
    assert encode_proxy_v2(CLIENT, SERVER) == IPV4
    assert parse_proxy_header(line) == ProxyHeader(CLIENT, SERVER, len(line))
    assert parse_proxy_header(IPV4 + b"\x16\x03\x01") == ProxyHeader(CLIENT, SERVER, 28)


# -------------------------------------------------------------------------------------------- garbage


@given(st.binary(max_size=60))
def test_anything_else_is_refused(data: bytes) -> None:
    if data and data[:1] not in b"P\r":
        assert refused(data)
    for start in (b"PROXY ", b"PROXY TCP4 1.2.3.4 ", SIGNATURE, SIGNATURE + b"\x21\x11\0\x0c"):
        try:
            header = parse_proxy_header(start + data)
        except ProxyError:
            continue
        if header is not None:
            assert 16 <= header.size <= len(start + data) or start.startswith(b"PROXY")
            for end in filter(None, (header.source, header.destination)):
                assert str(ipaddress.ip_address(end[0])) == end[0]
                assert 0 <= end[1] <= 65535


@given(PAIRS, st.integers(0, 15), st.integers(0, 255))
def test_a_broken_signature(pair: tuple[HostPort, HostPort], at: int, byte: int) -> None:
    raw = bytearray(encode_proxy_v2(*pair))
    before = raw[at]
    raw[at] = byte
    if byte != before and (at < 12 or (at == 12 and byte != 0x20)):
        assert refused(bytes(raw))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"PROPFIND / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROXY / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\n\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x16\x03\x03\0\0",
        b"\0\x0c\0\0",
        b"proxy TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
    ],
)
def test_http_and_tls_are_no_header(data: bytes) -> None:
    assert refused(data)


@pytest.mark.parametrize(
    "line",
    [
        *(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", b"PROXY\r\n"),
        *(b"PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n"),
        *(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n"),
        *(b"PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 \xd9\xa2\r\n"),
        *(b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", b"PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n"),
        *(b"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", b"PROXY TCP4 ::1 ::2 1 2\r\n"),
        *(b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", b"PROXY TCP6 fe80::1%lo ::2 1 2\r\n"),
        *(b"PROXY TCP6 ::1::2 ::2 1 2\r\n", b"PROXY TCP6 [::1] ::2 1 2\r\n", b"PROXY \r\n"),
        *(b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", b"PROXY FOO not-an-ip ; x y z\r\n"),
        *(b"PROXY TCP4 1.2.3.4\t5.6.7.8 1 2\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n"),
        *(b"PROXY UNKNOWNS\r\n", b"PROXY unknown\r\n", b"PROXY UNKNOWN \0\r\n", b"PROXY UNKNOWN\n"),
        *(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX\r\n", b"PROXY TCP4 a.example 5.6.7.8 1 2\r\n"),
    ],
)
def test_what_is_no_line(line: bytes) -> None:
    assert refused(line)


def test_a_line_ends_in_time() -> None:
    longest = b"PROXY UNKNOWN " + b"x" * (MAX_V1 - 16) + b"\r\n"
    assert len(longest) == MAX_V1
    assert parse_proxy_header(longest) == ProxyHeader(None, None, MAX_V1)
    assert refused(b"PROXY UNKNOWN x" + longest[14:])
    assert refused(longest[:-2] + b"xx")
    # Bytes that can't be in a line end the wait for its end.
    assert refused(b"PROXY TCP4 \xff")
    assert refused(b"PROXY TCP4 1.2.3.4\n")


def test_unknown_means_the_peer_whatever_else_the_line_says() -> None:
    line = b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"
    assert parse_proxy_header(line + b"GET") == ProxyHeader(None, None, len(line))


def test_an_ipv4_address_in_ipv6_clothes() -> None:
    line = b"PROXY TCP6 ::ffff:192.0.2.7 ::FFFF:c633:6401 56324 443\r\n"
    assert parse_proxy_header(line) == ProxyHeader(CLIENT, SERVER, len(line))
    raw = encode_proxy_v2(("::ffff:192.0.2.7", 56324), ("::ffff:198.51.100.1", 443))
    assert parse_proxy_header(raw) == ProxyHeader(CLIENT, SERVER, len(raw))


# ------------------------------------------------------------------------------------------ version 2


@pytest.mark.parametrize(
    "rest",
    [
        *(
            b"\x11\x11\0\x0c",
            b"\x31\x11\0\x0c",
            b"\x22\x11\0\x0c",
            b"\x00",
            b"\x21\x10",
            b"\x21\x13",
        ),
        *(b"\x21\x01", b"\x21\x41", b"\x21\x20\0\x24", b"\x21\x11\0\x0b", b"\x21\x21\0\x23"),
        *(b"\x21\x31\0\xd7", b"\x21\x11\x10\x01", b"\x20\0\xff\xff"),
        *(
            IPV4[12:14] + b"\0\x0d" + IPV4[16:] + b"\x04",
            IPV4[12:14] + b"\0\x0e" + IPV4[16:] + b"\x04\0",
        ),
        IPV4[12:14] + b"\0\x10" + IPV4[16:] + b"\x04\0\x02x",
    ],
)
def test_what_is_no_version_2(rest: bytes) -> None:
    assert refused(SIGNATURE + rest)


@pytest.mark.parametrize(
    "rest",
    [
        b"\x21\0\0\0",
        b"\x21\0\0\x05abcde",
        b"\x20\0\0\0",
        b"\x20\x11\0\x0c" + bytes(12),
        b"\x20\xff\0\x01x",
        b"\x21\x31\0\xd8" + b"/run/a.sock".ljust(108, b"\0") * 2,
    ],
    ids=["unspecified", "unspecified with bytes", "local", "local ipv4", "local family", "unix"],
)
def test_the_peer_counts(rest: bytes) -> None:
    raw = SIGNATURE + rest
    assert parse_proxy_header(raw + b"GET") == ProxyHeader(None, None, len(raw))
    assert all(parse_proxy_header(raw[:size]) is None for size in range(len(raw)))


def test_who_came_by_udp_is_named_too() -> None:
    raw = IPV4[:13] + b"\x12" + IPV4[14:]
    assert parse_proxy_header(raw) == ProxyHeader(CLIENT, SERVER, len(raw))


# ---------------------------------------------------------------------------------------------- making


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        (("192.0.2.7", 1), ("::1", 1)),
        (("example.com", 1), ("192.0.2.7", 1)),
        (("192.0.2.7", 65536), ("192.0.2.7", 1)),
        (("192.0.2.7", 1), ("192.0.2.7", -1)),
        (("192.0.2.7\r\nX", 1), ("192.0.2.7", 1)),
    ],
)
def test_what_no_header_can_say(source: HostPort, destination: HostPort) -> None:
    with pytest.raises(ProxyError):
        encode_proxy_v1(source, destination)
    with pytest.raises(ProxyError):
        encode_proxy_v2(source, destination)


def test_tlvs_that_do_not_fit() -> None:
    fits = [(0xE0, b"x" * (MAX_V2 - 15))]
    raw = encode_proxy_v2(CLIENT, SERVER, fits)
    assert parse_proxy_header(raw) == ProxyHeader(CLIENT, SERVER, 16 + MAX_V2)
    for tlvs in ([*fits, (4, b"")], [(256, b"")], [(4, b"x" * 70_000)]):
        with pytest.raises(ProxyError):
            encode_proxy_v2(CLIENT, SERVER, tlvs)
