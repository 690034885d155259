"""Who the client is: trusted peers, and chains that proxies wrote and clients made up."""

import time
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.http.origin import (
    MAX_HOPS,
    UNIX_ADDRESS,
    Origin,
    TrustedPeers,
    origin_of_peer,
    origin_of_request,
    parse_hop,
)
from uwsgi_router.protocol.http.request_head import RequestHead

PEER = origin_of_peer(("10.0.0.1", 40_001), https=False)
TLS_PEER = origin_of_peer(("10.0.0.1", 40_001), https=True)
UNIX_PEER = origin_of_peer(("", 0), https=False)
TRUSTED = TrustedPeers(["10.0.0.0/8", "fd00::/8", "::1", "unix"])


def head(*fields: tuple[bytes, bytes]) -> RequestHead:
    lines = [name + b": " + value for name, value in fields]
    return RequestHead(b"GET", b"/", b"/", b"", b"example.com", lines, forwarded=True)


def origin(*fields: tuple[bytes, bytes], base: Origin = PEER, trusted: bool = True) -> Origin:
    return origin_of_request(head(*fields), base, trusted, TRUSTED)


def chain(value: bytes, base: Origin = PEER) -> Origin:
    return origin((b"x-forwarded-for", value), base=base)


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.0.0.0", True),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("9.255.255.255", False),
        ("::1", True),
        ("0:0:0:0:0:0:0:1", True),
        ("::2", False),
        ("fd12::99", True),
        ("fd12::99%eth0", True),
        ("fe00::1", False),
        ("::ffff:10.0.0.9", True),
        ("::ffff:11.0.0.9", False),
        ("", True),
        ("unix", False),
        ("unknown", False),
        ("10.0.0.1:80", False),
        ("10.0.0", False),
        ("010.0.0.1", False),
        ("10.0.0.1 ", False),
        ("167772161", False),
        ("\0", False),
    ],
)
def test_who_is_trusted(address: str, trusted: bool) -> None:
    assert (address in TRUSTED) is trusted
    assert (address in TRUSTED) is trusted, "and the second time"


def test_nobody_is_trusted_unless_named() -> None:
    for peers in (TrustedPeers([]), TrustedPeers(["192.0.2.1"])):
        assert "" not in peers
        assert "127.0.0.1" not in peers
        assert "::1" not in peers


def test_everybody_can_be_trusted() -> None:
    everybody = TrustedPeers(["0.0.0.0/0", "::/0"])
    assert "8.8.8.8" in everybody
    assert "2001:db8::1" in everybody
    assert "" not in everybody


def test_a_network_may_be_written_as_ipv4_in_ipv6() -> None:
    assert "10.0.0.9" in TrustedPeers(["::ffff:10.0.0.0/104"])
    assert "::ffff:10.0.0.9" in TrustedPeers(["::ffff:10.0.0.9"])
    assert "11.0.0.9" not in TrustedPeers(["::ffff:10.0.0.0/104"])


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "10.0.0.0/33", "10/8", "::1/129", "*", "UNIX", "fe80::1%eth0", "1.2.3.4:80"],
)
def test_what_is_no_trusted_peer(text: str) -> None:
    with pytest.raises(ValueError, match="is no trusted peer: write a network") as caught:
        TrustedPeers(["127.0.0.1", text])
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "meant"), [("10.1.2.3/8", "10.0.0.0/8"), ("2001:db8::1/32", "2001:db8::/32")]
)
def test_a_network_with_host_bits_is_explained(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"{text}.*did you mean {meant}"):
        TrustedPeers([text])


def test_asking_for_ever_more_addresses_does_not_fill_the_memory() -> None:
    peers = TrustedPeers(["10.0.0.0/8"])
    for number in range(10_000):
        assert f"10.0.{number >> 8}.{number & 255}" in peers
        assert f"no address {number}" not in peers
    assert len(peers._remembered) <= 4_096


@pytest.mark.parametrize(
    ("peer", "address", "port"),
    [
        (("192.0.2.7", 51_342), b"192.0.2.7", b"51342"),
        (("2001:db8::7", 1), b"2001:db8::7", b"1"),
        (("::ffff:192.0.2.7", 51_342), b"192.0.2.7", b"51342"),
        (("fe80::7%eth0", 51_342), b"fe80::7", b"51342"),
        (("", 0), b"0.0.0.0", b"0"),
    ],
)
def test_the_peer_is_the_client(peer: tuple[str, int], address: bytes, port: bytes) -> None:
    assert origin_of_peer(peer, https=False) == Origin(address, port, b"http", address)
    assert origin_of_peer(peer, https=True).scheme == b"https"


@pytest.mark.parametrize(
    ("value", "address", "port"),
    [
        # One proxy, a friendly client.
        (b"203.0.113.9", b"203.0.113.9", b"0"),
        (b" \t203.0.113.9\t ", b"203.0.113.9", b"0"),
        (b"203.0.113.9:5678", b"203.0.113.9", b"5678"),
        (b"2001:db8::9", b"2001:db8::9", b"0"),
        (b"[2001:db8::9]", b"2001:db8::9", b"0"),
        (b"[2001:db8::9]:5678", b"2001:db8::9", b"5678"),
        (b"2001:DB8:0:0::9", b"2001:db8::9", b"0"),
        (b"::ffff:203.0.113.9", b"203.0.113.9", b"0"),
        (b"[::ffff:203.0.113.9]:5", b"203.0.113.9", b"5"),
        (b"203.0.113.9:007", b"203.0.113.9", b"7"),
        # Two and more proxies: the trusted ones are stepped over.
        (b"203.0.113.9, 10.0.0.2", b"203.0.113.9", b"0"),
        (b"203.0.113.9:99,10.0.0.2:80 ,[fd00::1]:7,\t::1", b"203.0.113.9", b"99"),
        (b"203.0.113.9,, ,10.0.0.2,", b"203.0.113.9", b"0"),
        # Spoofed: what the client wrote stands left of its address.
        (b"1.1.1.1, 203.0.113.9", b"203.0.113.9", b"0"),
        (b"10.0.0.7, 203.0.113.9, 10.0.0.2", b"203.0.113.9", b"0"),
        (b"127.0.0.1, ::1, 10.0.0.7, 203.0.113.9", b"203.0.113.9", b"0"),
        (b"garbage, 203.0.113.9", b"203.0.113.9", b"0"),
        (b"203.0.113.9, 1.1.1.1:x, 198.51.100.1", b"198.51.100.1", b"0"),
        # All of them trusted: a request of the inner network.
        (b"10.0.0.7", b"10.0.0.7", b"0"),
        (b"10.0.0.7:12, 10.0.0.2", b"10.0.0.7", b"12"),
        # No address: the search ends at who wrote it, the last one that is known.
        (b"unknown", b"10.0.0.1", b"40001"),
        (b"203.0.113.9, unknown", b"10.0.0.1", b"40001"),
        (b"203.0.113.9, unknown, 10.0.0.2:80", b"10.0.0.2", b"80"),
        (b"_hidden", b"10.0.0.1", b"40001"),
        (b"1.2.3", b"10.0.0.1", b"40001"),
        (b"1.2.3.4.5", b"10.0.0.1", b"40001"),
        (b"256.1.1.1", b"10.0.0.1", b"40001"),
        (b"010.1.1.1", b"10.0.0.1", b"40001"),
        (b"16909060", b"10.0.0.1", b"40001"),
        (b"0x1020304", b"10.0.0.1", b"40001"),
        (b"1.2.3.4:", b"10.0.0.1", b"40001"),
        (b"1.2.3.4:65536", b"10.0.0.1", b"40001"),
        (b"1.2.3.4:-1", b"10.0.0.1", b"40001"),
        (b"1.2.3.4:123456", b"10.0.0.1", b"40001"),
        (b"1.2.3.4/8", b"10.0.0.1", b"40001"),
        (b"[1.2.3.4]", b"10.0.0.1", b"40001"),
        (b"[::1", b"10.0.0.1", b"40001"),
        (b"::1]", b"10.0.0.1", b"40001"),
        (b"[]:1", b"10.0.0.1", b"40001"),
        (b"fe80::1%<script>", b"10.0.0.1", b"40001"),
        (b'"203.0.113.9"', b"10.0.0.1", b"40001"),
        (b"for=203.0.113.9", b"10.0.0.1", b"40001"),
        (b"1.2.3.4 5.6.7.8", b"10.0.0.1", b"40001"),
        (b"1.2.3.4;5.6.7.8", b"10.0.0.1", b"40001"),
        (b"\xd9\xa1.2.3.4", b"10.0.0.1", b"40001"),
        (b"\xff\xfe", b"10.0.0.1", b"40001"),
        (b"1" * 60_000, b"10.0.0.1", b"40001"),
        (b"", b"10.0.0.1", b"40001"),
        (b" ,, ", b"10.0.0.1", b"40001"),
    ],
)
def test_the_client_is_the_right_most_who_is_not_trusted(
    value: bytes, address: bytes, port: bytes
) -> None:
    found = chain(value)
    assert (found.address, found.port) == (address, port)
    assert found.forwarded_for == (value + b", 10.0.0.1" if value else b"10.0.0.1")


def test_from_anybody_else_the_chain_says_nothing() -> None:
    fields = (
        (b"x-forwarded-for", b"203.0.113.9"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"other.example"),
    )
    assert origin(*fields, trusted=False) == PEER
    assert PEER.forwarded_for == b"10.0.0.1"


def test_several_lines_are_one_chain() -> None:
    found = origin(
        (b"x-forwarded-for", b"1.1.1.1"),
        (b"accept", b"*/*"),
        (b"x-forwarded-for", b""),
        (b"x-forwarded-for", b"203.0.113.9, 10.0.0.3"),
        (b"x-forwarded-for", b"10.0.0.2"),
    )
    assert found.address == b"203.0.113.9"
    assert found.forwarded_for == b"1.1.1.1, 203.0.113.9, 10.0.0.3, 10.0.0.2, 10.0.0.1"


def test_behind_a_trusted_unix_socket_the_chain_stays_as_it_is() -> None:
    found = chain(b"1.1.1.1, 203.0.113.9", UNIX_PEER)
    assert (found.address, found.port) == (b"203.0.113.9", b"0")
    assert found.forwarded_for == b"1.1.1.1, 203.0.113.9"
    unknown = chain(b"unknown", UNIX_PEER)
    assert (unknown.address, unknown.port) == (UNIX_ADDRESS, b"0")


def test_longer_chains_than_anybody_has_are_not_searched_to_their_end() -> None:
    assert chain(b"203.0.113.9" + b", 10.0.0.2" * MAX_HOPS).address == b"203.0.113.9"
    assert chain(b"203.0.113.9" + b", 10.0.0.2" * (MAX_HOPS + 1)).address == b"10.0.0.2"


@pytest.mark.parametrize(
    "value", [b"10.0.0.2," * 7_000, b"," * 64_000, b"1," * 32_000, b"10.0.0.2" + b" ," * 32_000]
)
def test_huge_chains_cost_little(value: bytes) -> None:
    begin = time.process_time()
    for _ in range(20):
        chain(value)
    assert time.process_time() - begin < 0.5, "20 chains of 64 KB"


@pytest.mark.parametrize(
    ("fields", "scheme"),
    [
        ([], b"http"),
        ([(b"x-forwarded-proto", b"https")], b"https"),
        ([(b"x-forwarded-proto", b"http")], b"http"),
        ([(b"x-forwarded-proto", b"HTTPS")], b"https"),
        ([(b"x-forwarded-proto", b"wss")], b"https"),
        ([(b"x-forwarded-proto", b"ws")], b"http"),
        ([(b"x-forwarded-proto", b"https, http")], b"https"),
        ([(b"x-forwarded-proto", b"http,https")], b"http"),
        ([(b"x-forwarded-proto", b"http"), (b"x-forwarded-proto", b"https")], b"http"),
        ([(b"x-forwarded-proto", b"gopher")], b"http"),
        ([(b"x-forwarded-proto", b"")], b"http"),
        ([(b"x-forwarded-ssl", b"On")], b"https"),
        ([(b"x-forwarded-ssl", b"off")], b"http"),
        ([(b"x-forwarded-proto", b"http"), (b"x-forwarded-ssl", b"on")], b"http"),
    ],
)
def test_the_scheme_follows_a_trusted_peer(
    fields: list[tuple[bytes, bytes]], scheme: bytes
) -> None:
    assert origin(*fields).scheme == scheme


def test_the_scheme_of_the_connection_counts_if_nobody_says_another() -> None:
    assert origin((b"x-forwarded-for", b"1.1.1.1"), base=TLS_PEER).scheme == b"https"
    assert origin((b"x-forwarded-proto", b"gopher"), base=TLS_PEER).scheme == b"https"
    assert origin((b"x-forwarded-proto", b"http"), base=TLS_PEER).scheme == b"http"


@pytest.mark.parametrize(
    "name",
    [b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-prefix", b"x-real-ip", b"forwarded"],
)
def test_other_fields_of_the_family_pass_only_from_the_trusted(name: bytes) -> None:
    assert chain(b"1.1.1.1").passes(name)
    assert not PEER.passes(name)


def test_what_is_made_anew_never_passes_and_what_is_not_of_the_family_always() -> None:
    for who in (PEER, chain(b"1.1.1.1")):
        assert not who.passes(b"x-forwarded-for")
        assert not who.passes(b"x-forwarded-proto")
        assert who.passes(b"accept")
        assert who.passes(b"x-forwarded")


@given(st.ip_addresses(), st.integers(0, 65_535))
def test_addresses_are_read_as_the_kernel_writes_them(
    address: IPv4Address | IPv6Address, port: int
) -> None:
    text = str(address)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    plain = str(mapped or address)
    with_port = f"[{text}]:{port}" if ":" in text else f"{text}:{port}"
    assert parse_hop(text.encode()) == (plain, b"0")
    assert parse_hop(with_port.encode()) == (plain, b"%d" % port)


@given(
    st.binary(max_size=80) | st.text("0123456789abcdefABCDEF.:,[] \t%", max_size=80).map(str.encode)
)
def test_any_chain_gives_an_address_and_a_port(value: bytes) -> None:
    found = chain(value)
    assert parse_hop(found.address) == (found.address.decode(), b"0")
    assert 0 <= int(found.port) <= 65_535
    assert found.forwarded_for.endswith(b"10.0.0.1")
