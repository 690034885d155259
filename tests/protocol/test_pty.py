"""Packets of the forkpty router: however they are cut, the same is read."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.pty import (
    MAX_INPUT,
    PtyEvent,
    PtyInput,
    PtyParser,
    PtySignal,
    PtyWindow,
    encode_input,
    encode_signal,
    encode_window,
)
from uwsgi_router.protocol.uwsgi import encode_header

SIGNALS = st.integers(1, 255).filter(lambda number: number not in (100, 101))
NUMBERS = st.integers(0, 65_535)
PACKETS = st.one_of(
    st.binary(max_size=300).map(lambda data: (encode_header(7, len(data)) + data, data)),
    SIGNALS.map(lambda number: (encode_signal(number), number)),
    st.tuples(NUMBERS, NUMBERS).map(lambda size: (encode_window(*size), size)),
)


def read(parts: Iterable[bytes]) -> list[PtyEvent]:
    parser = PtyParser()
    return [event for part in parts for event in parser.feed(part)]


def meaning(events: Iterable[PtyEvent]) -> list[object]:
    """What was said in order; parts of input joined, and halves of a size."""
    found: list[object] = []
    for event in events:
        if isinstance(event, PtyInput):
            if found and isinstance(found[-1], bytes):
                found[-1] += event.data
            else:
                found.append(event.data)
        elif isinstance(event, PtySignal):
            found.append(event.number)
        elif event.cols is None:
            found.append((event.rows, None))
        elif event.rows is None:
            half = found.pop()
            assert isinstance(half, tuple)
            found.append((half[0], event.cols))
        else:
            found.append((event.rows, event.cols))
    return found


def expected(packets: list[tuple[bytes, object]]) -> list[object]:
    found: list[object] = []
    for _, said in packets:
        if isinstance(said, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += said
        elif said != b"":
            found.append(said)
    return found


@given(st.lists(PACKETS, max_size=8), st.data())
def test_packets_are_read_however_they_are_cut(
    packets: list[tuple[bytes, object]], data: st.DataObject
) -> None:
    whole = b"".join(packet for packet, _ in packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    edges = [0, *cuts, len(whole)]
    parts = [whole[a:b] for a, b in pairwise(edges)]
    assert meaning(read(parts)) == expected(packets)
    assert meaning(read([whole])) == expected(packets)
    assert meaning(read(whole[at : at + 1] for at in range(len(whole)))) == expected(packets)


def test_a_cut_between_the_halves_of_a_size_does_not_mix_two_sizes() -> None:
    first, second = encode_window(24, 80), encode_window(50, 132)
    assert read([first[:4], first[4:] + second]) == [
        PtyWindow(24, None),
        PtyWindow(None, 80),
        PtyWindow(50, 132),
    ]


def test_two_inputs_in_one_read_are_both_there() -> None:
    """uWSGI loses the second one, and reads the rest of the session wrongly."""
    packets = b"".join(encode_header(0, len(part)) + part for part in (b"one\n", b"two\n"))
    assert read([packets]) == [PtyInput(b"one\n"), PtyInput(b"two\n")]


def test_a_signal_keeps_its_number_whatever_follows() -> None:
    """uWSGI takes the number from the next packet."""
    assert read([encode_signal(12) + encode_signal(10) + encode_header(0, 2) + b"ls"]) == [
        PtySignal(12),
        PtySignal(10),
        PtyInput(b"ls"),
    ]


def test_an_empty_input_does_not_stop_the_reading() -> None:
    assert read([encode_header(0, 0) + encode_header(0, 1) + b"x"]) == [PtyInput(b"x")]


def test_input_may_have_as_many_bytes_as_a_header_can_say() -> None:
    """uWSGI resets the connection above 4092."""
    data = bytes(65_535)
    assert read([encode_header(0, 65_535) + data]) == [PtyInput(data)]


def test_the_size_of_the_window_is_told_once_for_both_packets() -> None:
    """As uWSGI's client sends it: 33 rows, 111 columns."""
    packets = bytes.fromhex("00210064006f0065")
    assert encode_window(33, 111) == packets
    assert read([packets]) == [PtyWindow(33, 111)]
    assert read([packets[:6], packets[6:]]) == [PtyWindow(33, 111)]


def test_half_a_size_is_told_when_nothing_else_has_begun() -> None:
    assert read([encode_header(0, 50, 100)]) == [PtyWindow(50, None)]
    assert read([encode_header(0, 90, 101) + encode_header(0, 1) + b"x"]) == [
        PtyWindow(None, 90),
        PtyInput(b"x"),
    ]


@pytest.mark.parametrize("size", [0, 1, MAX_INPUT, MAX_INPUT + 1, 20_000])
def test_input_is_sent_in_packets_that_uwsgi_takes(size: int) -> None:
    packets = list(encode_input(bytes(size)))
    assert all(len(packet) <= 4 + MAX_INPUT for packet in packets)
    assert meaning(read(packets)) == ([bytes(size)] if size else [])
