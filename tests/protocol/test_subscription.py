"""Subscription datagrams: taken whole or refused whole."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.keys import normal_keys
from uwsgi_router.protocol.subscription import (
    MAX_DATAGRAM,
    MAX_UNIX_TIME,
    Command,
    Subscription,
    SubscriptionError,
    decode,
    encode,
)
from uwsgi_router.protocol.uwsgi import encode_packet

KEY = (b"key", b"example.com")
ADDRESS = (b"address", b"10.0.0.1:3031")


def datagram(*variables: tuple[bytes, bytes], modifier1: int = 224, modifier2: int = 0) -> bytes:
    """A datagram with key, address and more variables."""
    return encode_packet([KEY, ADDRESS, *variables], modifier1, modifier2)


OPTIONAL_BYTES = st.none() | st.binary(min_size=1, max_size=60)
SUBSCRIPTIONS = st.builds(
    Subscription,
    command=st.sampled_from(["subscribe", "unsubscribe"]),
    key=normal_keys(),
    address=st.sampled_from(
        [
            "10.0.0.1:3031",
            ":3031",
            "[::1]:80",
            "/run/a:b.sock",
            "@name",
            "\0name",
            "app:1",
            "ü.sock",
        ]
    ),
    modifier1=st.integers(0, 255),
    modifier2=st.integers(0, 255),
    cores=st.integers(0, 2**32 - 1),
    load=st.integers(0, 2**32 - 1),
    weight=st.integers(1, 1_000_000),
    algo=st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    backup=st.integers(0, 2**32 - 1),
    proto=st.sampled_from(["uwsgi", "http", "fastcgi", "scgi", "https", "suwsgi"]),
    vassal=OPTIONAL_BYTES,
    notify=OPTIONAL_BYTES,
    report=st.booleans(),
    sni_key=OPTIONAL_BYTES,
    sni_crt=OPTIONAL_BYTES,
    sni_ca=OPTIONAL_BYTES,
    says_command=st.booleans(),
    via=st.lists(st.from_regex(rb"[0-9A-Za-z]{1,32}", fullmatch=True), max_size=4).map(tuple),
    unix=st.none() | st.integers(0, MAX_UNIX_TIME),
    sign=st.none() | st.binary(min_size=1, max_size=256),
)


@given(SUBSCRIPTIONS)
def test_whatever_can_be_said_survives(subscription: Subscription) -> None:
    packet = encode(subscription)
    decoded = decode(packet)
    assert replace(decoded, signed=None) == subscription
    if subscription.sign is not None:
        assert decoded.signed is not None
        assert packet[4:].startswith(decoded.signed)
        assert len(packet) == 4 + len(decoded.signed) + 2 + 4 + 2 + len(subscription.sign)
    else:
        assert decoded.signed is None


@given(SUBSCRIPTIONS)
def test_no_part_of_a_datagram_is_a_datagram(subscription: Subscription) -> None:
    packet = encode(subscription)
    for size in range(len(packet)):
        with pytest.raises(SubscriptionError):
            decode(packet[:size])


@given(SUBSCRIPTIONS, st.binary(min_size=1, max_size=20))
def test_bytes_after_a_datagram_make_it_none(subscription: Subscription, tail: bytes) -> None:
    with pytest.raises(SubscriptionError):
        decode(encode(subscription) + tail)


@given(
    st.binary(max_size=300)
    | st.lists(
        st.tuples(
            st.sampled_from(
                [b"key", b"address", b"weight", b"proto", b"sign", b"unix", b"algo", b"clear"]
            ),
            st.binary(max_size=20),
        )
    ).map(lambda variables: encode_packet(variables, 224))
)
def test_garbage_is_read_or_refused(packet: bytes) -> None:
    try:
        subscription = decode(packet)
    except SubscriptionError:
        return
    assert decode(encode(subscription)).key == subscription.key


def test_what_is_not_said() -> None:
    assert decode(datagram()) == Subscription("subscribe", b"example.com", "10.0.0.1:3031")


def test_unknown_variables_and_order_do_not_matter() -> None:
    packet = encode_packet([(b"inactive", b"1"), ADDRESS, (b"x", b""), KEY], 224, 1)
    assert decode(packet) == Subscription("unsubscribe", b"example.com", "10.0.0.1:3031")


def test_of_duplicates_the_last_counts() -> None:
    packet = datagram((b"weight", b"2"), (b"key", b"other"), (b"weight", b"3"))
    assert decode(packet) == Subscription("subscribe", b"other", "10.0.0.1:3031", weight=3)


@pytest.mark.parametrize("weight", [b"0", b"1", b"00"])
def test_weight_zero_counts_as_one(weight: bytes) -> None:
    assert decode(datagram((b"weight", weight))).weight == 1


@pytest.mark.parametrize(("modifier2", "clear"), [(1, b"0"), (0, b"1"), (1, b"1")])
def test_clear_is_an_unsubscribe(modifier2: int, clear: bytes) -> None:
    assert decode(datagram((b"clear", clear), modifier2=modifier2)).command == "unsubscribe"


@pytest.mark.parametrize(
    ("text", "proto"),
    [(b"", "uwsgi"), (b"uwsgi", "uwsgi"), (b"h", "http"), (b"fcgi", "fastcgi"), (b"scgi", "scgi")],
)
def test_only_the_first_letter_of_proto_counts(text: bytes, proto: str) -> None:
    assert decode(datagram((b"proto", text))).proto == proto


def test_our_own_clients_may_ask_to_hear_of_refusals() -> None:
    assert not decode(datagram()).report
    assert not decode(datagram((b"report", b"0"))).report
    assert decode(datagram((b"report", b"1"))).report
    assert b"report" not in encode(Subscription("subscribe", b"k", ":1"))


def test_the_routers_that_passed_it_on_are_named() -> None:
    passed_on = Subscription("subscribe", b"k", ":1", via=(b"a1", b"B2"))
    assert b"\x03\x00via\x05\x00a1,B2" in encode(passed_on)
    assert decode(encode(passed_on)) == passed_on
    assert b"via" not in encode(Subscription("subscribe", b"k", ":1"))
    assert decode(datagram((b"via", b""))).via == ()


@pytest.mark.parametrize(
    "via", [b",", b"a,", b"a b", b"a" * 33, b",".join([b"a"] * 17), b"," * 4000, b"\xff"]
)
def test_ways_that_nobody_goes_are_refused(via: bytes) -> None:
    with pytest.raises(SubscriptionError, match="via does not name at most 16 routers"):
        decode(datagram((b"via", via)))


def test_a_notify_address_that_fits_no_socket_is_ignored() -> None:
    assert decode(datagram((b"notify", b"x" * 101))).notify == b"x" * 101
    assert decode(datagram((b"notify", b"x" * 102))).notify is None
    assert decode(datagram((b"notify", b""))).notify is None


def test_a_signature_that_is_not_last_covers_nothing() -> None:
    signed = decode(datagram((b"unix", b"5"), (b"sign", b"s" * 8)))
    assert signed.signed == datagram((b"unix", b"5"))[4:]
    assert signed.unix == 5
    shifted = decode(datagram((b"sign", b"s" * 8), (b"unix", b"5")))
    assert (shifted.sign, shifted.signed) == (b"s" * 8, None)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", "0 bytes"),
        (b"\xe0", "1 bytes"),
        (datagram(modifier1=0), "modifier1 is 0"),
        (datagram(modifier1=223), "modifier1 is 223"),
        (datagram(modifier2=2), "modifier2 is 2"),
        (datagram(modifier2=255), "modifier2 is 255"),
        (datagram() + b"x", "header says"),
        (datagram()[:-1], "header says"),
        (b"\xe0\x03\x00\x00\x01\x00a", "past the end"),
        (b"\xe0\x04\x00\x00\x00\x00\x00\x00", "empty variable name"),
        (encode_packet([ADDRESS], 224), "no key"),
        (encode_packet([KEY], 224), "no address"),
        (encode_packet([KEY, (b"address", b"")], 224), "no address"),
        (encode_packet([KEY, (b"vassal", b"a.ini")], 224), "on demand"),
        (datagram((b"key", b"")), "key has 0"),
        (datagram((b"key", b"k" * 256)), "key has 256"),
        (datagram((b"address", b"a" * 256)), "address has 256"),
        (datagram((b"address", b"/a\nb")), "control characters"),
        (datagram((b"address", b"/a\x7fb")), "control characters"),
        (datagram((b"address", b"\0\0a")), "control characters"),
        (datagram((b"address", b"/\xff")), "not UTF-8"),
        (datagram((b"address", b"10.0.0.1:0")), "port 0"),
        (datagram((b"address", b"10.0.0.1:99999")), "65535"),
        (datagram((b"address", b"::1:80")), "brackets"),
        (datagram((b"address", b"a..b:80")), "host name"),
        (datagram((b"modifier1", b"256")), "modifier1 256"),
        (datagram((b"modifier2", b"999")), "modifier2 999"),
        (datagram((b"modifier1", b"")), "not a decimal"),
        (datagram((b"cores", b"-1")), "not a decimal"),
        (datagram((b"cores", b" 1")), "not a decimal"),
        (datagram((b"cores", b"1e3")), "not a decimal"),
        (datagram((b"load", b"1" * 21)), "not a decimal"),
        (datagram((b"load", b"4294967296")), "load"),
        (datagram((b"weight", b"1000001")), "weight 1000001"),
        (datagram((b"backup", b"0x1")), "not a decimal"),
        (datagram((b"unix", b"now")), "not a decimal"),
        (datagram((b"unix", b"99999999999999999999")), "unix"),
        (datagram((b"clear", b"yes")), "not a decimal"),
        (datagram((b"proto", b"gopher")), "gopher"),
        (datagram((b"vassal", b"v" * 256)), "vassal"),
        (datagram((b"x", b"x" * MAX_DATAGRAM)), "longer than 4096"),
    ],
)
def test_refused_with_its_reason(packet: bytes, reason: str) -> None:
    with pytest.raises(SubscriptionError, match=reason):
        decode(packet)


def test_the_longest_datagram() -> None:
    size = MAX_DATAGRAM - len(datagram((b"x", b"")))
    packet = datagram((b"x", b"x" * size))
    assert len(packet) == MAX_DATAGRAM
    assert decode(packet).key == b"example.com"


@pytest.mark.parametrize(
    "fields",
    [
        {"key": b""},
        {"key": b"k" * 256},
        {"address": ""},
        {"address": "\udcff"},
        {"address": "ü" * 128},
        {"modifier1": 256},
        {"modifier2": -1},
        {"weight": 0},
        {"unix": -1},
    ],
)
def test_what_would_be_refused_cannot_even_be_made(fields: dict[str, Any]) -> None:
    valid: dict[str, Any] = {"command": "subscribe", "key": b"k", "address": ":1"}
    with pytest.raises(SubscriptionError):
        Subscription(**(valid | fields))


def test_what_no_receiver_would_read_is_not_sent() -> None:
    with pytest.raises(SubscriptionError, match="receivers read 4096"):
        encode(Subscription("subscribe", b"k", ":1", sign=b"s" * 5000))
    with pytest.raises(SubscriptionError, match="receivers read 4096"):
        encode(Subscription("subscribe", b"k", ":1", sign=b"s" * 70_000))


@pytest.mark.parametrize("command", ["subscribe", "unsubscribe"])
def test_a_command_that_is_said_twice_can_not_be_turned(command: Command) -> None:
    made = Subscription(command, b"k", "127.0.0.1:1", says_command=True)
    packet = encode(made)
    assert decode(packet) == made
    with pytest.raises(SubscriptionError, match="it was changed on its way"):
        decode(packet[:3] + bytes([1 - packet[3]]) + packet[4:])


def test_a_command_in_words_of_somebody_else_is_none() -> None:
    with pytest.raises(SubscriptionError, match=r"say b'\\x00', its header says subscribe"):
        decode(datagram((b"command", b"\0")))
