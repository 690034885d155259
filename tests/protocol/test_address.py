"""Addresses: what operators write and nodes announce."""

import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from uwsgi_router.protocol.address import (
    AddressError,
    InetAddress,
    InheritedAddress,
    SharedSocketAddress,
    UnixAddress,
    is_ip,
    parse_address,
    parse_datagram_address,
    parse_listen_address,
    parse_node_address,
    parse_port,
)

LABEL = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?", fullmatch=True)
HOST_NAMES = (
    st.lists(LABEL, min_size=1, max_size=5)
    .map(".".join)
    .filter(lambda name: not name.replace(".", "").isdigit())
)
PORTS = st.integers(1, 65535)
INET = st.builds(
    InetAddress,
    st.just("") | HOST_NAMES | st.ip_addresses().map(str),
    PORTS,
)
UNIX_TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0:@\\"), min_size=1, max_size=20
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:3031", InetAddress("127.0.0.1", 3031)),
        (":3031", InetAddress("", 3031)),
        ("0.0.0.0:3031", InetAddress("0.0.0.0", 3031)),
        ("app:8000", InetAddress("app", 8000)),
        ("web_1.internal.example.:8000", InetAddress("web_1.internal.example.", 8000)),
        ("4f1c2d3e4b5a:9000", InetAddress("4f1c2d3e4b5a", 9000)),
        ("123456789012:9000", InetAddress("123456789012", 9000)),  # a container's name, by chance
        ("[::1]:3031", InetAddress("::1", 3031)),
        ("[fe80::1%eth0]:3031", InetAddress("fe80::1%eth0", 3031)),
        ("/run/app.sock", UnixAddress(b"/run/app.sock")),
        ("/run/app:1.sock", UnixAddress(b"/run/app:1.sock")),
        ("app.sock", UnixAddress(b"app.sock")),
        ("@app", UnixAddress(b"\0app\0")),
        ("@app:1", UnixAddress(b"\0app:1\0")),
        ("\\0app", UnixAddress(b"\0app\0")),
        ("\0app", UnixAddress(b"\0app\0")),
    ],
)
def test_every_form_of_a_node(text: str, address: object) -> None:
    assert parse_address(text) == address
    assert parse_node_address(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (":", "port ''"),
        (":0", "port 0"),
        ("host:65536", "65535"),
        ("host:-1", "port"),
        ("host:٣", "port"),
        ("host: 80", "port"),
        ("host:80 ", "port"),
        ("::1:80", "brackets"),
        ("fe80::1", "brackets"),
        ("[::1]", "brackets|port"),
        ("[127.0.0.1]:80", "IPv6"),
        ("[fe80::1%]:80", "IPv6|interface"),
        ("[fe80::1%a b]:80", "interface"),
        ("127.1:80", "IPv4"),
        ("0:80", "IPv4"),
        ("2130706433:80", "IPv4"),
        ("256.1.1.1:80", "IPv4"),
        ("127.0.0.01:80", "IPv4"),
        ("a..b:80", "host name"),
        (".:80", "host name"),
        ("b\xfccher.example:80", "host name"),
        ("a b:80", "host name"),
        ("unix:/run/app.sock", "port"),
        ("x" * 64 + ":80", "host name"),
        (".".join(["x" * 50] * 6) + ":80", "host name"),
        ("@", "at least one"),
        ("@a\0b", "NUL"),
        ("a\0b", "NUL"),
    ],
)
def test_what_is_no_address_says_why(text: str, reason: str) -> None:
    with pytest.raises(AddressError, match=reason):
        parse_address(text)


def test_a_configured_unix_name_fits_the_kernel() -> None:
    assert parse_address("/" + "x" * 106) == UnixAddress(b"/" + b"x" * 106)
    assert parse_address("@" + "x" * 106) == UnixAddress(b"\0" + b"x" * 106 + b"\0")
    for text in ("/" + "x" * 107, "@" + "x" * 107, "\N{SNOWMAN}" * 36):
        with pytest.raises(AddressError, match="longer"):
            parse_address(text)


@pytest.mark.parametrize("text", ["/tmp/uwsgi-router-test-" + "x" * 84, "@" + "x" * 106])
def test_the_longest_names_can_be_bound(text: str) -> None:
    # The kernel is the oracle: it raises if the name is too long, or if the directory is missing.
    address = parse_address(text)
    assert isinstance(address, UnixAddress)
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises((ConnectionError, FileNotFoundError)):
        sock.connect(address.path)


def test_an_announced_unix_name_may_have_255_bytes() -> None:
    assert parse_node_address("x" * 255) == UnixAddress(b"x" * 255)
    with pytest.raises(AddressError, match="longer than 255"):
        parse_node_address("x" * 256)


def test_an_at_sign_is_a_file_for_datagrams() -> None:
    assert parse_datagram_address("@name") == UnixAddress(b"@name")
    assert parse_datagram_address("127.0.0.1:0") == InetAddress("127.0.0.1", 0)
    assert parse_datagram_address("[::]:2626") == InetAddress("::", 2626)


def test_listening_takes_shared_and_inherited_sockets() -> None:
    assert parse_listen_address("=3") == SharedSocketAddress(3)
    assert parse_listen_address("fd://7") == InheritedAddress(7)
    assert parse_listen_address(":0") == InetAddress("", 0)
    assert parse_listen_address("@web") == UnixAddress(b"\0web\0")
    for text in ("=", "=x", "=-1", "=1234567", "fd://", "fd://x", "fd://²"):
        with pytest.raises(AddressError):
            parse_listen_address(text)


def test_ports() -> None:
    assert parse_port("00080") == 80
    assert parse_port("65535") == 65535
    assert parse_port("0", allow_zero=True) == 0
    for text in ("", "0", "000080", "65536", "+80", "0x50", "8\n"):
        with pytest.raises(AddressError):
            parse_port(text)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "0:0::0"])
def test_where_a_server_listens_on_every_interface(host: str) -> None:
    assert InetAddress(host, 80).is_every_interface


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "example.com", "0.0.0.1"])
def test_an_address_of_its_own(host: str) -> None:
    assert not InetAddress(host, 80).is_every_interface


def test_names_are_resolved_and_addresses_are_not() -> None:
    assert InetAddress("example.com", 80).is_name
    assert not InetAddress("", 80).is_name
    assert not InetAddress("::1", 80).is_name
    assert is_ip("fe80::1%eth0")


def test_shown_as_written() -> None:
    assert str(UnixAddress(b"\0app\0")) == "@app"
    assert str(UnixAddress(b"/run/\xff.sock")) == "/run/\\xff.sock"
    assert UnixAddress(b"\0app\0").is_abstract
    assert not UnixAddress(b"/app").is_abstract
    assert str(SharedSocketAddress(1)) == "=1"
    assert str(InheritedAddress(3)) == "fd://3"


@given(INET)
def test_inet_addresses_survive_being_written(address: InetAddress) -> None:
    assert parse_address(str(address)) == address


@given(UNIX_TEXT)
def test_unix_paths_survive_being_written(text: str) -> None:
    assert str(parse_address("/" + text)) == "/" + text
    assert str(parse_address("@" + text)) == "@" + text
    assert parse_listen_address("./" + text) == UnixAddress(b"./" + text.encode())


@given(st.text())
@example("[::1%" + "x" * 20 + "]:80")
@example("[]:80")
@example("x" * 70 + ".:1")
@example("\udcff:80")
@example("\udcff")
def test_any_text_is_an_address_or_says_why_not(text: str) -> None:
    for parse in (
        parse_address,
        parse_node_address,
        parse_datagram_address,
        parse_listen_address,
    ):
        try:
            address = parse(text)
        except AddressError:
            continue
        if isinstance(address, InetAddress):
            # What the resolver is given must not make it raise anything but OSError.
            address.host.encode("idna")
