"""Frames: whole, byte by byte, with more behind them, by properties; and what is none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.router.table.feed.frames import MAX_FRAME, FeedError, FeedReader, encode

RECORDS: list[list[Any]] = [
    ["table", "node", [1, "example.com", 1.5, None, True]],
    ["", "end"],
    ["caches", "item", "\udcff\udc00 no UTF-8", "\0"],
]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=10,
)
records = st.lists(
    st.tuples(st.text(), st.text()).flatmap(
        lambda words: st.lists(values, max_size=3).map(lambda more: [*words, *more])
    )
)


def read(data: bytes) -> list[list[Any]]:
    reader = FeedReader()
    found = reader.feed(data)
    assert not reader.is_inside
    return found


def test_whole() -> None:
    assert read(encode(RECORDS)) == RECORDS


def test_byte_by_byte() -> None:
    reader = FeedReader()
    found = []
    for byte in encode(RECORDS):
        found += reader.feed(bytes([byte]))
    assert found == RECORDS


def test_the_beginning_of_the_next_one_is_kept() -> None:
    reader = FeedReader()
    data = encode(RECORDS)
    assert reader.feed(data + data[:5]) == RECORDS
    assert reader.is_inside
    assert reader.feed(data[5:]) == RECORDS


@given(records, st.integers(1, 50))
def test_what_goes_in_comes_out_however_it_is_cut(some: list[list[Any]], size: int) -> None:
    data = encode(some)
    reader = FeedReader()
    found = []
    for start in range(0, len(data), size):
        found += reader.feed(data[start : start + size])
    assert found == some
    assert not reader.is_inside


@given(st.binary())
def test_anything_is_refused_or_read_and_nothing_else(data: bytes) -> None:
    reader = FeedReader()
    try:
        found = reader.feed(data)
    except FeedError:
        return
    assert all(len(record) >= 2 for record in found)


def test_many_records_are_several_frames() -> None:
    some = [["table", "node", "x" * 1_000]] * 2_000
    data = encode(some)
    assert read(data) == some
    sizes = []
    while data:
        size = int.from_bytes(data[:4], "big")
        sizes.append(size)
        data = data[4 + size :]
    assert max(sizes) <= MAX_FRAME
    assert len(sizes) == 20


def test_nothing_is_no_frame() -> None:
    assert encode([]) == b""


def test_a_record_too_long_for_a_frame_is_not_made() -> None:
    with pytest.raises(FeedError, match="a record of"):
        encode([["table", "node", "x" * MAX_FRAME]])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{}", b"1", b"[1]", b"[[]]", b'[["a"]]', b'[[1,"a"]]', b"[" * 5_000]
)
def test_what_is_no_list_of_records_is_refused(body: bytes) -> None:
    with pytest.raises(FeedError):
        FeedReader().feed(len(body).to_bytes(4, "big") + body)


def test_a_length_beyond_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(FeedError, match="a frame of"):
        FeedReader().feed((MAX_FRAME + 1).to_bytes(4, "big"))
