"""Compression of answers: the bytes, and what the head says of them."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.http.body import Chunked, ChunkedEncoder, Identity, Recoder, UntilEof
from uwsgi_router.protocol.http.content_coding import Gzip, accepts_gzip, gzip_lines, vary_lines


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 9))
def test_each_piece_can_be_read_at_once(payloads: list[bytes], level: int) -> None:
    encoder = Gzip(Identity(), level)
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    sent = []
    for payload in payloads:
        sent.append(encoder.encode(payload))
        assert reader.decompress(sent[-1]) == payload
    sent.append(encoder.finish())
    assert gzip.decompress(b"".join(sent)) == b"".join(payloads)


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_compressed_pieces_are_chunks(payloads: list[bytes]) -> None:
    recoder = Recoder(UntilEof(), Gzip(ChunkedEncoder()))
    sent = [recoder.feed(payload) for payload in payloads] + [recoder.eof()]
    decoder = Chunked()
    assert gzip.decompress(decoder.feed(b"".join(sent))) == b"".join(payloads)
    assert decoder.done
    assert decoder.surplus == b""


def test_nothing_is_sent_for_nothing() -> None:
    encoder = Gzip(ChunkedEncoder())
    assert encoder.encode(b"") == b""
    decoder = Chunked()
    assert gzip.decompress(decoder.feed(encoder.finish())) == b""


def test_the_stream_does_not_say_when_it_was_made() -> None:
    start = Gzip(Identity()).encode(b"hello")
    assert start[:8] == b"\x1f\x8b\x08\0\0\0\0\0"


@pytest.mark.parametrize(
    "value",
    [
        *(b"gzip", b"GZip", b"x-gzip", b"*", b"deflate, gzip, br", b"gzip, deflate, br, zstd"),
        *(b"gzip;q=1", b"gzip;q=1.000", b"gzip ; q=0.001", b"br;q=1.0, gzip;q=0.8, *;q=0.1"),
        *(
            b"*;q=0, gzip",
            b"identity;q=0.5, gzip;q=0.5",
            b"identity;q=0, *",
            b"deflate,\tgzip;Q=0.5",
        ),
    ],
)
def test_who_takes_gzip(value: bytes) -> None:
    assert accepts_gzip(value)


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b" ", b"br", b"deflate, br", b"identity", b"gzipped", b"gzip;q=0", b"gzip;q=0.000"),
        *(
            b"*, gzip;q=0",
            b"*;q=0",
            b"gzip;q=x",
            b"gzip;q=",
            b"gzip;q=2",
            b"gzip;q=-1",
            b"gzip;q=.5",
        ),
        *(b"gzip;q=0.0001", b"gzip;level=9", b"identity, gzip;q=0.5", b"gzip;q=nan", b"gzip br"),
    ],
)
def test_who_does_not(value: bytes) -> None:
    assert not accepts_gzip(value)


@given(st.binary(max_size=60))
def test_any_value_is_understood_somehow(value: bytes) -> None:
    assert accepts_gzip(value) in {True, False}


def test_a_compressed_answer_is_another_representation() -> None:
    lines = [
        b"Content-Type: text/html",
        b"uWSGI-Encoding: gzip",
        b'ETag:  "abc"',
        b"Accept-Ranges: bytes",
        b"Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==",
        b"Repr-Digest: sha-256=:AAAA:",
        b"X-Thing: kept",
    ]
    before = list(lines)
    assert gzip_lines(lines) == [
        b"Content-Type: text/html",
        b'ETag: W/"abc"',
        b"X-Thing: kept",
        b"Vary: Accept-Encoding",
        b"Content-Encoding: gzip",
    ]
    assert lines == before


def test_an_etag_that_is_weak_already() -> None:
    assert b'etag: W/"abc"' in gzip_lines([b'etag: W/"abc"'])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], [b"Vary: Accept-Encoding"]),
        ([b"Vary:"], [b"Vary: Accept-Encoding"]),
        ([b"vary:Cookie ", b"A: b"], [b"vary: Cookie, Accept-Encoding", b"A: b"]),
        ([b"Vary: A", b"Vary: B"], [b"Vary: A", b"Vary: B, Accept-Encoding"]),
        ([b"Vary: cookie, ACCEPT-encoding"], [b"Vary: cookie, ACCEPT-encoding"]),
        ([b"Vary: Accept-Encoding", b"Vary: B"], [b"Vary: Accept-Encoding", b"Vary: B"]),
        ([b"Vary: *"], [b"Vary: *"]),
        ([b"Vary: X-Accept-Encoding"], [b"Vary: X-Accept-Encoding, Accept-Encoding"]),
    ],
)
def test_caches_hear_that_there_are_two(lines: list[bytes], expected: list[bytes]) -> None:
    """Of the compressed one, and of the other too."""
    assert vary_lines([*lines, b"uWSGI-Encoding: gzip"]) == expected
    assert gzip_lines(lines) == [*expected, b"Content-Encoding: gzip"]
