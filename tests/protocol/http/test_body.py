"""Framings: where a body ends, what of it is payload, and what lies behind it."""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uwsgi_router.protocol.http.body import (
    MAX_CHUNKS,
    MAX_SIZE_LINE,
    MAX_TRAILERS,
    Chunked,
    ChunkedEncoder,
    Counted,
    Decoder,
    Identity,
    Recoder,
    UntilEof,
)
from uwsgi_router.protocol.http.errors import BodyError, BodyTooLarge, Truncated

VECTORS = Path(__file__).parents[2] / "vectors" / "http-requests.jsonl"
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def turns(feeder: Decoder | Recoder, data: bytes) -> Iterator[bytes]:
    """What comes out of feeding it, in as many turns as that takes."""
    yield feeder.feed(data)
    while feeder.more:
        yield feeder.feed(b"")


def decoded(decoder: Decoder, fed: Iterable[bytes]) -> tuple[bytes, bytes, bool] | None:
    """Return payload, surplus and whether the body is done; None if it is refused."""
    try:
        payload = b"".join(taken for piece in fed for taken in turns(decoder, piece))
    except BodyError:
        return None
    return payload, decoder.surplus, decoder.done


SPLITS = st.lists(st.integers(0, 120), max_size=8)
CHUNK = st.tuples(
    st.binary(min_size=1, max_size=40),
    st.sampled_from(["%x", "%X", "%05x", "%016x"]),
    st.sampled_from([b"", b"", b"", b";a=b", b";", b" ;a", b'; c="d\\"e"', b";\xe9\t"]),
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Return (a chunked body, its payload)."""
    chunks = draw(st.lists(CHUNK, max_size=6))
    lines = [(size % len(data)).encode() + more + b"\r\n" for data, size, more in chunks]
    raw = b"".join(
        [line + data + b"\r\n" for line, (data, _, _) in zip(lines, chunks, strict=True)]
    )
    raw += draw(st.sampled_from([b"0", b"000", b"0;z"])) + b"\r\n"
    raw += b"".join(draw(st.lists(st.sampled_from([b"X-Check: ok\r\n", b"a:\r\n"]), max_size=2)))
    return raw + b"\r\n", b"".join([data for data, _, _ in chunks])


@st.composite
def broken_bodies(draw: st.DrawFn) -> bytes:
    """Return a chunked body with something else in one place; it may still be right."""
    raw, _ = draw(bodies())
    start = draw(st.integers(0, len(raw)))
    end = draw(st.integers(start, min(start + 3, len(raw))))
    new = st.sampled_from(
        [b"", b"\r", b"\n", b"\r\n", b"0", b"a", b";", b" ", b"\t", b":", b"\0", b"-", b"_", b"x"]
    )
    return raw[:start] + draw(new) + raw[end:]


# ------------------------------------------------------------------------------------------ chunked


@given(bodies(), st.binary(max_size=40), SPLITS)
def test_a_chunked_body_gives_its_payload_however_it_comes(
    body: tuple[bytes, bytes], surplus: bytes, cuts: list[int]
) -> None:
    raw, payload = body
    for fed in ([raw + surplus], bytewise(raw + surplus), pieces(raw + surplus, cuts)):
        assert decoded(Chunked(), fed) == (payload, surplus, True)


@given(bodies())
def test_a_part_of_a_chunked_body_is_not_done_and_must_not_end(body: tuple[bytes, bytes]) -> None:
    raw, payload = body
    for size in range(len(raw)):
        decoder = Chunked()
        assert payload.startswith(decoder.feed(raw[:size]))
        assert not decoder.done
        with pytest.raises(Truncated):
            decoder.eof()


@settings(max_examples=400)
@given(broken_bodies(), SPLITS)
def test_a_broken_chunked_body_is_read_in_one_way_only(raw: bytes, cuts: list[int]) -> None:
    whole = decoded(Chunked(), [raw])
    assert decoded(Chunked(), bytewise(raw)) == whole
    assert decoded(Chunked(), pieces(raw, cuts)) == whole


def by_h11(raw: bytes) -> tuple[bytes, bytes, bool] | None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(HEAD + raw)
    payload = b""
    try:
        while True:
            match connection.next_event():
                case h11.Data(data=data):
                    payload += data
                case h11.EndOfMessage():
                    return payload, connection.trailing_data[0], True
                case h11.NEED_DATA:
                    return payload, b"", False
    except h11.RemoteProtocolError:
        return None


@settings(max_examples=400)
@given(st.one_of(broken_bodies(), bodies().map(lambda body: body[0] + b"more")))
def test_what_is_accepted_is_what_h11_reads(raw: bytes) -> None:
    ours = decoded(Chunked(), [raw])
    if ours is None or not ours[2]:
        return
    # Spaces before an extension are "bad white space" (RFC 9112 section 7.1.1), to be read; some servers fill sizes up
    # with them. h11 takes neither.
    rest = ours[1]
    body = re.sub(rb"(?m)^([0-9a-fA-F]+)[ \t]+(;|\r$)", rb"\1\2", raw.removesuffix(rest))
    assert ours == by_h11(body + rest)


#: Of those that may be refused: servers write it, and no reader takes it for anything else.
TOLERATED = {"chunk-size-trailing-space"}


def _chunked_vectors() -> list[tuple[str, bytes, bool, bytes | None]]:
    vectors = []
    for line in VECTORS.read_text().splitlines():
        vector = json.loads(line)
        head, _, body = base64.b64decode(vector["raw"]).partition(b"\r\n\r\n")
        if vector["group"] == "chunked":
            assert b"Transfer-Encoding: chunked" in head
            body_said = re.search(r"body == (\w+)", vector.get("must") or "")
            payload = body_said[1].encode() if body_said else None
            accepted = "accept" in vector["expectation"] or vector["name"] in TOLERATED
            vectors.append((vector["name"], body, accepted, payload))
    return vectors


@pytest.mark.parametrize(
    ("body", "accepted", "payload"), [pytest.param(*v[1:], id=v[0]) for v in _chunked_vectors()]
)
def test_vectors(body: bytes, accepted: bool, payload: bytes | None) -> None:
    for fed in ([body], bytewise(body)):
        found = decoded(Chunked(), fed)
        if not accepted:
            assert found is None
            continue
        assert found is not None
        assert found[1:] == (b"", True)
        if payload is not None:
            assert found[0] == payload


@pytest.mark.parametrize(
    "raw",
    [
        *(b"\n", b"\r\n", b"5\n", b"5\rx", b" 5\r\n", b"5 x\r\n", b"g\r\n", b"0x5\r\n", b"+5\r\n"),
        *(b"-5\r\n", b"0_5\r\n", b"5,\r\n", b"5;a\n", b"5;\0\r\n", b"5;a\rb\r\n", b"\xd9\xa5\r\n"),
        *(
            b"0" * 17,
            b"1" * 17,
            b"5\r\nhelloX",
            b"5\r\nhello\n",
            b"5\r\nhello\rX",
            b"5\r\nhelloX\r\n",
        ),
        *(
            b"0\r\n\n",
            b"0\r\n\rX",
            b"0\r\n X: y\r\n",
            b"0\r\nX\r\n",
            b"0\r\nX : y\r\n",
            b"0\r\n: y",
        ),
        *(
            b"0\r\nX: a\nY: b\r\n",
            b"0\r\nX: \0\r\n",
            b"0\r\nX: a\r\n b\r\n",
            b"0\r\n5\r\nhello\r\n",
        ),
    ],
)
def test_what_is_no_chunked_body_is_refused_at_once(raw: bytes) -> None:
    for fed in ([raw], bytewise(raw)):
        assert decoded(Chunked(), fed) is None


def test_the_last_byte_can_wait_for_the_line_end() -> None:
    for start in (
        b"5",
        b"5\r",
        b"5 ",
        b"5;",
        b"0\r\nX",
        b"0\r\nX:",
        b"0\r\nX: y\r",
        b"0\r\n\r",
    ):
        assert decoded(Chunked(), [start]) == (b"", b"", False)


def test_a_size_line_has_at_most_4096_bytes() -> None:
    longest = b"5;" + b"x" * (MAX_SIZE_LINE - 4) + b"\r\n"
    assert len(longest) == MAX_SIZE_LINE
    rest = b"hello\r\n0\r\n\r\n"
    too_long = longest.replace(b";", b";x")
    for cut in (1, 4000, MAX_SIZE_LINE - 1, MAX_SIZE_LINE):
        assert decoded(Chunked(), pieces(longest + rest, [cut])) == (b"hello", b"", True)
        assert decoded(Chunked(), pieces(too_long + rest, [cut])) is None
    # Without an end in sight it is refused before it has grown.
    assert decoded(Chunked(), [b"5;" + b"x" * MAX_SIZE_LINE]) is None


def test_trailers_have_at_most_64_kib() -> None:
    line = b"X-Trailer: " + b"x" * 1011 + b"\r\n"
    assert len(line) == 1024
    fits = b"0\r\n" + line * (MAX_TRAILERS // 1024) + b"\r\n"
    too_long = b"0\r\n" + line * (MAX_TRAILERS // 1024) + b"a:\r\n\r\n"
    # The line end behind the trailers does not count, in whatever pieces it comes.
    assert decoded(Chunked(), pieces(fits, [len(fits) - 1])) == (b"", b"", True)
    one_line = b"0\r\nX: " + b"x" * MAX_TRAILERS
    for size in (7, 1000, 100_000):
        cuts = range(0, 70_000, size)
        assert decoded(Chunked(), pieces(fits + b"GET", cuts)) == (b"", b"GET", True)
        assert decoded(Chunked(), pieces(too_long, cuts)) is None
        assert decoded(Chunked(), pieces(one_line, cuts)) is None


def test_the_inside_of_a_large_chunk_is_not_copied() -> None:
    decoder = Chunked()
    data = bytes(65_536)
    assert decoder.feed(b"ffffffffffffffff\r\n") == b""
    assert decoder.feed(data) is data


# --------------------------------------------------------------------------------- counted, until EOF


@given(st.binary(max_size=60), st.binary(max_size=20), SPLITS)
def test_a_counted_body_ends_where_it_was_said(
    payload: bytes, surplus: bytes, cuts: list[int]
) -> None:
    raw = payload + surplus
    for fed in ([raw], bytewise(raw), pieces(raw, cuts)):
        assert decoded(Counted(len(payload)), fed) == (payload, surplus, True)


def test_a_counted_body_that_is_too_short() -> None:
    decoder = Counted(10)
    data = b"123456"
    assert decoder.feed(data) is data
    assert not decoder.done
    with pytest.raises(Truncated, match="4 bytes before"):
        decoder.eof()


def test_a_body_until_eof_has_no_surplus() -> None:
    decoder = UntilEof()
    data = b"0\r\n\r\n"
    assert decoder.feed(data) is data
    ends = [decoder.done]
    decoder.eof()
    ends.append(decoder.done)
    assert ends == [False, True]
    assert decoder.surplus == b""


# ----------------------------------------------------------------------------------------- encoders


@given(st.lists(st.binary(max_size=300)))
def test_what_is_made_chunked_can_be_read(payloads: list[bytes]) -> None:
    encoder = ChunkedEncoder()
    raw = b"".join([encoder.encode(payload) for payload in payloads]) + encoder.finish()
    assert decoded(Chunked(), [raw]) == (b"".join(payloads), b"", True)
    assert by_h11(raw) == (b"".join(payloads), b"", True)


def test_nothing_is_no_chunk() -> None:
    assert ChunkedEncoder().encode(b"") == b""
    assert ChunkedEncoder().encode(b"0123456789") == b"A\r\n0123456789\r\n"


@pytest.mark.parametrize("cut", [0, 1, 3, 700])
def test_many_chunks_are_taken_a_few_at_a_time(cut: int) -> None:
    decoder = Chunked()
    raw = b"2\r\nab\r\n" * 1_000 + b"0\r\n\r\nGET"
    parts = [*turns(decoder, raw[:cut]), *turns(decoder, raw[cut:])]
    assert b"".join(parts) == b"ab" * 1_000
    assert max(map(len, parts)) <= 2 * MAX_CHUNKS
    assert (decoder.done, decoder.surplus, decoder.more) == (True, b"GET", False)


def test_what_comes_while_chunks_wait_is_behind_them() -> None:
    decoder = Chunked()
    taken = decoder.feed(b"1\r\na\r\n" * 200 + b"1")
    assert decoder.more
    taken += b"".join(turns(decoder, b"0\r\n" + b"b" * 16 + b"\r\n"))
    assert taken == b"a" * 200 + b"b" * 16


def test_fewer_chunks_than_are_taken_at_once_leave_nothing() -> None:
    decoder = Chunked()
    assert len(decoder.feed(b"1\r\na\r\n" * (MAX_CHUNKS - 1))) == MAX_CHUNKS - 1
    assert not decoder.more


# ------------------------------------------------------------------------------------------- recoder


@given(bodies(), SPLITS)
def test_a_recoded_body_is_the_same_body(body: tuple[bytes, bytes], cuts: list[int]) -> None:
    raw, payload = body
    recoder = Recoder(Chunked(), ChunkedEncoder())
    sent = b"".join(
        taken for piece in pieces(raw + b"GET", cuts) for taken in turns(recoder, piece)
    )
    assert decoded(Chunked(), [sent]) == (payload, b"", True)
    assert (recoder.done, recoder.surplus, recoder.payload) == (True, b"GET", len(payload))
    assert recoder.eof() == b""


def test_extensions_and_trailers_are_not_passed_on() -> None:
    recoder = Recoder(Chunked(), ChunkedEncoder())
    sent = recoder.feed(b"005;a=b\r\nhello\r\n0;c\r\nX-Check: ok\r\n\r\n")
    assert sent == b"5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("make", "raw"),
    [(lambda: Counted(5), b"hello"), (Chunked, b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")],
    ids=["counted", "chunked"],
)
def test_the_end_is_sent_once_and_with_the_last_byte(
    make: Callable[[], Decoder], raw: bytes
) -> None:
    recoder = Recoder(make(), ChunkedEncoder())
    sent = [recoder.feed(piece) for piece in bytewise(raw)]
    assert sent[-1].endswith(b"0\r\n\r\n")
    assert not any(piece.endswith(b"0\r\n\r\n") for piece in sent[:-1])
    assert recoder.feed(b"more") == b""
    assert recoder.surplus == b"more"
    assert recoder.eof() == b""


def test_a_body_without_a_byte_ends_too() -> None:
    recoder = Recoder(Counted(0), ChunkedEncoder())
    assert recoder.feed(b"") == b"0\r\n\r\n"
    assert recoder.done
    recoder = Recoder(UntilEof(), ChunkedEncoder())
    assert recoder.feed(b"") == b""
    assert not recoder.done
    assert recoder.eof() == b"0\r\n\r\n"
    assert recoder.done


def test_a_body_that_is_cut_off_is_never_ended_for_the_target() -> None:
    for decoder, start in ((Counted(5), b"hell"), (Chunked(), b"5\r\nhello\r\n0\r\n")):
        recoder = Recoder(decoder, ChunkedEncoder())
        assert not recoder.feed(start).endswith(b"0\r\n\r\n")
        with pytest.raises(Truncated):
            recoder.eof()
        assert not recoder.done


def test_a_body_as_it_is_is_passed_on_without_a_copy() -> None:
    recoder = Recoder(Counted(100_000), Identity())
    data = bytes(65_536)
    assert recoder.feed(data) is data


@pytest.mark.parametrize("make", [Chunked, UntilEof])
def test_more_payload_than_is_allowed(make: Callable[[], Decoder]) -> None:
    def recode(size: int) -> int:
        recoder = Recoder(make(), Identity(), limit=10)
        for byte in bytes(size):
            recoder.feed(b"1\r\n%c\r\n" % byte if make is Chunked else b"%c" % byte)
        return recoder.payload

    assert recode(10) == 10
    with pytest.raises(BodyTooLarge, match="more than 10 bytes"):
        recode(11)
