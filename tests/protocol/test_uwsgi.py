"""The uwsgi packet: headers and variables."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.uwsgi import (
    HEADER_SIZE,
    MAX_DATASIZE,
    PacketError,
    decode_header,
    decode_values,
    decode_variables,
    encode_header,
    encode_packet,
    encode_variables,
    stepped,
    walked,
)

BYTES = st.integers(0, 255)
VARIABLES = st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.binary(max_size=80)))


@given(BYTES, st.integers(0, MAX_DATASIZE), BYTES)
def test_headers_survive(modifier1: int, size: int, modifier2: int) -> None:
    header = encode_header(modifier1, size, modifier2)
    assert len(header) == HEADER_SIZE
    assert decode_header(header) == (modifier1, size, modifier2)
    assert decode_header(header + b"what follows") == (modifier1, size, modifier2)


def test_the_size_stands_between_the_modifiers_low_byte_first() -> None:
    assert encode_header(5, 0x0180, 3) == b"\x05\x80\x01\x03"


@pytest.mark.parametrize("size", range(HEADER_SIZE))
def test_a_header_has_four_bytes(size: int) -> None:
    with pytest.raises(PacketError, match=f"{size} bytes"):
        decode_header(b"\0" * size)


@pytest.mark.parametrize(
    ("modifier1", "size", "modifier2"),
    [(256, 0, 0), (-1, 0, 0), (0, MAX_DATASIZE + 1, 0), (0, -1, 0), (0, 0, 256), (0, 0, -1)],
)
def test_what_fits_no_header(modifier1: int, size: int, modifier2: int) -> None:
    with pytest.raises(PacketError):
        encode_header(modifier1, size, modifier2)


@given(VARIABLES)
def test_variables_survive_in_order_with_duplicates(variables: list[tuple[bytes, bytes]]) -> None:
    variables = variables + variables[:1]
    assert decode_variables(encode_variables(variables)) == variables


@given(VARIABLES.filter(bool))
def test_only_the_whole_block_is_a_block(variables: list[tuple[bytes, bytes]]) -> None:
    """Byte by byte: a prefix is readable only where a variable ends, and then holds those before."""
    block = encode_variables(variables)
    ends = {len(encode_variables(variables[:n])): n for n in range(len(variables) + 1)}
    for size in range(len(block) + 1):
        if size in ends:
            assert decode_variables(block[:size]) == variables[: ends[size]]
        else:
            with pytest.raises(PacketError):
                decode_variables(block[:size])


@given(VARIABLES, st.binary(min_size=1, max_size=4).filter(lambda tail: tail[:2] != b"\0\0"))
def test_trailing_bytes_are_no_variable(variables: list[tuple[bytes, bytes]], tail: bytes) -> None:
    # Of up to four bytes only 01 00 k 00.. could begin a variable, and its value's length is missing.
    with pytest.raises(PacketError):
        decode_variables(encode_variables(variables) + tail)


@given(st.binary(max_size=200))
def test_garbage_is_read_or_refused_and_never_read_in_two_ways(block: bytes) -> None:
    try:
        variables = decode_variables(block)
    except PacketError:
        with pytest.raises(PacketError):
            decode_variables(block, frozenset({b"key"}))
    else:
        assert encode_variables(variables) == block


@given(VARIABLES, st.frozensets(st.sampled_from([b"key", b"address", b"a", b"b"])))
def test_wanted_variables_are_those_of_all(
    variables: list[tuple[bytes, bytes]], wanted: frozenset[bytes]
) -> None:
    variables = [*variables, (b"key", b"1"), (b"a", b""), (b"key", b"2")]
    found = decode_variables(encode_variables(variables), wanted)
    assert found == [(name, value) for name, value in variables if name in wanted]


Read = list[tuple[bytes, bytes]] | str
WANTED = st.none() | st.frozensets(st.sampled_from([b"key", b"a", b"\0", b"k" * 255, b"k" * 300]))


def read_by(
    read: Callable[[bytes, frozenset[bytes] | None], list[tuple[bytes, bytes]]],
    block: bytes,
    wanted: frozenset[bytes] | None,
) -> Read:
    try:
        return read(block, wanted)
    except PacketError as error:
        return str(error)


@st.composite
def blocks(draw: st.DrawFn) -> bytes:
    """Blocks, most of which are nearly right: names of all lengths, cut or changed somewhere."""
    names = st.sampled_from([b"key", b"a", b"\0", b"k" * 255, b"k" * 256, b"k" * 300])
    values = st.binary(max_size=20) | st.sampled_from([b"v" * 255, b"v" * 256, b"v" * 1000])
    block = bytearray(encode_variables(draw(st.lists(st.tuples(names, values), max_size=8))))
    for place in draw(st.lists(st.integers(0, max(0, len(block) - 1)), max_size=2)):
        if block:
            block[place] = draw(BYTES)
    return bytes(block[: draw(st.integers(0, len(block)) | st.just(len(block)))])


def walked_list(block: bytes, wanted: frozenset[bytes] | None) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    assert walked(block, wanted, found, None) == len(found)
    return found


@given(blocks() | st.binary(max_size=60), WANTED)
def test_the_compiled_way_to_read_and_the_interpreted_one_are_equal(
    block: bytes, wanted: frozenset[bytes] | None
) -> None:
    assert read_by(walked_list, block, wanted) == read_by(stepped, block, wanted)


def walked_values(block: bytes, wanted: frozenset[bytes] | None) -> list[tuple[bytes, bytes]]:
    values: dict[bytes, bytes] = {}
    walked(block, wanted, None, values)
    return list(values.items())


def values_of(block: bytes, wanted: frozenset[bytes] | None) -> list[tuple[bytes, bytes]]:
    return list(decode_values(block, wanted)[0].items())


@given(blocks() | st.binary(max_size=60), WANTED)
def test_values_by_name_are_those_of_the_list(
    block: bytes, wanted: frozenset[bytes] | None
) -> None:
    found = read_by(stepped, block, wanted)
    expected = found if isinstance(found, str) else list(dict(found).items())
    assert read_by(walked_values, block, wanted) == expected
    assert read_by(values_of, block, wanted) == expected
    if not isinstance(found, str):
        assert decode_values(block, wanted)[1] == (len(found) != len(expected))


@pytest.mark.parametrize("read", [walked_list, stepped])
@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"", []),
        (b"\1\0a\1\0b", [(b"a", b"b")]),
        (b"\1", "a variable's length points past the end (byte 0 of 1)"),
        (b"\1\0", "a variable's length points past the end (byte 0 of 2)"),
        (b"\1\0a\1", "a variable's length points past the end (byte 0 of 4)"),
        (b"\1\0a\0\0\xff\xffb", "a variable's length points past the end (byte 5 of 8)"),
        (b"\1\0a\2\0b", "the last variable ends at byte 7, the block at 6"),
        (b"\1\0a\xff\xff", "the last variable ends at byte 65540, the block at 5"),
        (b"\1\0a\0\0\0\0", "empty variable name at byte 5"),
        (b"\0\1" + b"k" * 256 + b"\0\1" + b"v" * 256, [(b"k" * 256, b"v" * 256)]),
    ],
)
def test_lengths_at_their_edges(
    read: Callable[[bytes, frozenset[bytes] | None], list[tuple[bytes, bytes]]],
    block: bytes,
    expected: Read,
) -> None:
    assert read_by(read, block, None) == expected


def test_an_empty_name_is_refused_both_ways() -> None:
    with pytest.raises(PacketError, match="needs a name"):
        encode_variables([(b"", b"value")])
    with pytest.raises(PacketError, match="empty variable name at byte 0"):
        decode_variables(b"\0\0\1\0x")


def test_an_empty_value_at_the_end_is_fine() -> None:
    assert decode_variables(b"\1\0a\0\0") == [(b"a", b"")]


def test_a_variable_or_packet_that_is_too_long() -> None:
    long = b"x" * (MAX_DATASIZE + 1)
    for variable in ((long, b""), (b"a", long)):
        with pytest.raises(PacketError, match="longer than"):
            encode_variables([variable])
    with pytest.raises(PacketError, match="at most 65535"):
        encode_packet([(b"a", long[:-1])])
    fits = [(b"a", b"x" * (MAX_DATASIZE - 5))]
    assert decode_header(encode_packet(fits, 9, 1)) == (9, MAX_DATASIZE, 1)
