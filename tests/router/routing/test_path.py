"""Forwarder ``use-pattern`` and ``use-base``: where a key may lead, and where never."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.router.routing.requests import asking
from uwsgi_router.protocol.address import InetAddress, UnixAddress
from uwsgi_router.router.routing.path import PathForwarder, PatternError
from uwsgi_router.subscriptions.node import Node


def target(forwarder: PathForwarder, key: bytes | str, *, is_host: bool = True) -> str | None:
    request = asking(key, is_host=is_host)
    node = forwarder.choose(request, (), 0.0)
    assert isinstance(node, Node | None)
    assert forwarder.is_known(request, 0.0) is (node is not None)
    return None if node is None else str(node.address)


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("/run/%s.sock", "example.com", "/run/example.com.sock"),
        ("/run/%s/%s", "a", "/run/a/a"),
        ("/run/100%%/%s", "a", "/run/100%/a"),
        ("/run/%(x/%s", "a", "/run/%(x/a"),
        ("/run/%d%s", "a", "/run/a"),
        ("/run/%s%", "a", "/run/a"),
        ("/run/vassals", "a", "/run/vassals"),
        ("127.0.0.1:%s", "26411", "127.0.0.1:26411"),
        ("[::1]:%s", "26411", "[::1]:26411"),
        ("app.internal:%s", "80", "app.internal:80"),
        ("@app-%s", "a", "@app-a"),
        ("run/%s.sock", "a", "run/a.sock"),
        ("%s", "a", "a"),
    ],
)
def test_pattern(pattern: str, key: str, expected: str) -> None:
    assert target(PathForwarder.from_pattern(pattern), key) == expected


@pytest.mark.parametrize(
    ("base", "key", "expected"),
    [
        ("/run/", "example.com", "/run/example.com"),
        ("/run", "example.com", "/runexample.com"),
        ("127.0.0.1:", "26411", "127.0.0.1:26411"),
        ("100%s/", "a", "100%s/a"),
    ],
)
def test_base(base: str, key: str, expected: str) -> None:
    assert target(PathForwarder.from_base(base), key) == expected


EVERYWHERE = ["/run/%s", "/run/%s.sock", "run/%s", "%s", "@%s", "127.0.0.1:%s", "/a%s/b"]


@pytest.mark.parametrize("pattern", EVERYWHERE)
@pytest.mark.parametrize("is_host", [True, False], ids=["host", "key"])
@pytest.mark.parametrize(
    "key",
    ["../other/a.com", "..", ".", ".hidden", "a/b", "/etc/x", "a\0b", "\0", "a/../../b", "..:80"],
)
def test_no_key_walks_directories(pattern: str, key: str, is_host: bool) -> None:
    assert target(PathForwarder.from_pattern(pattern), key, is_host=is_host) is None


@pytest.mark.parametrize("key", [".", ":80", ".:80"])
def test_a_host_of_which_nothing_is_left_names_nothing(key: str) -> None:
    """Not the base itself either."""
    assert target(PathForwarder.from_base("/run/default.sock"), key) is None


@pytest.mark.parametrize(
    "pattern", ["%s:80", "%s:%s", "10.0.0.%s:80", "x%s:%s", "127.0.0.1:8%s", "127.0.0.1:%s0"]
)
def test_a_pattern_that_lets_the_key_choose_a_host_is_refused_at_start(pattern: str) -> None:
    with pytest.raises(PatternError, match="port only"):
        PathForwarder.from_pattern(pattern)


def test_a_pattern_whose_host_is_none_is_refused_at_start() -> None:
    with pytest.raises(PatternError, match="neither an IP address nor a host name"):
        PathForwarder.from_pattern("not a host:%s")


@pytest.mark.parametrize("key", ["80x", "0", "65536", "-1", "+80", " 80", "1.2.3.4", "host", "٣"])
def test_with_a_fixed_host_the_key_must_be_a_port(key: str) -> None:
    assert target(PathForwarder.from_pattern("127.0.0.1:%s"), key, is_host=False) is None


@pytest.mark.parametrize("key", ["10.0.0.1:22", "evil.example:80", "@abstract", "\\0abstract"])
@pytest.mark.parametrize("pattern", ["%s", "%s.sock"])
def test_the_key_alone_chooses_neither_a_tcp_target_nor_an_abstract_name(
    pattern: str, key: str
) -> None:
    assert target(PathForwarder.from_pattern(pattern), key, is_host=False) is None


def test_an_address_that_begins_with_a_slash_is_unix_even_with_a_colon_in_it() -> None:
    """uWSGI connects to the TCP host "/run/b.com" here."""
    forwarder = PathForwarder.from_base("/run/")
    assert target(forwarder, "b.com:80", is_host=False) == "/run/b.com:80"
    assert target(PathForwarder.from_pattern("/run/a:b/%s"), "c") == "/run/a:b/c"


def test_a_host_leads_to_one_socket_however_it_is_written() -> None:
    forwarder = PathForwarder.from_base("/run/")
    for host in ("Example.COM", "example.com.", "example.com:8080", "EXAMPLE.com.:80"):
        assert target(forwarder, host) == "/run/example.com"
    assert target(forwarder, "Example.COM:8080", is_host=False) == "/run/Example.COM:8080"


def test_a_path_too_long_for_a_socket_names_nothing() -> None:
    assert target(PathForwarder.from_base("/run/"), "x" * 200) is None


def test_a_node_is_not_given_twice_and_is_the_same_next_time() -> None:
    forwarder = PathForwarder.from_base("/run/")
    node = forwarder.choose(asking("a"), (), 0.0)
    assert node is not None
    assert forwarder.choose(asking("a"), (node,), 0.0) is None
    assert forwarder.choose(asking("a"), (), 0.0) is node


def test_any_number_of_keys_takes_bounded_memory() -> None:
    forwarder = PathForwarder.from_base("/run/")
    for number in range(5000):
        assert forwarder.choose(asking(f"k{number}"), (), 0.0)
    assert len(forwarder._nodes) <= 1024


@given(key=st.binary(min_size=1, max_size=255), is_host=st.booleans())
def test_whatever_the_key_the_target_lies_where_the_operator_said(
    key: bytes, is_host: bool
) -> None:
    request = asking(key, is_host=is_host)
    node = PathForwarder.from_pattern("/run/vassals/%s.sock").choose(request, (), 0.0)
    if node is not None:
        assert isinstance(node.address, UnixAddress)
        directory, _, name = node.address.path.rpartition(b"/")
        assert directory == b"/run/vassals"
        assert name not in {b"", b".", b".."}
    node = PathForwarder.from_pattern("127.0.0.1:%s").choose(request, (), 0.0)
    if node is not None:
        assert isinstance(node.address, InetAddress)
        assert node.address.host == "127.0.0.1"
    node = PathForwarder.from_pattern("%s").choose(request, (), 0.0)
    if node is not None:
        assert isinstance(node.address, UnixAddress)
        assert not node.address.is_abstract
        assert b"/" not in node.address.path
