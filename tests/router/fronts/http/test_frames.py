"""A checked tunnel passes what is valid, byte for byte, and nothing that was not looked at."""

import os
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame as PeerFrame
from websockets.frames import Opcode as PeerOpcode
from websockets.protocol import Protocol as Peer
from websockets.protocol import Side, State
from wsproto.frame_protocol import FrameProtocol

from uwsgi_router.router.fronts.http.websocket.frames import FrameCheck, FrameViolation, close_frame

MASK = b"\x01\x80\xff\x7e"
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def check(
    *,
    from_client: bool = True,
    max_frame: int = 1 << 20,
    max_message: int = 1 << 20,
    deflate: bool = False,
) -> FrameCheck:
    return FrameCheck(
        from_client=from_client, max_frame=max_frame, max_message=max_message, deflate=deflate
    )


def fed(checked: FrameCheck, data: bytes) -> bytes:
    """Feed all of it, in as many turns as that takes."""
    passed = checked.feed(data)
    while checked.more:
        passed += checked.feed(b"")
    return passed


def masked(payload: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    announce: int | None = None,
    form: int = 0,
) -> bytes:
    """RFC 6455 section 5.2, also wrong if asked for; ``form``: bytes of the extended length."""
    length = len(payload) if announce is None else announce
    form = form or (0 if length < 126 else 2 if length < 65_536 else 8)
    short = {0: length, 2: 126, 8: 127}[form]
    head = bytes([fin << 7 | rsv << 4 | opcode, (mask is not None) << 7 | short])
    head += length.to_bytes(form, "big") if form else b""
    return head + (payload if mask is None else mask + masked(payload, mask))


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    marks = [0, *sorted(min(mark, len(data)) for mark in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(marks)]


def outcome(checked: FrameCheck, pieces: Iterable[bytes]) -> tuple[bytes, int | None]:
    """What got through, and the code of the violation."""
    passed = b""
    for piece in pieces:
        try:
            passed += checked.feed(piece)
            while checked.more:
                passed += checked.feed(b"")
        except FrameViolation as exc:
            return passed + exc.valid, exc.code
    return passed, None


def refused(checked: FrameCheck, data: bytes) -> FrameViolation:
    """Whole and byte by byte, the same is refused."""
    twin = check(
        from_client=not checked._decoder.client,
        max_frame=checked._rules._max_frame,
        max_message=checked._rules._max_message,
        deflate=checked._rules._deflate,
    )
    with pytest.raises(FrameViolation) as whole:
        checked.feed(data)
    _, code = outcome(twin, (data[i : i + 1] for i in range(len(data))))
    assert code == whole.value.code
    assert whole.value.reason
    assert data.startswith(whole.value.valid)
    return whole.value


def at_boundary(checked: FrameCheck) -> bool:
    return checked.at_boundary


# --- what is valid ---

Message = tuple[str | bytes, list[int], list[bytes]]

messages = st.lists(
    st.tuples(
        st.text(max_size=300) | st.binary(max_size=300) | st.integers(0, 70_000).map(bytes),
        st.lists(st.integers(0, 400), max_size=3),
        st.lists(st.binary(max_size=125), max_size=2),
    ),
    max_size=5,
)


def by_wsproto(said: Sequence[Message], *, client: bool) -> bytes:
    """Fragmented where the cuts say, pings in between."""
    encoder = FrameProtocol(client=client, extensions=[])
    stream = b""
    for content, cuts, pings in said:
        marks = [0, *sorted(min(mark, len(content)) for mark in cuts), len(content)]
        parts = [content[a:b] for a, b in pairwise(marks)]
        for number, part in enumerate(parts, 1):
            stream += bytes(encoder.send_data(part, fin=number == len(parts)))
            for ping in pings:
                stream += bytes(encoder.ping(ping))
    return stream


@settings(max_examples=60)
@given(messages, st.booleans(), st.lists(st.integers(0, 75_000), max_size=12))
def test_what_wsproto_sends_passes_unchanged_however_it_is_cut(
    said: list[Message], client: bool, cuts: list[int]
) -> None:
    stream = by_wsproto(said, client=client) + close_frame(1000, "bye", mask=client)
    checked = check(from_client=client)
    assert outcome(checked, cut(stream, cuts)) == (stream, None)
    assert checked.done
    assert checked.surplus == b""


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(PeerOpcode), st.binary(max_size=120)), max_size=8),
    st.booleans(),
    st.lists(st.integers(0, 900), max_size=12),
)
def test_what_websockets_sends_passes_unchanged(
    said: list[tuple[PeerOpcode, bytes]], client: bool, cuts: list[int]
) -> None:
    single = [
        PeerFrame(op, data.hex().encode()[:120] if op is PeerOpcode.TEXT else data)
        for op, data in said
        if op not in {PeerOpcode.CONT, PeerOpcode.CLOSE}
    ]
    stream = b"".join(sent.serialize(mask=client) for sent in single)
    checked = check(from_client=client)
    assert outcome(checked, cut(stream, cuts)) == (stream, None)
    assert at_boundary(checked)


def test_byte_by_byte_a_header_is_held_back_and_payload_streams() -> None:
    checked = check()
    stream = frame(TEXT, b"abc" * 100)
    header = 8  # two bytes, two of length, the mask
    assert [checked.feed(stream[i : i + 1]) for i in range(header - 1)] == [b""] * (header - 1)
    assert at_boundary(checked)
    assert checked.feed(stream[header - 1 : header]) == stream[:header]
    assert not at_boundary(checked)
    for i in range(header, len(stream)):
        assert checked.feed(stream[i : i + 1]) == stream[i : i + 1]
    assert at_boundary(checked)


def test_a_control_frame_is_held_back_to_its_end() -> None:
    checked = check()
    stream = frame(PING, bytes(125))
    assert checked.feed(stream[:-1]) == b""
    assert at_boundary(checked)
    assert checked.feed(stream[-1:]) == stream


def test_a_piece_of_whole_frames_is_not_copied() -> None:
    data = frame(BINARY, os.urandom(1000)) * 3
    assert check().feed(data) is data


def test_a_frame_may_be_put_between_the_parts_of_a_message_but_not_into_one() -> None:
    checked = check(from_client=False)
    checked.feed(frame(TEXT, b"one", fin=False, mask=None))
    assert at_boundary(checked)
    checked.feed(frame(CONT, b"two", mask=None)[:-1])
    assert not at_boundary(checked)


def test_text_may_be_cut_inside_a_letter_by_frames_and_by_pieces() -> None:
    letters = "é世𝄞".encode()
    for at in range(len(letters) + 1):
        stream = frame(TEXT, letters[:at], fin=False) + frame(PING) + frame(CONT, letters[at:])
        assert outcome(check(), cut(stream, range(len(stream)))) == (stream, None)


def test_both_limits_are_inclusive_and_count_payload_only() -> None:
    stream = (
        frame(BINARY, bytes(100), fin=False) + frame(PING, bytes(125)) + frame(CONT, bytes(100))
    )
    checked = check(max_frame=100, max_message=200)
    assert outcome(checked, [stream, stream]) == (stream * 2, None)


# --- the end ---


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_a_close_frame_ends_the_direction(code: int) -> None:
    checked = check()
    close = frame(CLOSE, code.to_bytes(2, "big") + "adiós".encode())
    assert checked.feed(close + b"rest") == close
    assert checked.done
    assert not at_boundary(checked)
    assert checked.surplus == b"rest"
    assert checked.feed(frame(TEXT, b"more")) == b""


def test_a_close_frame_needs_no_code() -> None:
    assert check().feed(frame(CLOSE)) == frame(CLOSE)


def test_eof_is_no_violation_wherever_it_comes() -> None:
    checked = check()
    checked.feed(frame(TEXT, b"abc")[:3])
    assert checked.eof() == b""
    assert checked.done


# --- what is not ---

PROTOCOL = {
    "reserved opcode": frame(3),
    "reserved control opcode": frame(11),
    "no mask": frame(TEXT, b"a", mask=None),
    "rsv1": frame(TEXT, b"a", rsv=4),
    "rsv2": frame(TEXT, b"a", rsv=2),
    "rsv3": frame(TEXT, b"a", rsv=1),
    "control frame in parts": frame(PING, b"a", fin=False),
    "control frame too long": frame(PING, bytes(126)),
    "length in two bytes for one": frame(BINARY, bytes(125), form=2),
    "length in eight bytes for two": frame(BINARY, bytes(65_535), form=8),
    "negative length": frame(BINARY, announce=1 << 63, form=8),
    "continuation of nothing": frame(CONT, b"a"),
    "continuation after the last": frame(TEXT, b"a") + frame(CONT, b"b"),
    "message in a message": frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
    "close with one byte": frame(CLOSE, b"\x03"),
    **{
        f"close code {code}": frame(CLOSE, code.to_bytes(2, "big"))
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535)
    },
}


@pytest.mark.parametrize("name", PROTOCOL)
def test_refused_with_1002(name: str) -> None:
    before = frame(BINARY, b"before")
    violation = refused(check(), before + PROTOCOL[name])
    assert violation.code == 1002
    assert violation.valid.startswith(before)


def test_a_masked_frame_from_a_node_is_refused() -> None:
    assert refused(check(from_client=False), frame(TEXT, b"a")).code == 1002


@pytest.mark.parametrize(
    "payload",
    [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"abc\xe4\xb8", b"\x80abc"],
)
def test_text_that_is_not_utf8_is_refused_with_1007(payload: bytes) -> None:
    assert refused(check(), frame(TEXT, payload)).code == 1007
    parts = frame(TEXT, payload[:1], fin=False) + frame(CONT, payload[1:])
    assert refused(check(), parts).code == 1007
    assert check().feed(frame(BINARY, payload)) == frame(BINARY, payload)


def test_bad_utf8_is_seen_before_the_frame_is_whole() -> None:
    with pytest.raises(FrameViolation) as caught:
        check().feed(frame(TEXT, b"ok\xffmore")[:-4])
    assert caught.value.code == 1007


def test_a_close_reason_that_is_not_utf8_is_refused_with_1007() -> None:
    assert refused(check(), frame(CLOSE, b"\x03\xe8\xff")).code == 1007


def test_a_frame_that_announces_too_much_is_refused_before_its_payload_and_its_mask() -> None:
    header = frame(BINARY, announce=1001)[:4]
    violation = refused(check(max_frame=1000), header)
    assert violation.code == 1009
    assert "1001" in violation.reason
    assert "1000" in violation.reason
    assert refused(check(), frame(BINARY, announce=(1 << 63) - 1, form=8)).code == 1009


def test_a_message_that_grows_too_big_is_refused_at_the_header_that_does_it() -> None:
    parts = frame(BINARY, bytes(600), fin=False) + frame(PING) + frame(CONT, bytes(400), fin=False)
    violation = refused(check(max_message=1000), parts + frame(CONT, announce=1)[:2])
    assert (violation.code, violation.valid) == (1009, parts)


def test_messages_are_counted_one_by_one() -> None:
    data = (frame(TEXT, b"a" * 600, fin=False) + frame(CONT, b"b" * 400)) * 5
    assert fed(check(max_message=1000), data) == data


def test_before_a_violation_whole_frames_are_valid_and_a_close_may_follow() -> None:
    checked = check(from_client=False)
    good = frame(TEXT, b"good", mask=None)
    violation = refused(checked, good + frame(TEXT, b"\xff", mask=None))
    assert violation.valid == good
    assert at_boundary(checked)
    assert checked.done
    assert checked.feed(good) == b""


def test_inside_a_frame_that_has_begun_to_pass_nothing_may_be_put_in() -> None:
    checked = check(from_client=False)
    stream = frame(TEXT, b"ok\xff", mask=None)
    assert checked.feed(stream[:4]) == stream[:4]
    with pytest.raises(FrameViolation) as caught:
        checked.feed(stream[4:])
    assert caught.value.valid == b""
    assert not at_boundary(checked)


# --- permessage-deflate ---


def test_a_compressed_message_passes_unread_if_it_was_negotiated() -> None:
    data = (
        frame(TEXT, b"\xff\xfe", rsv=4, fin=False)
        + frame(PING, b"p")
        + frame(CONT, b"\xfd")
        + frame(BINARY, b"\x00", rsv=4)
    )
    assert outcome(check(deflate=True), cut(data, range(len(data)))) == (data, None)


@pytest.mark.parametrize(
    "data",
    [
        frame(PING, b"p", rsv=4),
        frame(TEXT, b"a", rsv=4, fin=False) + frame(CONT, b"b", rsv=4),
        frame(TEXT, b"a", rsv=6),
    ],
    ids=["control frame", "continuation", "rsv2"],
)
def test_rsv1_is_for_first_frames_only(data: bytes) -> None:
    assert refused(check(deflate=True), data).code == 1002


def test_text_that_was_not_compressed_is_read_all_the_same() -> None:
    compressed = frame(TEXT, b"\xff", rsv=4)
    assert refused(check(deflate=True), compressed + frame(TEXT, b"\xff")).code == 1007


# --- any bytes ---

wild_frames = st.builds(
    frame,
    st.sampled_from([CONT, TEXT, BINARY, CLOSE, PING, PONG, 3]) | st.integers(0, 15),
    st.binary(max_size=12) | st.sampled_from([b"\x03\xe8ok", bytes(125), bytes(126), b"\xc3"]),
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 4, 2, 1]),
    mask=st.sampled_from([MASK, MASK, MASK, None]),
)


@settings(max_examples=150)
@given(
    st.lists(wild_frames, max_size=6).map(b"".join) | st.binary(max_size=40),
    st.lists(st.integers(0, 200), max_size=8),
    st.booleans(),
)
def test_any_bytes_pass_in_order_or_are_refused_for_the_same_reason_however_cut(
    data: bytes, cuts: list[int], deflate: bool
) -> None:
    whole, split = check(deflate=deflate), check(deflate=deflate)
    passed, code = outcome(whole, [data])
    passed_split, code_split = outcome(split, cut(data, cuts))
    assert code_split == code
    assert data.startswith(passed_split)
    assert passed_split.startswith(passed)
    if code is None:
        assert len(split._held) + len(split._decoder.buffer) <= 2 * 131 + 131
        assert passed_split == passed


@settings(max_examples=150)
@given(st.lists(wild_frames, max_size=6).map(b"".join))
def test_an_independent_server_refuses_the_same(data: bytes) -> None:
    """``websockets`` as oracle; its protocol layer leaves UTF-8 of text to the layer above."""
    peer = Peer(Side.SERVER, state=State.OPEN, max_size=None)
    peer.receive_data(data)
    _, code = outcome(check(), [data])
    if code == 1007 and peer.parser_exc is None:
        return
    assert (code is None) == (peer.parser_exc is None)


# --- our own Close ---


@pytest.mark.parametrize("mask", [True, False])
def test_our_close_frame_is_valid_where_it_goes(mask: bool) -> None:
    close = close_frame(1001, "the router stops" * 20, mask=mask)
    checked = check(from_client=mask)
    assert checked.feed(close) == close
    assert checked.done
    assert len(close) <= 131


# --- shares of a turn ---


@pytest.mark.parametrize(
    ("piece", "most"),
    [
        (frame(BINARY), 128),
        (frame(TEXT, b"\xc3\xa9"), 128),
        (frame(PING), 128),
        (frame(BINARY, b"x" * 200), 8),
        (frame(BINARY, b"a", fin=False) + frame(CONT, b"b"), 8),
    ],
    ids=["empty", "text", "ping", "longer", "in parts"],
)
def test_many_frames_pass_a_few_at_a_time(piece: bytes, most: int) -> None:
    checked = check()
    data = piece * 500
    parts = [checked.feed(data)]
    while checked.more:
        parts.append(checked.feed(b""))
    assert b"".join(parts) == data
    assert max(map(len, parts)) <= most * len(piece)
    # What comes meanwhile is behind them.
    begun = checked.feed(data)
    assert len(begun) < len(data)
    assert begun + fed(checked, frame(PONG, b"last")) == data + frame(PONG, b"last")


def test_a_rule_that_is_broken_behind_many_frames_is_seen_in_its_turn() -> None:
    checked = check()
    good = frame(BINARY) * 200
    passed = checked.feed(good + frame(TEXT, b"\xff"))
    assert checked.more
    with pytest.raises(FrameViolation) as caught:
        checked.feed(b"")
    assert passed + caught.value.valid == good


def test_short_frames_inside_a_message_are_no_messages() -> None:
    begun = frame(BINARY, b"a", fin=False)
    assert refused(check(), begun + frame(BINARY, b"b")).code == 1002
    assert fed(check(), begun + frame(PING) + frame(CONT, b"c")) == begun + frame(PING) + frame(
        CONT, b"c"
    )
