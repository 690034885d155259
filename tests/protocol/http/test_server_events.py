"""Streams of events: ended behind an event, wherever the pieces are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.http.body import Chunked, ChunkedEncoder, Identity, UntilEof
from uwsgi_router.protocol.http.response import parse_response
from uwsgi_router.protocol.http.server_events import EventRecoder, is_event_stream

ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n")


def head(*fields: bytes) -> bool:
    lines = b"".join(field + b"\r\n" for field in fields)
    parsed = parse_response(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n", cgi=False, max_head=4096)
    assert parsed is not None
    return is_event_stream(parsed)


def test_which_answers_are_streams() -> None:
    assert head(b"Content-Type: text/event-stream")
    assert head(b"content-type:TEXT/event-stream ; charset=utf-8")
    assert not head(b"Content-Type: text/event-stream2")
    assert not head(b"Content-Type: text/html")
    assert not head(b"Content-Type: text/event-stream", b"Content-Encoding: gzip")
    assert not head()


@pytest.mark.parametrize("end", ENDS)
def test_it_ends_at_once_behind_an_event(end: bytes) -> None:
    stream = EventRecoder(UntilEof(), ChunkedEncoder())
    stream.feed(b"data: 1" + end)
    assert stream.end() == b"0\r\n\r\n"
    assert stream.done
    assert stream.cut


def test_one_that_has_sent_nothing_ends_at_once() -> None:
    assert EventRecoder(UntilEof(), Identity()).end() == b""


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_it_ends_behind_the_event_that_is_being_sent(end: bytes, size: int) -> None:
    stream = EventRecoder(UntilEof(), Identity())
    assert stream.feed(b"data: 1" + end + b"data: ") == b"data: 1" + end + b"data: "
    assert stream.end() is None
    rest = b"2" + end + b"data: 3" + end
    got = b""
    for start in range(0, len(rest), size):
        got += stream.feed(rest[start : start + size])
        if stream.done:
            break
    assert got == b"2" + end
    assert stream.surplus == b""


def test_chunks_are_ended_in_order() -> None:
    stream = EventRecoder(Chunked(), ChunkedEncoder())
    stream.feed(b"7\r\ndata: 1\r\n")
    assert stream.end() is None
    assert stream.feed(b"9\r\n\n\ndata: 2\r\n") == b"2\r\n\n\n\r\n0\r\n\r\n"
    assert stream.done


@given(st.lists(st.binary(max_size=20)), st.sampled_from(ENDS), st.data())
def test_whole_events_arrive(events: list[bytes], end: bytes, data: st.DataObject) -> None:
    whole = b"".join(b"data:" + event.hex().encode() + end for event in events) + b"data: rest"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    at = data.draw(st.integers(0, len(pieces)))
    stream = EventRecoder(UntilEof(), Identity())
    got = b""
    for number, piece in enumerate(pieces):
        if number == at:
            got += stream.end() or b""
        if stream.done:
            break
        got += stream.feed(piece)
    if stream.cut:
        assert not got or got.endswith(end)
    assert whole.startswith(got)
