"""Frames of tuntap: however they are cut, the same is read; rules as uWSGI's client sends them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.tuntap import (
    ALLOW,
    DENY,
    GATEWAY,
    IN,
    MAX_FRAME,
    MAX_RULES,
    OUT,
    DeviceRule,
    FrameError,
    FrameReader,
    decode_rules,
    encode_rules,
    frame_header,
)

PACKETS = st.lists(st.binary(min_size=1, max_size=2000), max_size=6)
NUMBERS = st.integers(0, 2**32 - 1)
RULES = st.builds(
    DeviceRule,
    st.sampled_from([IN, OUT]),
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.sampled_from([ALLOW, DENY, GATEWAY]),
    st.tuples(st.ip_addresses(v=4).map(str), st.integers(0, 65_535)),
)
#: Sent by uWSGI 2.0.31 for: in 192.168.0.0/24 10.0.0.1 deny; out 192.168.0.5/32 10.0.0.0/8 gateway 127.0.0.1:4040;
#: out 0.0.0.0 0.0.0.0/16 allow. Its masks of /24 and /8 are wrong.
CAPTURED = bytes.fromhex(
    "00480001"
    "000000a8c0000000ff0100000affffffff01000000000000"
    "010500a8c0ffffffff0000000a00ffffff027f0000010fc8"
    "0100000000ffffffff000000000000ffff00000000000000"
)


def framed(packet: bytes) -> bytes:
    return frame_header(len(packet)) + packet


@given(PACKETS, st.data())
def test_packets_are_read_however_they_are_cut(packets: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(map(framed, packets))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    reader = FrameReader()
    found = [one for a, b in pairwise([0, *cuts, len(whole)]) for one in reader.feed(whole[a:b])]
    assert found == packets
    assert FrameReader().feed(whole) == packets


@pytest.mark.parametrize("size", [0, MAX_FRAME + 1, 65_535])
def test_a_frame_that_fits_no_buffer_is_refused(size: int) -> None:
    """uWSGI writes behind its buffer."""
    with pytest.raises(FrameError, match=f"a frame of {size} bytes"):
        FrameReader().feed(frame_header(size))


def test_the_longest_frame_is_read() -> None:
    assert FrameReader().feed(framed(bytes(MAX_FRAME))) == [bytes(MAX_FRAME)]


def test_an_unknown_modifier_is_a_packet() -> None:
    assert FrameReader().feed(b"\5\1\0\7x") == [b"x"]


def test_a_table_of_rules_stands_apart_from_packets() -> None:
    reader = FrameReader()
    assert reader.feed(framed(b"one") + CAPTURED + framed(b"two")) == [b"one", b"two"]
    assert reader.rules == CAPTURED[4:]


def test_rules_of_uwsgis_client_are_read() -> None:
    first, second, third = decode_rules(CAPTURED[4:])
    assert first == DeviceRule(
        IN, 0xC0A80000, 0xFF000000, 0x0A000001, 0xFFFFFFFF, DENY, ("0.0.0.0", 0)
    )
    assert (second.action, second.target) == (GATEWAY, ("127.0.0.1", 4040))
    assert third.matches(0xC0A80001, 0x01020304)


@given(st.lists(RULES, min_size=1, max_size=20))
def test_rules_survive(rules: list[DeviceRule]) -> None:
    reader = FrameReader()
    assert reader.feed(encode_rules(rules)) == []
    assert reader.rules is not None
    assert decode_rules(reader.rules) == rules
    # A part of one is ignored.
    assert decode_rules(reader.rules + b"x" * 23) == rules


def test_too_many_rules_are_refused() -> None:
    rule = decode_rules(CAPTURED[4:])[0]
    table = encode_rules([rule] * MAX_RULES)[4:]
    assert len(decode_rules(table)) == MAX_RULES
    with pytest.raises(FrameError, match="a table of 65 rules, where 64 may be"):
        encode_rules([rule] * 65)
    with pytest.raises(FrameError, match="a table of 65 rules, where 64 may be"):
        decode_rules(table + table[:24])
