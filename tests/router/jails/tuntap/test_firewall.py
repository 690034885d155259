"""The firewall: compared with the standard library's networks; the example of uWSGI's documentation."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.router.config.tuntap_values import (
    Network,
    parse_device_rule,
    parse_firewall_rule,
    parse_network,
    parse_tun_route,
)
from uwsgi_router.router.jails.tuntap.firewall import Firewall, first_match

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Few bits differ, so that rules match now and then.
V4 = st.integers(0, 255).map(lambda n: ipaddress.IPv4Address(0x0A4D0000 | n & 0xF | n >> 4 << 12))
V6 = st.integers(0, 255).map(lambda n: ipaddress.IPv6Address(0xFD << 120 | n & 0xF | n >> 4 << 70))
FAMILIES = st.sampled_from([(V4, 32), (V6, 128)])


@st.composite
def rules(draw: st.DrawFn) -> str:
    action = draw(st.sampled_from(["allow", "deny"]))
    if draw(st.integers(0, 7)) == 0:
        return action
    addresses, longest = draw(FAMILIES)
    lengths = st.integers(1, longest)
    fields = []
    for _ in range(2):
        field = f"{draw(addresses)}/{draw(lengths)}"
        fields.append(draw(st.sampled_from([field, field, "0.0.0.0", "0.0.0.0/0"])))
    return f"{action} {fields[0]} {fields[1]}"


def expected(texts: list[str], src: Address, dst: Address) -> bool:
    for text in texts:
        action, *fields = text.split()
        if all(
            field.startswith("0.0.0.0")
            or (
                ipaddress.ip_network(field, strict=False).version == address.version
                and address in ipaddress.ip_network(field, strict=False)
            )
            for field, address in zip(fields, (src, dst), strict=False)
        ):
            return action == "allow"
    return True


@given(st.lists(rules(), max_size=6), FAMILIES, st.data())
def test_the_first_rule_that_matches_decides(
    texts: list[str], family: tuple[st.SearchStrategy[Address], int], data: st.DataObject
) -> None:
    src, dst = data.draw(family[0]), data.draw(family[0])
    chain = [parse_firewall_rule(text) for text in texts]
    verdict = expected(texts, src, dst)
    assert first_match(chain, src.packed, dst.packed) is verdict
    firewall = Firewall(chain)
    assert [firewall.allows(src.packed, dst.packed) for _ in range(2)] == [verdict] * 2


@given(st.ip_addresses(v=4), st.integers(1, 32), st.ip_addresses(v=4))
def test_a_network_is_what_the_standard_library_says(
    network: ipaddress.IPv4Address, length: int, address: ipaddress.IPv4Address
) -> None:
    if int(network) == 0:
        return
    ours = parse_network(f"{network}/{length}")
    assert ours is not None
    theirs = ipaddress.ip_network(f"{network}/{length}", strict=False)
    assert ours.has(address.packed) == (address in theirs)


def test_many_addresses_do_not_fill_the_memory() -> None:
    firewall = Firewall([parse_firewall_rule("deny 10.0.0.0/8 10.0.0.1")])
    for number in range(10_000):
        assert firewall.allows(number.to_bytes(4, "big"), b"\x0a\0\0\1") is True
    assert len(firewall._verdicts) <= 4096


# plugins/tuntap/tuntap.c: vassals reach the router and the internet, and not each other.
DOCUMENTED_OUT = (
    "allow 192.168.0.0/24 192.168.0.1",
    "deny 192.168.0.0/24 192.168.0.0/24",
    "allow 192.168.0.0/24 0.0.0.0",
    "deny",
)
DOCUMENTED_IN = (
    "allow 192.168.0.1 192.168.0.0/24",
    "deny 192.168.0.0/24 192.168.0.0/24",
    "allow 0.0.0.0 192.168.0.0/24",
    "deny",
)


@pytest.mark.parametrize(
    ("chain", "src", "dst", "passes"),
    [
        (DOCUMENTED_OUT, "192.168.0.2", "192.168.0.1", True),
        (DOCUMENTED_OUT, "192.168.0.2", "192.168.0.3", False),
        (DOCUMENTED_OUT, "192.168.0.2", "8.8.8.8", True),
        (DOCUMENTED_OUT, "10.0.0.1", "8.8.8.8", False),
        (DOCUMENTED_OUT, "fd00::1", "fd00::2", False),
        (DOCUMENTED_IN, "192.168.0.1", "192.168.0.2", True),
        (DOCUMENTED_IN, "192.168.0.3", "192.168.0.2", False),
        (DOCUMENTED_IN, "8.8.8.8", "192.168.0.2", True),
        (DOCUMENTED_IN, "8.8.8.8", "10.0.0.2", False),
    ],
)
def test_the_example_of_uwsgis_documentation(
    chain: tuple[str, ...], src: str, dst: str, passes: bool
) -> None:
    firewall = Firewall([parse_firewall_rule(text) for text in chain])
    one, two = ipaddress.ip_address(src).packed, ipaddress.ip_address(dst).packed
    assert firewall.allows(one, two) is passes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "drop",
        "drop 10.0.0.0/8 10.0.0.1",
        "deny 10.0.0.0/8",
        "deny 10.0.0.0/8 10.0.0.1 10.0.0.2",
        "deny 10.0.0.0/33 10.0.0.1",
        "deny 10.0.0.0/-1 10.0.0.1",
        "deny 10.0.0.0/255.0.0.0 10.0.0.1",
        "deny fd00::/129 fd00::1",
        "deny 10.0.0.1 fd00::1",
        "deny host 10.0.0.1",
        "DENY",
    ],
)
def test_a_mistake_in_a_rule_is_refused(text: str) -> None:
    """uWSGI takes any word but deny for allow, ignores two words, and shifts a mask beyond its end."""
    with pytest.raises(ValueError, match="expected"):
        parse_firewall_rule(text)


def test_blanks_do_not_count() -> None:
    assert parse_firewall_rule(" deny  10.0.0.0/8\t10.0.0.1 ") == parse_firewall_rule(
        "deny 10.0.0.0/8 10.0.0.1"
    )


def test_a_length_of_zero_is_one() -> None:
    """uWSGI takes /0 with an address for /32."""
    assert parse_network("10.0.0.1/0") == Network(4, 0, 0)
    assert parse_network("::") == parse_network("::/0") == Network(16, 0, 0)


def test_a_route_has_networks_and_a_target() -> None:
    route = parse_tun_route("10.0.0.0/8 0.0.0.0 192.0.2.1:4040")
    assert (route.src, route.dst) == (Network(4, 0x0A000000, 0xFF000000), None)
    assert route.target == ("192.0.2.1", 4040)
    for text in ("10.0.0.0/8 0.0.0.0", "10.0.0.0/8 0.0.0.0 host:1", "a b 1.2.3.4:0"):
        with pytest.raises(ValueError, match="expected"):
            parse_tun_route(text)


def test_masks_of_device_rules_are_right() -> None:
    """uWSGI's client sends 255.0.0.0 for /24."""
    rule = parse_device_rule("in 192.168.0.7/24 10.0.0.1 deny")
    assert (rule.src, rule.src_mask) == (0xC0A80000, 0xFFFFFF00)
    assert rule.matches(0xC0A80009, 0x0A000001)
    assert not rule.matches(0xC0A80109, 0x0A000001)


@pytest.mark.parametrize(
    "text",
    [
        "in 10.0.0.1 10.0.0.2",
        "up 10.0.0.1 10.0.0.2 deny",
        "in 10.0.0.1 10.0.0.2 drop",
        "out 10.0.0.1 10.0.0.2 gateway",
        "out 10.0.0.1 10.0.0.2 deny 1.2.3.4:1",
        "out fd00::1 fd00::2 deny",
    ],
)
def test_a_mistake_in_a_device_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_device_rule(text)
